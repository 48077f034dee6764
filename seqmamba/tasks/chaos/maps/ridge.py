"""The ridge map: features of a few delayed states give the step to the next state.

NG-RC (Gauthier et al., Nat. Commun. 12 (2021) 5564) takes monomials, RFF random Fourier features.
All in float64: the conditioning of the features limits how long a forecast is valid.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqmamba.tasks.chaos.maps.features import FeatureKind, fourier, monomials, projection

__all__ = ["MapSetting", "RidgeMap", "gram", "solve"]

BOUND = 10.0  # standard deviations; beyond, a rollout counts as diverged
MAX_ROWS = 20_000  # rows of a fit, evenly drawn: more change little and cost much
MAX_CELLS = 30_000_000  # rows times random features, for memory
BLOCK = 5_000  # rows whose features are held at a time
COPIES = 2  # with noise, of each row
EPSILON = 1e-6  # of the finite differences


@dataclass(frozen=True)
class MapSetting:
    """Settings of a ridge map.

    Parameters
    ----------
    kind : {"monomials", "fourier"}
    delays, stride : int
        Delayed states, and samples between two of them.
    degree : int
        Of the monomials.
    n_features : int
        Random Fourier features.
    length_scale : float
        Of their Gaussian kernel, in standard deviations.
    ridge : float
        Penalty relative to the number of rows, on features of unit size.
    noise : float
        On the inputs of a fit, in standard deviations: from states beside an orbit, the map learns
        to come back to it.
    """

    kind: FeatureKind
    delays: int = 1
    stride: int = 1
    degree: int = 2
    n_features: int = 500
    length_scale: float = 2.0
    ridge: float = 1e-11
    noise: float = 0.0

    @property
    def reach(self) -> int:
        """Samples that a step reads."""
        return (self.delays - 1) * self.stride + 1

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


class RidgeMap(nn.Module):
    """Next state from the last ones: (..., reach, V) -> (..., V), scaled units, float64.

    Parameters
    ----------
    setting : MapSetting
    channels : int
        V.
    """

    weight: Tensor
    projection: Tensor

    def __init__(self, setting: MapSetting, channels: int) -> None:
        super().__init__()
        self.setting, self.channels = setting, channels
        dim = setting.delays * channels
        frequencies = torch.zeros(0, dtype=torch.float64)
        if setting.kind != "monomials":
            frequencies = projection(dim, setting.n_features, setting.length_scale)
        self.register_buffer("projection", frequencies)
        self.register_buffer("weight", torch.zeros(0, dtype=torch.float64))

    @classmethod
    def of(cls, setting: MapSetting, channels: int, weight: Tensor, projection: Tensor) -> Self:
        """Return the map of known weights."""
        found = cls.__new__(cls)
        nn.Module.__init__(found)
        found.setting, found.channels = setting, channels
        found.weight, found.projection = weight, projection
        return found

    @property
    def reach(self) -> int:
        """Samples that a step reads."""
        return self.setting.reach

    def fit(self, segments: Sequence[NDArray[np.float64]]) -> Self:
        """Learn the step from segments (n_i, V) of scaled orbits."""
        self.weight = solve(*gram(self, segments), self.setting.ridge)
        return self

    def features(self, delayed: Tensor) -> Tensor:
        """Return the features of delay vectors (..., delays * V)."""
        if self.setting.kind == "monomials":
            return monomials(delayed, self.setting.degree)
        return fourier(delayed, self.projection)

    def step(self, delayed: Tensor) -> Tensor:
        """Return the step to the next state: (B, delays * V) -> (B, V)."""
        if self.setting.kind == "monomials":
            return self.features(delayed) @ self.weight
        # the features of rollouts are not kept: in place, and the constant as a bias
        waves = torch.addmm(self.projection[-1], delayed, self.projection[:-1]).cos_()
        return torch.addmm(self.weight[0], waves, self.weight[1:])

    def slope(self, delayed: Tensor) -> Tensor:
        """Return the derivative of the step: (..., delays * V) -> (..., delays * V, V)."""
        step = self.features(delayed) @ self.weight
        columns = []
        for column in range(delayed.shape[-1]):
            moved = delayed.clone()
            moved[..., column] += EPSILON
            columns.append((self.features(moved) @ self.weight - step) / EPSILON)
        return torch.stack(columns, dim=-2)

    def forward(self, history: Tensor) -> Tensor:
        """Return the state that follows (..., n, V), n at least the reach; newest last."""
        last = history.shape[-2] - 1
        s = self.setting
        delayed = torch.cat([history[..., last - i * s.stride, :] for i in range(s.delays)], -1)
        step: Tensor = history[..., last, :] + self.features(delayed) @ self.weight
        return step.clamp(-BOUND, BOUND)

    def roll(self, history: Tensor, n_steps: int) -> Tensor:
        """Return the states that follow (B, n, V) when each is fed back: (B, n_steps, V)."""
        states = list(history[:, -self.reach :].double().unbind(dim=1))
        for _ in range(n_steps):
            states.append(self._next(states))
        return torch.stack(states[-n_steps:], dim=1)

    def _next(self, states: list[Tensor]) -> Tensor:
        s = self.setting
        newest = [states[-1 - i * s.stride] for i in range(s.delays)]
        delayed = newest[0] if s.delays == 1 else torch.cat(newest, dim=-1)
        return (states[-1] + self.step(delayed)).clamp_(-BOUND, BOUND)

    def pairs(self, segments: Sequence[NDArray[np.float64]]) -> tuple[Tensor, Tensor]:
        """Return delay vectors (n, delays * V) and the steps behind them (n, V)."""
        s = self.setting
        inputs, steps = [], []
        for x in segments:
            n = len(x) - s.reach
            if n < 1:
                continue
            ends = [x[s.reach - 1 - i * s.stride :][:n] for i in range(s.delays)]
            inputs.append(np.concatenate(ends, axis=1))
            steps.append(np.diff(x[s.reach - 1 :], axis=0))
        if not inputs:
            width = self.channels
            return torch.zeros(0, s.delays * width).double(), torch.zeros(0, width).double()
        z, y = np.concatenate(inputs), np.concatenate(steps)
        most = min(MAX_ROWS, MAX_CELLS // max(s.n_features, 1))
        if len(z) > most:
            rows = np.linspace(0, len(z) - 1, most).astype(int)
            z, y = z[rows], y[rows]
        return torch.from_numpy(z), torch.from_numpy(y)


def gram(
    map_: RidgeMap, segments: Sequence[NDArray[np.float64]]
) -> tuple[Tensor, Tensor, Tensor, int]:
    """Return the normal equations: (F, F), (F, V), size of each feature (F,), and rows."""
    z, y = _jittered(*map_.pairs(segments), map_.setting.noise)
    matrix = target = torch.zeros((), dtype=torch.float64)
    for some, steps in zip(torch.split(z, BLOCK), torch.split(y, BLOCK), strict=True):
        features = map_.features(some)
        matrix, target = matrix + features.T @ features, target + features.T @ steps
    size = (matrix.diagonal() / max(len(z), 1)).sqrt().clamp_min(1e-12)
    return matrix / size / size[:, None], target / size[:, None], size, len(z)


def _jittered(z: Tensor, y: Tensor, noise: float) -> tuple[Tensor, Tensor]:
    """Add copies of delay vectors with noise, whose steps lead where those without it lead."""
    if not noise:
        return z, y
    random = torch.Generator().manual_seed(0)
    shape = (COPIES, *z.shape)
    moved = noise * torch.randn(shape, generator=random, dtype=z.dtype)
    steps = y - moved[..., : y.shape[1]]  # the newest state comes first
    return torch.cat([z, (z + moved).flatten(0, 1)]), torch.cat([y, steps.flatten(0, 1)])


def solve(matrix: Tensor, target: Tensor, size: Tensor, rows: int, ridge: float) -> Tensor:
    """Return the weights (F, V) of a ridge regression; more ridge where it is singular."""
    eye = torch.eye(len(matrix), dtype=torch.float64)
    while True:
        factor, failed = torch.linalg.cholesky_ex(matrix + ridge * max(rows, 1) * eye)
        if not int(failed):
            return torch.cholesky_solve(target, factor) / size[:, None]
        ridge *= 10
