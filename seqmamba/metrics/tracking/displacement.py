"""Errors of forecast positions: ADE and FDE of points, IoU of boxes by horizon."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqmamba.errors import DataError
from seqmamba.metrics.tracking.overlap import iou

__all__ = ["ade", "fde", "horizon_iou"]


def ade(truth: ArrayLike, forecast: ArrayLike) -> float:
    """Return the average displacement error: mean distance over all steps.

    Parameters
    ----------
    truth, forecast : array (N, H, 2)
        Positions of N objects over H steps, in one unit.

    Returns
    -------
    float
        In the unit of the positions; smaller is better; NaN without objects.

    Examples
    --------
    >>> ade(np.zeros((1, 2, 2)), np.array([[[3.0, 4.0], [0.0, 1.0]]]))
    3.0
    """
    return _mean(_distances(truth, forecast))


def fde(truth: ArrayLike, forecast: ArrayLike) -> float:
    """Return the final displacement error: mean distance at the last step; see :func:`ade`."""
    return _mean(_distances(truth, forecast)[:, -1])


def horizon_iou(truth: ArrayLike, forecast: ArrayLike) -> NDArray[np.float64]:
    """Return the mean IoU of true and forecast boxes per step: (N, H, 4), (N, H, 4) -> (H,)."""
    a, b = _pair(truth, forecast, 4)
    overlap: NDArray[np.float64] = iou(a, b).mean(axis=0)
    return overlap


def _distances(truth: ArrayLike, forecast: ArrayLike) -> NDArray[np.float64]:
    a, b = _pair(truth, forecast, 2)
    distances: NDArray[np.float64] = np.linalg.norm(a - b, axis=-1)
    return distances


def _pair(
    truth: ArrayLike, forecast: ArrayLike, size: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = np.asarray(truth, np.float64), np.asarray(forecast, np.float64)
    if a.shape != b.shape or a.ndim != 3 or a.shape[-1] != size or a.shape[1] == 0:
        raise DataError(
            f"truth {a.shape} and forecast {b.shape} must both have shape (N, H, {size}), H >= 1."
        )
    return a, b


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else float("nan")
