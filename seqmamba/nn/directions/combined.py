"""Whole blocks run in two orders and summed: shared, independent, partly flipped."""

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from seqmamba.nn.order import partial_flip_order, take

__all__ = ["BiShared", "BiSum", "PartialFlip", "ScanBlock"]


class ScanBlock(Protocol):
    """A whole block: :class:`seqmamba.nn.Mamba` or :class:`seqmamba.nn.Mamba2`."""

    out_proj: nn.Linear

    def __call__(
        self, x: Tensor, *, mask: Tensor | None = None, lengths: Tensor | None = None
    ) -> Tensor:
        """Read ``x`` (B, L, D) in its own direction."""
        ...

    def both_ways(
        self, other: Any, x: Tensor, *, mask: Tensor | None, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Read ``x`` forwards and, with ``other``, backwards."""
        ...


class BiShared(nn.Module):
    """One block in both directions: M(x) + flip(M(flip x)), (B, L, D) -> (B, L, D)."""

    def __init__(self, mamba: ScanBlock) -> None:
        super().__init__()
        self.mamba = mamba

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, lengths: Tensor | None = None
    ) -> Tensor:
        """Read ``x`` (B, L, D); the flip is over the real part of each row."""
        ahead, back = self.mamba.both_ways(self.mamba, x, mask=mask, lengths=lengths)
        y: Tensor = self.mamba.out_proj(ahead + back)
        return y


class BiSum(nn.Module):
    """Two independent blocks: M1(x) + flip(M2(flip x)), not halved, (B, L, D) -> (B, L, D).

    Source: S-Mamba, arXiv 2403.11144; forecasting specification, 2.1.
    """

    def __init__(self, ahead: ScanBlock, back: ScanBlock) -> None:
        super().__init__()
        self.ahead = ahead
        self.back = back

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, lengths: Tensor | None = None
    ) -> Tensor:
        """Read ``x`` (B, L, D); the flip is over the real part of each row."""
        ahead, back = self.ahead.both_ways(self.back, x, mask=mask, lengths=lengths)
        y: Tensor = self.ahead.out_proj(ahead) + self.back.out_proj(back)
        return y


class PartialFlip(nn.Module):
    """One block on x and on P x: M(x) + M(P x), (B, L, D) -> (B, L, D).

    P reverses the real tokens of a row but its last ``keep_last``; M(P x) is *not* put back in
    order, as in SIGMA, arXiv 2408.11451. A head that weighs the two outputs itself takes
    :meth:`branches`.

    Parameters
    ----------
    mamba : ScanBlock
    keep_last : int
        Newest tokens that stay in place.
    flip_fixed : bool
        Flip positions, padding included, as the released code does.
    """

    def __init__(self, mamba: ScanBlock, keep_last: int = 5, *, flip_fixed: bool = False) -> None:
        super().__init__()
        self.mamba = mamba
        self.keep_last = keep_last
        self.flip_fixed = flip_fixed

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, lengths: Tensor | None = None
    ) -> Tensor:
        """Read ``x`` (B, L, D) in both orders and add."""
        as_is, flipped, _ = self.branches(x, mask=mask, lengths=lengths)
        return as_is + flipped

    def branches(
        self, x: Tensor, *, mask: Tensor | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return M(x), M(P x) and P x, each (B, L, D)."""
        if self.flip_fixed and lengths is not None:
            mask, lengths = torch.arange(x.shape[1], device=x.device) < lengths[:, None], None
        order = partial_flip_order(
            x.shape[1],
            self.keep_last,
            mask=None if self.flip_fixed else mask,
            lengths=None if self.flip_fixed else lengths,
            device=x.device,
        )
        flipped = take(x, order)
        masks = None if mask is None else torch.cat([mask, self._flipped_mask(mask, order)])
        y = self.mamba(
            torch.cat([x, flipped]),  # along the batch: one call of the block serves both orders
            mask=masks,
            lengths=None if lengths is None else torch.cat([lengths, lengths]),
        )
        as_is, other = y.chunk(2)
        return as_is, other, flipped

    def _flipped_mask(self, mask: Tensor, order: Tensor) -> Tensor:
        return mask[:, order[0]] if self.flip_fixed else mask  # else padding stays in place
