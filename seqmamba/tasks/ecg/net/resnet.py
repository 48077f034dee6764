"""The network to beat: a one-dimensional residual network with global average pooling."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqmamba.datasets.samples import Batch
from seqmamba.nn.pooling import MeanPool

__all__ = ["ResNet1d"]

WIDTHS = (32, 32, 64, 96, 128)


class ResNet1d(nn.Module):
    """Stem of 11 taps, four residual stages that halve the rate, mean: batch -> logits (B, K).

    The baseline of the ECG specification, 5.4: 394 059 parameters for 12 leads and 11 classes
    without the record's level.
    """

    def __init__(self, leads: int, n_outputs: int, *, has_level: bool) -> None:
        super().__init__()
        self.conv = _conv(leads, WIDTHS[0], 11, 2)
        self.norm = nn.BatchNorm1d(WIDTHS[0])
        self.stages = nn.ModuleList(
            _Stage(WIDTHS[k], WIDTHS[k + 1]) for k in range(len(WIDTHS) - 1)
        )
        self.pool = MeanPool()
        self.has_level = has_level
        self.head = nn.Linear(WIDTHS[-1] + int(has_level), n_outputs)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B, K)."""
        h = functional.relu(self.norm(self.conv(batch.x.transpose(1, 2))))
        mask = None if batch.mask is None else batch.mask[:, ::2]
        for stage in self.stages:
            h = stage(h if mask is None else h * mask.unsqueeze(1))
            mask = None if mask is None else mask[:, ::2]
        z = self.pool(h.transpose(1, 2), mask)
        if self.has_level:
            z = torch.cat([z, batch.extra["level"].unsqueeze(-1)], -1)
        logits: Tensor = self.head(z)
        return logits

    def output_layer(self) -> nn.Linear:
        """Return the layer that an anchor silences."""
        return self.head


class _Stage(nn.Module):
    """Two convolutions of 7 taps around a 1x1 shortcut: (B, C, T) -> (B, C', T / 2)."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = _conv(width, out, 7, 2), nn.BatchNorm1d(out)
        self.conv2, self.norm2 = _conv(out, out, 7, 1), nn.BatchNorm1d(out)
        self.shortcut = _conv(width, out, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(h)) + self.shortcut(x))


def _conv(width: int, out: int, kernel: int, stride: int) -> nn.Conv1d:
    return nn.Conv1d(width, out, kernel, stride, padding=kernel // 2, bias=False)
