"""From a sequence to one vector per row: masked mean, class token, attention."""

from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

__all__ = ["AttentionPool", "ClsPool", "MeanPool"]

Count = TypeVar("Count", int, Tensor)


class MeanPool(nn.Module):
    """Mean over the real positions: (B, L, D) -> (B, D); an empty row gives zeros."""

    def forward(self, h: Tensor, mask: Tensor | None = None) -> Tensor:
        """Average ``h`` (B, L, D) where ``mask`` (B, L) is True."""
        if mask is None:
            return h.mean(1)
        count = mask.sum(1, keepdim=True).clamp(min=1)
        return h.masked_fill(~mask.unsqueeze(-1), 0).sum(1) / count


class AttentionPool(nn.Module):
    r"""Attention over the real positions: (B, L, D) -> (B, D).

    .. math:: e_i = w^\top \tanh(V h_i + b) + c, \qquad a = \mathrm{softmax}(e), \qquad
              z = \sum_i a_i h_i

    ``gated`` multiplies the tanh by :math:`\sigma(U h_i + b')`.
    Source: multiple-instance specification, 2; Ilse et al., arXiv 1802.04712, eq. 8 and 9.

    Parameters
    ----------
    d_model : int
        Width D.
    hidden : int
        Rows of V and U.
    gated : bool
    """

    def __init__(self, d_model: int, hidden: int = 128, *, gated: bool = False) -> None:
        super().__init__()
        self.value = nn.Linear(d_model, hidden)
        self.gate = nn.Linear(d_model, hidden) if gated else None
        self.score = nn.Linear(hidden, 1)

    def forward(self, h: Tensor, mask: Tensor | None = None) -> Tensor:
        """Pool ``h`` (B, L, D) where ``mask`` (B, L) is True; an empty row gives zeros."""
        return self.attend(h, mask)[0]

    def attend(self, h: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the pooled vectors (B, D) and the attention (B, L), each row of sum 1."""
        hidden = torch.tanh(self.value(h))
        if self.gate is not None:
            hidden = hidden * torch.sigmoid(self.gate(h))
        score = self.score(hidden).squeeze(-1).float()  # (B, L)
        if mask is not None:
            score = score.masked_fill(~mask, torch.finfo(score.dtype).min)
        attention = torch.softmax(score, -1)
        if mask is not None:
            attention = attention.masked_fill(~mask, 0)  # an empty row would come out uniform
            h = h.masked_fill(~mask.unsqueeze(-1), 0)
        return torch.einsum("bl,bld->bd", attention.to(h.dtype), h), attention


class ClsPool(nn.Module):
    """A learned class token: ``insert`` it before the encoder, read it off after it.

    Parameters
    ----------
    d_model : int
        Width D.
    position : {"start", "middle", "end"}
        Before the first, in front of number ``n // 2`` of n, or after the last real token.
    """

    def __init__(
        self, d_model: int, position: Literal["start", "middle", "end"] = "middle"
    ) -> None:
        super().__init__()
        self.position = position
        self.token = nn.Parameter(nn.init.trunc_normal_(torch.empty(d_model), std=0.02))
        self.token._no_weight_decay = True  # type: ignore[attr-defined]  # mark for the optimiser

    def insert(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Return ``x`` and ``mask`` with the token inserted: (B, L + 1, D), (B, L + 1) or None."""
        batch, length, width = x.shape
        token = self.token.to(x.dtype).expand(batch, 1, width)
        if mask is None:
            front, behind = x.tensor_split([self._rank(length)], 1)
            return torch.cat([front, token, behind], 1), None
        before = self._rank(mask.sum(1))  # real tokens in front of the class token
        at = self._place(mask, before).unsqueeze(-1)  # (B, 1)
        slot = torch.arange(length + 1, device=x.device)
        source = torch.where(slot < at, slot, slot - 1).masked_fill(slot == at, length)
        padded = torch.cat([x, token], 1)
        known = torch.cat([mask, mask.new_ones(batch, 1)], 1)
        return padded.gather(1, source.unsqueeze(-1).expand(-1, -1, width)), known.gather(1, source)

    def forward(self, h: Tensor, mask: Tensor | None = None) -> Tensor:
        """Read the token: ``h`` (B, L + 1, D) and the mask that ``insert`` gave -> (B, D)."""
        if mask is None:
            return h[:, self._rank(h.shape[1] - 1)]
        at = self._place(mask, self._rank(mask.sum(1) - 1))
        return h.gather(1, at.view(-1, 1, 1).expand(-1, 1, h.shape[-1])).squeeze(1)

    def _rank(self, count: Count) -> Count:
        """Return how many of ``count`` real tokens stand in front of the class token."""
        if self.position == "start":
            return count * 0
        return count if self.position == "end" else count // 2

    def _place(self, mask: Tensor, rank: Tensor) -> Tensor:
        """Return the position of the real token of that rank, or one past the last."""
        seen = mask.cumsum(1)
        place = (seen <= rank.unsqueeze(-1)).sum(1)
        last = (seen < seen[:, -1:]).sum(1) + mask.any(1)
        return torch.minimum(place, last)
