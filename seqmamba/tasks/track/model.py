"""The motion network: the last q offsets of an object to its next one."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from seqmamba.datasets.samples import Batch
from seqmamba.nn import Encoder, MeanPool
from seqmamba.tasks.track.histories.offsets import LIMIT, SMALLEST_PX

__all__ = ["MotionNet", "Scale", "ScaleName", "confidence", "rollout"]

ScaleName = Literal["box", "image", "std"]
USUAL, SPREAD = 0.8, 0.2  # of confidences, to bring them to the size of the offsets
SMALLEST = 0.1  # of the last size: a prediction never shrinks a box below it


class Scale(nn.Module):
    """Unit of the offsets: (B, C) last boxes -> (B, 1) or (C,).

    Parameters
    ----------
    name : {"box", "image", "std"}
        A tenth of the geometric mean of width and height; the size of the image over its gain;
        the standard deviation of all offsets.
    unit : tuple of C floats
        The constant of "image" and "std".
    """

    def __init__(self, name: ScaleName, unit: tuple[float, ...]) -> None:
        super().__init__()
        self.name = name
        self.register_buffer("unit", torch.tensor(unit, dtype=torch.float32), persistent=False)
        self.unit: Tensor

    def forward(self, last: Tensor) -> Tensor:
        """Return the unit for each row."""
        if self.name != "box":
            return self.unit
        size = torch.sqrt((last[:, 2:3] * last[:, 3:4]).clamp(min=0))
        return torch.clamp(size, min=SMALLEST_PX) / 10

    def offsets(self, x: Tensor) -> Tensor:
        """Return the scaled, clipped offsets of histories: (B, q + 1, C) -> (B, q, C)."""
        unit = self(x[:, -1])
        unit = unit[:, None] if unit.ndim == 2 else unit
        return torch.clamp((x[:, 1:] - x[:, :-1]) / unit, -LIMIT, LIMIT)


class MotionNet(nn.Module):
    """Embedding, bidirectional encoder, mean, two layers: Batch of (B, q + 1, C) -> (B, C).

    Source: arXiv 2408.09178. The output is the next offset in the unit of the scale; it is zero
    before training, so that an untrained network expects no motion.

    Parameters
    ----------
    channels : int
        C: 4 for boxes, 2 for points.
    scale : Scale
    preset : str
        Of :class:`seqmamba.nn.Encoder`: "mambatrack" is the paper's.
    d_model, n_layers, d_state : int
    residual : bool
        Carry the input of a layer around its scans; the paper does not.
    confident : bool
        Read how sure the detector was of each box beside its offset; the paper does not.
    backend : str
    """

    def __init__(
        self,
        channels: int,
        scale: Scale,
        *,
        preset: str,
        d_model: int,
        n_layers: int,
        d_state: int,
        residual: bool = False,
        confident: bool = False,
        dropout: float = 0.0,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self.scale, self.confident = scale, confident
        self.embed = nn.Linear(channels + confident, d_model)
        self.encoder = Encoder.preset(
            preset,
            d_model=d_model,
            n_layers=n_layers,
            d_state=d_state,
            mixer_residual=residual,
            dropout=dropout,
            backend=backend,
        )
        self.pool = MeanPool()
        self.hidden = nn.Linear(d_model, d_model)
        self.activation = nn.LeakyReLU(0.01)
        self.out = nn.Linear(d_model, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def output_layer(self) -> nn.Linear:
        """Return the last layer."""
        return self.out

    def forward(self, batch: Batch) -> Tensor:
        """Return the next offset in scaled units: (B, C)."""
        h = self.scale.offsets(batch.x)  # (B, q, C)
        if self.confident:
            sure = (confidence(batch)[:, 1:, None] - USUAL) / SPREAD
            h = torch.cat([h, sure], dim=-1)  # (B, q, C + 1)
        h = self.pool(self.encoder(self.embed(h)))  # (B, D)
        offset: Tensor = self.out(self.activation(self.hidden(h)))
        return offset


def confidence(batch: Batch) -> Tensor:
    """Return how sure the detector was of each box of a history, 1 if unknown: (B, q + 1)."""
    sure = batch.extra.get("confidence")
    return batch.x.new_ones(batch.x.shape[:2]) if sure is None else sure


def rollout(net: Any, scale: Scale, batch: Batch, h: int) -> Tensor:
    """Feed the predictions back for ``h`` steps: (B, q + 1, C) -> (B, h, C) boxes."""
    x, sure, steps = batch.x, confidence(batch), []
    for _ in range(h):
        last = x[:, -1]
        # without the limit one wild size is the unit of the next offset, and so on
        offset = torch.clamp(net(Batch(x=x, extra={"confidence": sure})), -LIMIT, LIMIT)
        box = last + offset * scale(last)
        if box.shape[-1] == 4:
            box = torch.cat([box[:, :2], torch.maximum(box[:, 2:], SMALLEST * last[:, 2:])], dim=1)
        x = torch.cat([x[:, 1:], box[:, None]], dim=1)
        sure = torch.cat([sure[:, 1:], torch.zeros_like(sure[:, :1])], dim=1)
        steps.append(box)
    return torch.stack(steps, dim=1)
