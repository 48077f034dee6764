"""Whether a trained network is surely better than the cheap forecast that it stands on."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqmamba.datasets.samples import Batch, Samples
from seqmamba.datasets.windows import WindowSamples
from seqmamba.tasks.forecast.losses import LossName, window_losses

__all__ = ["Gain", "is_surely_better", "measured_gain"]

WindowLosses = Callable[[nn.Module, Batch], Tensor]

STANDARD_ERRORS = 2.0
MIN_BLOCKS = 4


@dataclass(frozen=True)
class Gain:
    """Mean reduction of the validation loss by a network, and its standard error."""

    mean: float
    standard_error: float

    @property
    def is_sure(self) -> bool:
        """True if chance is no likely cause: the mean is above two standard errors."""
        return self.mean > STANDARD_ERRORS * self.standard_error


def is_surely_better(
    simple: nn.Module,
    other: nn.Module,
    valid: Samples,
    *,
    quantiles: tuple[float, ...] | None = None,
) -> bool:
    """Say whether a forecast is better than a simpler one beyond chance.

    It must be so in squared and in absolute error: a gain in squares alone may come from a few
    large errors. Quantile forecasts are compared by their pinball loss.
    """
    assert isinstance(valid, WindowSamples)
    names: tuple[LossName, ...] = ("mse",) if quantiles else ("mse", "mae")

    def losses(net: nn.Module, batch: Batch, name: LossName) -> Tensor:
        assert batch.y is not None
        observed = batch.extra.get("y_observed")
        return window_losses(name, net(batch), batch.y, observed, quantiles)

    return all(
        measured_gain(partial(losses, name=name), other, simple, valid).is_sure for name in names
    )


def measured_gain(
    losses_of: WindowLosses, net: nn.Module, anchor: nn.Module, valid: WindowSamples
) -> Gain:
    """Compare a network with its anchor on blocks of validation windows.

    Windows that overlap are no independent witnesses: those whose cuts lie within one horizon
    count as one block, and the error is that of the mean over blocks. Short validation parts are
    cut into ``MIN_BLOCKS`` shorter blocks; with fewer windows the error is taken as none.

    Parameters
    ----------
    losses_of : callable (net, Batch) -> Tensor (B,)
    """
    group, cut = valid.place(np.arange(len(valid)))
    tick = valid.panel.first_tick[group] + cut
    length = max(min(valid.h, (int(np.ptp(tick)) + 1) // MIN_BLOCKS), 1)
    _, block = np.unique((tick - tick.min()) // length, return_inverse=True)
    difference = _losses(losses_of, anchor, valid) - _losses(losses_of, net, valid)
    count = np.bincount(block)
    means = np.bincount(block, weights=difference) / count
    mean = float(difference.mean())
    if len(means) < MIN_BLOCKS:
        return Gain(mean, 0.0)
    spread = float(np.average((means - mean) ** 2, weights=count))
    return Gain(mean, math.sqrt(spread / (len(means) - 1)))


def _losses(losses_of: WindowLosses, net: nn.Module, samples: WindowSamples) -> NDArray[np.float64]:
    """Return the loss of each window: (len(samples),)."""
    tensors = [*net.parameters(), *net.buffers()]
    device = tensors[0].device if tensors else torch.device("cpu")
    parts = []
    with torch.inference_mode():
        for start in range(0, len(samples), 256):
            indices = np.arange(start, min(start + 256, len(samples)))
            batch = samples.batch(indices).to(device)
            parts.append(losses_of(net, batch).double().cpu().numpy())
    return np.concatenate(parts)
