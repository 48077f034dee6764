"""Numbers of an attractor from data: correlation dimension and largest Lyapunov exponent."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqmamba.errors import DataError

__all__ = ["correlation_dimension", "dfrac_paper", "lyapunov_rosenstein"]

Array = NDArray[np.float64]


def correlation_dimension(
    x: Any, *, theiler: int = 20, low: float = 0.1, high: float = 5.0, max_points: int = 5_000
) -> float:
    """Return the slope of ``log C(r)`` between two percentiles of the distances.

    Source: Grassberger and Procaccia, Physica D 9 (1983) 189. The default percentiles give 2.06 for
    the Lorenz attractor (there: 2.05); from 1 to 20 the line bends already and gives 1.95.

    Parameters
    ----------
    x : array (n, V)
        At least 5000 points on the attractor.
    theiler : int
        Pairs closer in time are left out; about one mean return time.
    low, high : float
        Percentiles of the distances between which the line is fitted.
    max_points : int
        Points used, evenly drawn from x.
    """
    points = np.asarray(x, np.float64)
    stride = max(len(points) // max_points, 1)
    points = points[::stride]
    distances = _distances(points, -(-theiler // stride))
    near, far = (float(np.percentile(distances, q)) for q in (low, high))
    radii = np.geomspace(near, far, 30)
    counts = np.searchsorted(np.sort(distances), radii) / len(distances)
    return float(np.polyfit(np.log(radii), np.log(counts), 1)[0])


def dfrac_paper(truth: Any, generated: Any) -> float:
    """Return the root mean square difference of the paper's dimensions, trajectories (M, H, V).

    Per trajectory the distances above their 5th percentile and below the median of those give
    ``1 + n / sum(log(r / r_min))``: the tail of a power law, not a calibrated dimension.
    """
    pairs = zip(np.asarray(truth, float), np.asarray(generated, float), strict=True)
    errors = [(_tail(a) - _tail(np.nan_to_num(b))) ** 2 for a, b in pairs]
    return float(np.sqrt(np.mean(errors)))


def lyapunov_rosenstein(
    x: Any, *, dt: float = 1.0, delays: int = 1, lag: int = 1, theiler: int = 50, steps: int = 0
) -> float:
    """Return an estimate of the largest Lyapunov exponent per unit of time, some 20 % off.

    The mean logarithmic distance of nearest neighbours grows in a line at first; its slope over the
    first third of the way to saturation is the exponent. Source: Rosenstein et al., Physica D 65
    (1993) 117.

    Parameters
    ----------
    x : array (n, V)
    dt : float
        Time between rows.
    delays, lag : int
        Of the embedding, where not all variables are observed.
    theiler : int
        Neighbours closer in time are left out.
    steps : int
        Rows to follow the pairs; 0 = a tenth of the data, at most 500.

    Raises
    ------
    DataError
        Too few rows.
    """
    from scipy.spatial import KDTree  # heavy: the list of tasks names this module

    points = np.asarray(x, np.float64)
    points = (points - points.mean(axis=0)) / points.std(axis=0)
    steps = steps or min(len(points) // 10, 500)
    reach = (delays - 1) * lag
    n = len(points) - reach - steps
    if n < 10 * theiler // 5 + 50:
        raise DataError(
            f"{len(points)} rows are too few to estimate a Lyapunov exponent; pass lyapunov_time."
        )
    states = np.concatenate([points[i * lag : i * lag + n + steps] for i in range(delays)], axis=1)
    found = KDTree(states[:n]).query(states[:n], k=min(2 * theiler + 2, n))[1]
    apart = np.abs(found - np.arange(n)[:, None]) > theiler
    has = apart.any(axis=1)
    first = np.flatnonzero(has)
    second = found[first, apart[first].argmax(axis=1)]
    curve = np.empty(steps)
    for k in range(steps):
        gap = np.linalg.norm(states[first + k] - states[second + k], axis=1)
        curve[k] = np.log(gap[gap > 0]).mean()
    return _slope(curve) / dt


def _slope(curve: Array) -> float:
    """Return the steepest lasting growth: between a tenth and two thirds of the way up."""
    top = curve[len(curve) // 2 :].mean()
    height = (curve - curve[0]) / max(top - curve[0], 1e-12)
    start = int(np.argmax(height >= 0.15))
    stop = max(int(np.argmax(height >= 0.7)), start + 3)
    return float(np.polyfit(np.arange(start, stop), curve[start:stop], 1)[0])


def _distances(points: Array, theiler: int) -> Array:
    """Return the distances of all pairs at least ``theiler`` rows apart, in blocks."""
    from scipy.spatial.distance import cdist  # heavy: the list of tasks names this module

    parts = []
    for start in range(0, len(points), 1_000):
        block = cdist(points[start : start + 1_000], points)
        rows = np.arange(start, start + len(block))[:, None]
        parts.append(block[np.arange(len(points))[None] - rows >= max(theiler, 1)])
    found: Array = np.concatenate(parts)
    return found[found > 0]


def _tail(x: Array) -> float:
    distances = _distances(x, 1)
    if not len(distances):
        return 0.0
    kept = distances[distances > np.percentile(distances, 5)]
    kept = kept[kept < np.percentile(kept, 50)] if len(kept) else kept
    if len(kept) < 2:
        return 0.0
    total = np.log(kept / kept.min()).sum()
    return 1.0 + len(kept) / float(total) if total > 0 else 0.0
