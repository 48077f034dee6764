r"""Noise reduction: the orbit nearest to noisy rows that a map could have made.

.. math:: \min_x \sum_t |x_t - y_t|^2 + \rho \sum_t |x_{t+1} - F(x_t, x_{t-s}, \dots)|^2

by Gauss-Newton steps, many windows at once. Of the newest row, errors along the stable directions
vanish and those along the unstable one are averaged over the last Lyapunov time. Weak-constraint
form of noise reduction for chaotic data (Davies, Physica D 79 (1994) 174).
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqmamba.tasks.chaos.maps.ridge import RidgeMap

__all__ = ["smooth", "smooth_segments"]

Array = NDArray[np.float64]

ITERATIONS = 3
MAX_UNKNOWNS = 400  # per window
WINDOW = 60  # rows per window of a long orbit
AT_ONCE = 256


def smooth(map_: RidgeMap, observed: Array, ratio: float) -> Array:
    """Return windows with less noise.

    Parameters
    ----------
    map_ : RidgeMap
    observed : array (B, T, V)
        Scaled. More rows than the map reads, or they pass as they are.
    ratio : float
        Variance of the observations' noise over that of the map's error.
    """
    y = torch.from_numpy(np.ascontiguousarray(observed))
    if y.shape[1] <= map_.reach or not len(y):
        return observed
    parts = [_smooth(map_, part, ratio) for part in torch.split(y, AT_ONCE)]
    return torch.cat(parts).numpy()


def smooth_segments(map_: RidgeMap, segments: Sequence[Array], ratio: float) -> list[Array]:
    """Return whole orbits with less noise: overlapping windows, of which the middles count."""
    return [_smooth_orbit(map_, segment, ratio) for segment in segments]


def window_rows(map_: RidgeMap) -> int:
    """Return how many rows a window may have, at most."""
    return min(WINDOW, MAX_UNKNOWNS // map_.channels)


def _smooth_orbit(map_: RidgeMap, x: Array, ratio: float) -> Array:
    rows = min(window_rows(map_), len(x))
    if rows <= 2 * map_.reach:
        return x
    half = max(rows // 2, 1)
    starts = np.unique(np.append(np.arange(0, len(x) - rows + 1, half), len(x) - rows))
    windows = np.stack([x[s : s + rows] for s in starts])
    found = smooth(map_, windows, ratio)
    out, quarter = x.copy(), rows // 4
    for start, window in zip(starts, found, strict=True):
        first = 0 if start == 0 else quarter
        last = rows if start == starts[-1] else rows - quarter
        out[start + first : start + last] = window[first:last]
    return out


def _smooth(map_: RidgeMap, y: Tensor, ratio: float) -> Tensor:
    rows, channels = y.shape[1:]
    n, x = rows * channels, y.clone()
    eye = torch.eye(n, dtype=y.dtype)
    weight = ratio**0.5
    for _ in range(ITERATIONS):
        defect, slope = _linearised(map_, x)
        slope, defect = slope * weight, defect.flatten(1) * weight
        matrix = eye + slope.transpose(1, 2) @ slope
        right = (y - x).flatten(1) - (slope.transpose(1, 2) @ defect.unsqueeze(-1)).squeeze(-1)
        factor = torch.linalg.cholesky(matrix)
        step = torch.cholesky_solve(right.unsqueeze(-1), factor).reshape(y.shape)
        x = x + step.clamp(-1.0, 1.0)
    return torch.where(torch.isfinite(x).all(dim=(1, 2), keepdim=True), x, y)


def _linearised(map_: RidgeMap, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``x[t+1] - F(...)`` (B, n, V) and its slope in all rows (B, n V, T V)."""
    s, (batch, rows, channels) = map_.setting, x.shape
    count = rows - s.reach
    ends = [s.reach - 1 - i * s.stride for i in range(s.delays)]
    delayed = torch.cat([x[:, e : e + count] for e in ends], dim=-1)  # (B, n, k V)
    step = map_.features(delayed) @ map_.weight
    defect = x[:, s.reach :] - delayed[..., :channels] - step
    slope = x.new_zeros(batch, count, channels, rows, channels)
    index, eye = torch.arange(count), torch.eye(channels, dtype=x.dtype)
    slope[:, index, :, index + s.reach, :] += eye
    slope[:, index, :, index + ends[0], :] -= eye
    changes = map_.slope(delayed)  # (B, n, k V, V)
    for column in range(delayed.shape[-1]):
        lag, channel = divmod(column, channels)
        slope[:, index, :, index + ends[lag], channel] -= changes[:, :, column].transpose(0, 1)
    return defect, slope.reshape(batch, count * channels, rows * channels)
