"""Anchors of the motion network: last offset, Kalman filter, linear autoregression.

All three are linear in the last q offsets: a constant-velocity filter with fixed noise has gains
that do not depend on the data.
"""

from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqmamba.datasets.samples import Batch, Samples
from seqmamba.tasks.track.histories.noise import Noise
from seqmamba.tasks.track.histories.offsets import LIMIT
from seqmamba.tasks.track.model import Scale
from seqmamba.train.anchor import Anchor

__all__ = ["KalmanAnchor", "LastAnchor", "LinearAnchor", "ridge"]

CHUNK = 8192
RIDGE = 10.0


class LinearAnchor(Anchor):
    """Ridge regression of the next offset on the last q: Batch -> (B, C).

    Parameters
    ----------
    q, channels : int
        Offsets in a history; numbers per offset.
    scale : Scale
    noise : Noise or None
        Corruption of the histories that it is fitted on.
    """

    def __init__(self, q: int, channels: int, scale: Scale, noise: Noise | None = None) -> None:
        super().__init__()
        self.scale, self.noise = scale, noise
        self.register_buffer("weights", torch.zeros(q * channels + 1, channels))
        self.weights: Tensor

    def fit(self, samples: Samples) -> Self:
        """Solve for the weights."""
        self.weights = torch.from_numpy(ridge(samples, self.scale, self.noise)).float()
        return self

    def forward(self, batch: Batch) -> Tensor:
        """Return the next offset in scaled units."""
        x = self.scale.offsets(batch.x).flatten(1)
        return torch.addmm(self.weights[-1], x, self.weights[:-1])


class LastAnchor(LinearAnchor):
    """The last offset again."""

    def fit(self, samples: Samples) -> Self:
        """Set the weights; nothing is learned."""
        channels = self.weights.shape[1]
        weights = torch.zeros_like(self.weights)
        weights[-1 - channels : -1] = torch.eye(channels)
        self.weights = weights
        return self


class KalmanAnchor(LinearAnchor):
    """Constant velocity, filtered from the first offset of the history on, as ``Xyxy`` does."""

    def fit(self, samples: Samples) -> Self:
        """Turn the filter's gains into weights; nothing is learned."""
        channels = self.weights.shape[1]
        taps = _kalman_taps((len(self.weights) - 1) // channels)
        weights = torch.zeros_like(self.weights)
        weights[:-1] = torch.kron(taps[:, None], torch.eye(channels))
        self.weights = weights
        return self


def ridge(samples: Samples, scale: Scale, noise: Noise | None) -> NDArray[np.float64]:
    """Return ridge weights of the next scaled offset on the last ones: (q C + 1, C)."""
    size, channels = samples.info.channels * (samples.info.length[1] - 1) + 1, samples.info.channels
    xx = torch.zeros(size, size, dtype=torch.float64)
    xy = torch.zeros(size, channels, dtype=torch.float64)
    for start in range(0, len(samples), CHUNK):
        batch = samples.batch(np.arange(start, min(start + CHUNK, len(samples))))
        assert batch.y is not None
        seen = batch.x if noise is None else noise(batch.x)
        last = seen[:, -1]
        x = scale.offsets(seen).flatten(1).double()
        x = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], dim=1)
        y = ((batch.y[:, 0] - last) / scale(last)).clamp(-LIMIT, LIMIT).double()
        xx += x.T @ x
        xy += x.T @ y
    weights: NDArray[np.float64] = torch.linalg.solve(
        xx + RIDGE * torch.eye(len(xx), dtype=xx.dtype), xy
    ).numpy()
    return weights


def _kalman_taps(q: int) -> Tensor:
    """Return the weight of each offset, oldest first, in the next one: (q,).

    The filter of :class:`seqmamba.tasks.track.motion.forms.Xyxy`, run on the cumulated sums of
    unit offsets; the predicted offset is measured from the last box.
    """
    path = torch.tril(torch.ones(q, q, dtype=torch.float64))  # box k after a unit offset at j <= k
    position, velocity = torch.zeros(2, q, dtype=torch.float64)
    spread, cross, drift = 1.0, 0.0, 1.0  # the first box is the origin
    for k in range(q):
        position = position + velocity
        spread, cross, drift = spread + 2 * cross + drift + 0.01, cross + drift, drift + 0.01
        gain, push = spread / (spread + 0.1), cross / (spread + 0.1)
        error = path[k] - position
        position, velocity = position + gain * error, velocity + push * error
        spread, cross, drift = (1 - gain) * spread, (1 - gain) * cross, drift - push * cross
    return torch.as_tensor(position + velocity - path[-1]).float()
