"""The mixers along time: partially flipped Mamba with gates and GRU, plain Mamba, GRU alone."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqmamba.nn import Mamba
from seqmamba.nn.order import partial_flip_order, take
from seqmamba.tasks.recommend.net.settings import NetSettings

__all__ = ["FeatureGRU", "GatedMamba", "MambaMixer", "pick"]

GATE_DROPOUT = 0.2  # released code: a constant, whatever the dropout of the rest


class GatedMamba(nn.Module):
    r"""PF-Mamba, DS gate, FE-GRU and their mixture: (B, L, D) -> (B, T, D).

    With P the partial flip and M one Mamba block that reads both orders in one call,

    .. math::
        Q_1 &= X + W_1 X + b_1, \qquad Q_2 = PX + W_2 PX + b_2 \\
        g_1 &= \mathrm{drop}(A(\mathrm{SiLU}(Q_1)) + S(\sigma(Q_1))), \qquad
        g_2 = \mathrm{drop}(A(\mathrm{SiLU}(Q_2)) + S(\sigma(g_1))) \\
        H_f &= M(X) \circ (g_1 + 1), \qquad H_b = M(PX) \circ (g_2 + 1) \\
        Y &= W_o (w_2 H_f + w_1 H_b + w_0 R) + b_o

    and R the feature GRU. M(PX) is not put back in order. Source: released code, quirk of g_2
    (it reads g_1) included; ``gate="symmetric"`` reads Q_2 there.
    """

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        width = settings.d_model
        self.settings = settings
        self.mixing = nn.Parameter(torch.tensor([0.1, 0.1, 0.8]))  # GRU, flipped, forward
        self.mamba = _make_mamba(settings)
        self.gate = DenseGate(settings) if settings.use_gate else None
        self.gru = FeatureGRU(settings) if settings.use_gru else None
        self.project = nn.Linear(width, width)

    def forward(self, x: Tensor, lengths: Tensor, at: Tensor | None) -> Tensor:
        """Mix ``x`` (B, L, D); gates and mixture are computed at ``at`` (B, T) only."""
        order = self._order(x, lengths)
        ahead, flipped = self._scans(x, lengths, order)  # (B, L, D) each
        px = take(x, order) if at is None else pick(x, order.expand(x.shape[0], -1).gather(1, at))
        x_at, ahead, flipped = pick(x, at), pick(ahead, at), pick(flipped, at)  # (B, T, D)
        if self.gate is not None:
            g1, g2 = self.gate(x_at, px)
            ahead, flipped = ahead * g1 + ahead, flipped * g2 + flipped
        weights = self.mixing.softmax(0) if self.settings.mix == "softmax" else self.mixing
        mixed = weights[2] * ahead + weights[1] * flipped
        if self.gru is not None:
            mixed = mixed + weights[0] * self.gru(x, lengths, at)
        y: Tensor = self.project(mixed)
        return y

    def _order(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return P as the source of each position: (B or 1, L)."""
        if not self.settings.use_flip:
            return torch.arange(x.shape[1], device=x.device)[None]
        is_fixed = self.settings.flip == "released"  # positions are flipped, padding or not
        known = None if is_fixed else lengths
        return partial_flip_order(
            x.shape[1], self.settings.keep_last, lengths=known, device=x.device
        )

    def _scans(self, x: Tensor, lengths: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
        """Return M(x) and M(P x) of one call; rows that P leaves as they are run once."""
        known = None if self.settings.padding == "released" else lengths
        if torch.compiler.is_compiling():  # a graph cannot choose rows by their values
            turned = torch.arange(x.shape[0], device=x.device)
        else:
            in_place = torch.arange(x.shape[1], device=x.device)
            turned = (order != in_place).any(1).expand(x.shape[0]).nonzero()[:, 0]  # (B',)
        flipped = take(x, order)[turned]
        both = self.mamba(
            torch.cat([x, flipped]),  # along the batch: one kernel call for both orders
            lengths=None if known is None else torch.cat([known, known[turned]]),
        )
        ahead = both[: x.shape[0]]
        return ahead, ahead.index_copy(0, turned, both[x.shape[0] :])


class DenseGate(nn.Module):
    """Gates of the two scans from what they read: (B, T, D), (B, T, D) -> the same."""

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        width = settings.d_model
        self.is_symmetric = settings.gate == "symmetric"
        self.dense1 = nn.Linear(width, width)
        self.dense2 = nn.Linear(width, width)
        self.sigmoid = nn.Linear(width, width)  # S
        self.silu = nn.Linear(width, width)  # A
        self.dropout = nn.Dropout(GATE_DROPOUT)

    def forward(self, x: Tensor, px: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gates of the forward and the flipped scan."""
        q1, q2 = x + self.dense1(x), px + self.dense2(px)
        g1 = self.dropout(self.silu(functional.silu(q1)) + self.sigmoid(q1.sigmoid()))
        second = q2 if self.is_symmetric else g1  # sic: the released code reads g1 here
        g2 = self.dropout(self.silu(functional.silu(q2)) + self.sigmoid(second.sigmoid()))
        return g1, g2


class FeatureGRU(nn.Module):
    """Convolution over three items, then a GRU without biases: (B, L, D) -> (B, T, D)."""

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        width = settings.d_model
        self.is_causal = settings.conv == "causal"
        self.conv1d = nn.Conv1d(width, width, 3)
        self.gru = nn.GRU(width, width, bias=False, batch_first=True)

    def forward(self, x: Tensor, lengths: Tensor, at: Tensor | None) -> Tensor:
        """Read ``x`` (B, L, D), zero at padding."""
        sides = (2, 0) if self.is_causal else (1, 1)
        c = self.conv1d(functional.pad(x.transpose(1, 2), sides))  # (B, D, L)
        r, _ = self.gru(c.transpose(1, 2))  # (B, L, D)
        return pick(r, at)


class MambaMixer(nn.Module):
    """A plain Mamba block (Mamba4Rec, arXiv 2403.03900): (B, L, D) -> (B, T, D)."""

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        self.mamba = _make_mamba(settings)

    def forward(self, x: Tensor, lengths: Tensor, at: Tensor | None) -> Tensor:
        """Read ``x`` (B, L, D)."""
        return pick(self.mamba(x, lengths=lengths), at)


def pick(x: Tensor, at: Tensor | None) -> Tensor:
    """Return ``x`` (B, L, D) at positions ``at`` (B, T), or all of it."""
    if at is None:
        return x
    return x.gather(1, at[..., None].expand(-1, -1, x.shape[-1]))


def _make_mamba(settings: NetSettings) -> Mamba:
    return Mamba(
        settings.d_model,
        settings.d_state,
        settings.d_conv,
        settings.expand,
        backend=settings.backend,
    )
