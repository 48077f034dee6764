"""The network: stem, bidirectional Mamba encoder, pooling, head."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from seqmamba.datasets.samples import Batch
from seqmamba.nn.encoder import Encoder
from seqmamba.nn.pooling import AttentionPool, ClsPool, MeanPool
from seqmamba.tasks.ecg.net.stem import StemName, make_stem

__all__ = ["ECGNet", "MeanMaxPool", "NetSettings", "PoolName", "PositionName"]

PoolName = Literal["mean_max", "attention", "mean", "cls"]
PositionName = Literal["none", "learned", "sincos"]
PREFIX = "ecg-"  # of the encoder's presets


@dataclass(frozen=True)
class NetSettings:
    """Sizes and choices of :class:`ECGNet`; names are those of the estimator."""

    preset: str
    leads: int
    n_outputs: int
    d_model: int
    n_layers: int
    d_state: int
    expand: int
    strides: tuple[int, ...]
    kernels: tuple[int, ...]
    stem: StemName
    pool: PoolName
    token: Literal["end", "middle"]
    position: PositionName
    max_tokens: int
    direction: str
    dropout: float
    drop_path: float
    has_level: bool
    backend: str


class MeanMaxPool(nn.Module):
    """Mean and maximum over the real positions: (B, L, D) -> (B, 2 D).

    The maximum keeps what happens once, such as a single ectopic beat; the mean what lasts.
    """

    def forward(self, h: Tensor, mask: Tensor | None = None) -> Tensor:
        """Pool ``h`` (B, L, D) where ``mask`` (B, L) is True."""
        if mask is None:
            return torch.cat([h.mean(1), h.amax(1)], -1)
        real = mask.unsqueeze(-1)
        mean = h.masked_fill(~real, 0).sum(1) / real.sum(1).clamp(min=1)
        return torch.cat([mean, h.masked_fill(~real, -math.inf).amax(1)], -1)


class ECGNet(nn.Module):
    """Stem, Vision-Mamba blocks, pooling, linear: batch -> logits (B, K).

    Sources: arXiv 2510.13046 (abstract), its sibling's model card; ECG specification, 2.
    """

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        self.settings = s = settings
        self.stem = make_stem(s.stem, s.leads, s.d_model, s.strides, s.kernels)
        self.positions = _positions(s)
        self.encoder = Encoder.preset(
            PREFIX + s.preset,
            d_model=s.d_model,
            n_layers=s.n_layers,
            d_state=s.d_state,
            expand=s.expand,
            dropout=s.dropout,
            drop_path=s.drop_path,
            backend=s.backend,
            **_direction(s.direction),
        )
        self.token = ClsPool(s.d_model, s.token) if s.pool == "cls" else None
        self.pool = _pool(s.pool, s.d_model)
        width = s.d_model * (2 if s.pool == "mean_max" else 1) + int(s.has_level)
        self.dropout = nn.Dropout(s.dropout)
        self.head = nn.Linear(width, s.n_outputs)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B, K)."""
        h, mask = self.stem(batch.x, batch.extra["present"], batch.mask)  # (B, L, D)
        if self.positions is not None:
            h = h + _resized(self.positions, h.shape[1])
        if self.token is not None:
            h, mask = self.token.insert(h, mask)
            z = self.token(self.encoder(h, mask=mask), mask)
        else:
            z = self.pool(self.encoder(h, mask=mask), mask)
        if self.settings.has_level:
            z = torch.cat([z, batch.extra["level"].unsqueeze(-1).to(z.dtype)], -1)
        logits: Tensor = self.head(self.dropout(z))
        return logits

    def output_layer(self) -> nn.Linear:
        """Return the layer that an anchor silences."""
        return self.head


def _pool(name: PoolName, d_model: int) -> nn.Module:
    if name == "attention":
        return AttentionPool(d_model, 64)
    if name == "cls":
        return nn.Identity()
    return MeanMaxPool() if name == "mean_max" else MeanPool()


def _direction(name: str) -> dict[str, Any]:
    """Return encoder settings of a direction; only Vision Mamba's sums its branches unhalved."""
    if name == "vim_v2":
        return {}
    options: dict[str, Any] = {"direction": name}
    return options


def _positions(s: NetSettings) -> nn.Parameter | Tensor | None:
    """Return position vectors (1, max_tokens, D), learned or of sines."""
    if s.position == "none":
        return None
    table = nn.init.trunc_normal_(torch.empty(1, s.max_tokens, s.d_model), std=0.02)
    if s.position == "sincos":
        angle = torch.arange(s.max_tokens)[:, None] / 10_000 ** (
            torch.arange(0, s.d_model, 2) / s.d_model
        )
        table = torch.stack([angle.sin(), angle.cos()], -1).reshape(1, s.max_tokens, -1)
        table = table[..., : s.d_model]
    positions = nn.Parameter(table, requires_grad=s.position == "learned")
    positions._no_weight_decay = True  # type: ignore[attr-defined]  # mark for the optimiser
    return positions


def _resized(positions: Tensor, length: int) -> Tensor:
    """Interpolate position vectors to another number of tokens: (1, length, D)."""
    if positions.shape[1] == length:
        return positions
    return nn.functional.interpolate(
        positions.transpose(1, 2), size=length, mode="linear", align_corners=False
    ).transpose(1, 2)
