"""Cheap models that fit in one pass: an echo-state network, analogues, persistence."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree
from torch import Tensor, nn

from seqmamba.datasets.samples import Batch
from seqmamba.tasks.chaos.maps.ridge import BOUND
from seqmamba.tasks.chaos.net.rollout import Recurrent

__all__ = ["Analogues", "EchoState", "Persistence"]

Array = NDArray[np.float64]


class Persistence(nn.Module):
    """The last row again: Batch of (B, n, V) -> (B, 1, 1, V)."""

    def forward(self, batch: Batch) -> Tensor:
        """Return the last row."""
        return batch.x[:, -1:].unsqueeze(1)


class Analogues(nn.Module):
    """The mean step of the most similar moments: Batch of (B, n, V) -> (B, 1, 1, V).

    Weighted by distance; a moment is the last rows of the delay embedding.

    Parameters
    ----------
    segments : sequence of array (n_i, V)
        Scaled orbits to look things up in.
    delays, lag : int
    neighbours : int
    """

    def __init__(
        self, segments: Sequence[Array], *, delays: int = 1, lag: int = 1, neighbours: int = 8
    ) -> None:
        super().__init__()
        self.delays, self.lag, self.neighbours = delays, lag, neighbours
        reach = (delays - 1) * lag
        moments, steps = [], []
        for x in segments:
            n = len(x) - reach - 1
            if n > 0:
                rows = [x[reach - i * lag : reach - i * lag + n] for i in range(delays)]
                moments.append(np.concatenate(rows, axis=1))
                steps.append(np.diff(x[reach:], axis=0))
        self.tree = KDTree(np.concatenate(moments))
        self.steps: Array = np.concatenate(steps)

    def forward(self, batch: Batch) -> Tensor:
        """Look up the newest moment of each row."""
        x = batch.x.numpy()
        last = x.shape[1] - 1
        rows = [x[:, max(last - i * self.lag, 0)] for i in range(self.delays)]
        moment = np.nan_to_num(np.concatenate(rows, axis=1))
        count = min(self.neighbours, len(self.steps))
        distance, index = self.tree.query(moment, k=np.arange(1, count + 1))
        weight = 1 / (distance + 1e-12)
        weight /= weight.sum(axis=1, keepdims=True)
        step = (weight[..., None] * self.steps[index]).sum(axis=1)
        return torch.from_numpy(x[:, -1] + step)[:, None, None]


class EchoState(Recurrent):
    """A random recurrent network with a ridge read-out: Batch of (B, n, V) -> (B, 1, 1, V).

    The state starts at zero and is driven by the context; contexts of fewer than some 30 rows leave
    it unsettled. Source: Jaeger and Haas, Science 304 (2004) 78; spectral radius 0.9, no leak.

    Parameters
    ----------
    segments : sequence of array (n_i, V)
        Scaled.
    units : int
    ridge : float
        Relative to the number of rows.
    """

    def __init__(
        self, segments: Sequence[Array], *, units: int = 300, ridge: float = 1e-6, seed: int = 0
    ) -> None:
        super().__init__()
        random = np.random.default_rng(seed)
        channels = segments[0].shape[1]
        links = random.standard_normal((units, units)) * (random.random((units, units)) < 0.05)
        radius = float(np.abs(np.linalg.eigvals(links)).max())
        self.links: Array = links * (0.9 / max(radius, 1e-9))
        self.inputs: Array = random.uniform(-0.5, 0.5, (channels + 1, units))
        features, targets = [], []
        for x in segments:
            state = np.zeros((1, units))
            for t in range(len(x) - 1):
                state = self._advance(state, x[None, t])
                if t >= min(100, len(x) // 2):
                    features.append(self._features(state, x[None, t])[0])
                    targets.append(x[t + 1] - x[t])
        z, y = np.array(features), np.array(targets)
        matrix = z.T @ z + ridge * len(z) * np.eye(z.shape[1])
        self.readout: Array = np.linalg.solve(matrix, z.T @ y)

    def forward(self, batch: Batch) -> Tensor:
        """Drive the network with the rows of the batch and read the next one off."""
        return self.run(batch.x, 1, BOUND).unsqueeze(1)

    def run(self, context: Tensor, h: int, bound: float) -> Tensor:
        """Drive the network with contexts (B, n, V), then with its own answers: (B, h, V)."""
        rows = context.numpy().swapaxes(0, 1)
        state = np.zeros((rows.shape[1], len(self.links)))
        for x in rows:
            state = self._advance(state, x)
        path = np.empty((h, *rows.shape[1:]))
        for t in range(h):
            x = np.clip(x + self._features(state, x) @ self.readout, -bound, bound)
            path[t], state = x, self._advance(state, x)
        return torch.from_numpy(path.swapaxes(0, 1).copy())

    def _advance(self, state: Array, x: Array) -> Array:
        drive = x @ self.inputs[:-1] + self.inputs[-1]
        found: Array = np.tanh(state @ self.links + drive)
        return found

    @staticmethod
    def _features(state: Array, x: Array) -> Array:
        half = state[:, : state.shape[1] // 2] ** 2  # breaks the symmetry of tanh
        return np.concatenate([np.ones((len(x), 1)), x, state, half], axis=1)
