"""Errors of forecasts: points, quantiles, intervals.

Arrays are (..., series): the last axis holds the series, all others windows and steps; a flat array
is one series. A missing true value (NaN) is left out. A division by zero makes the whole series
NaN, with one warning that counts the series; means over series leave such series out.

Sources: forecasting specification, 7; Hyndman and Koehler (2006) for MASE; the M5 competition's
guide for RMSSE; Gneiting and Raftery (2007) for the pinball loss and CRPS.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqmamba.errors import DataError, SeqmambaWarning
from seqmamba.metrics.metric import Metric

__all__ = ["METRICS", "coverage", "crps", "interval_width", "mae", "mape", "mase", "mse"]
__all__ += ["pinball", "rmse", "rmsse", "seasonal_scale", "smape", "weighted_quantile_loss"]

Float64 = NDArray[np.float64]
Axis = int | tuple[int, ...] | None


def mse(truth: ArrayLike, forecast: ArrayLike, *, axis: Axis = None) -> Any:
    """Mean squared error; 0 is perfect.

    Examples
    --------
    >>> float(mse([1.0, 2.0], [1.0, 4.0]))
    2.0
    """
    return _mean(_error(truth, forecast) ** 2, axis)


def mae(truth: ArrayLike, forecast: ArrayLike, *, axis: Axis = None) -> Any:
    """Mean absolute error; 0 is perfect."""
    return _mean(np.abs(_error(truth, forecast)), axis)


def rmse(truth: ArrayLike, forecast: ArrayLike, *, axis: Axis = None) -> Any:
    """Root of the mean squared error; 0 is perfect."""
    return np.sqrt(mse(truth, forecast, axis=axis))


def mape(truth: ArrayLike, forecast: ArrayLike, *, axis: Axis = None) -> Any:
    """Mean of ``|truth - forecast| / |truth|``; 0 is perfect; NaN for a series with a zero."""
    error = np.abs(_error(truth, forecast))
    return _mean(_ratio(error, np.abs(_float(truth)), "mape"), axis)


def smape(truth: ArrayLike, forecast: ArrayLike, *, axis: Axis = None) -> Any:
    """Mean of ``2 |truth - forecast| / (|truth| + |forecast|)``, from 0 (perfect) to 2."""
    error = np.abs(_error(truth, forecast))
    size = np.abs(_float(truth)) + np.abs(_float(forecast))
    return _mean(_ratio(2 * error, size, "smape"), axis)


def mase(truth: ArrayLike, forecast: ArrayLike, *, scale: ArrayLike, axis: Axis = None) -> Any:
    """Mean absolute error over that of the seasonal naive forecast in the training part.

    Parameters
    ----------
    scale : (series,)
        From :func:`seasonal_scale`.

    Returns
    -------
    float or array
        1 is as good as the naive forecast one season ahead in the training part.

    Examples
    --------
    >>> float(mase([4.0, 5.0], [3.0, 6.0], scale=[2.0]))
    0.5
    """
    error = np.abs(_error(truth, forecast))
    return _mean(_ratio(error, _float(scale), "mase"), axis)


def rmsse(truth: ArrayLike, forecast: ArrayLike, *, scale: ArrayLike, axis: Axis = None) -> Any:
    """Root mean squared error per series over ``scale``; ``scale`` from power 2."""
    ratio = _ratio(_error(truth, forecast), _float(scale), "rmsse") ** 2
    if axis is not None:
        return np.sqrt(_mean(ratio, axis))
    per_series = np.sqrt(_mean(ratio, tuple(range(ratio.ndim - 1))))
    return _mean(per_series, None)


def seasonal_scale(train: ArrayLike, season: int = 1, *, power: int = 1) -> Float64:
    r"""Return :math:`(\mathrm{mean}_t |y_t - y_{t-m}|^p)^{1/p}` of each series: (series,).

    Parameters
    ----------
    train : (rows, series)
        Training part; NaN = missing.
    season : int
        m.
    power : {1, 2}
        1 for MASE, 2 for RMSSE.
    """
    values = _float(train)
    if len(values) <= season:
        return np.full(values.shape[1:], np.nan)
    change = np.abs(values[season:] - values[:-season]) ** power
    return np.asarray(_mean(change, 0) ** (1 / power))


def pinball(truth: ArrayLike, forecast: ArrayLike, q: float, *, axis: Axis = None) -> Any:
    """Mean of ``max(q e, (q - 1) e)`` with ``e = truth - forecast``; 0 is perfect."""
    error = _error(truth, forecast)
    return _mean(np.maximum(q * error, (q - 1) * error), axis)


def crps(
    truth: ArrayLike, forecasts: ArrayLike, quantiles: Sequence[float], *, axis: Axis = None
) -> Any:
    """Continuous ranked probability score from quantiles: twice the mean pinball loss.

    Parameters
    ----------
    truth : (...)
    forecasts : (..., Q)
        One forecast per quantile, on the last axis.
    """
    values = _float(forecasts)
    losses = [pinball(truth, values[..., k], q, axis=axis) for k, q in enumerate(quantiles)]
    return 2 * np.mean(losses, axis=0)


def weighted_quantile_loss(
    truth: ArrayLike, forecasts: ArrayLike, quantiles: Sequence[float]
) -> Any:
    """Mean over q of ``2 sum pinball_q / sum |truth|``; NaN if all true values are zero."""
    true, values = _float(truth), _float(forecasts)
    seen = np.isfinite(true)
    total = float(np.abs(true[seen]).sum())
    if total == 0:
        return float("nan")
    error = true[..., None] - values
    levels = np.asarray(quantiles)
    losses = np.maximum(levels * error, (levels - 1) * error)[seen]
    return float(np.mean(2 * losses.sum(axis=0) / total))


def coverage(truth: ArrayLike, low: ArrayLike, high: ArrayLike, *, axis: Axis = None) -> Any:
    """Share of true values inside their interval; the nominal level is best."""
    true = _float(truth)
    inside = ((true >= _float(low)) & (true <= _float(high))).astype(np.float64)
    return _mean(np.where(np.isfinite(true), inside, np.nan), axis)


def interval_width(low: ArrayLike, high: ArrayLike, *, axis: Axis = None) -> Any:
    """Mean of ``high - low``, in the unit of the series."""
    return _mean(_float(high) - _float(low), axis)


METRICS: Mapping[str, Metric] = {
    "mae": Metric(mae),
    "mse": Metric(mse),
    "rmse": Metric(rmse),
    "mape": Metric(mape),
    "smape": Metric(smape),
    "mase": Metric(mase),
    "rmsse": Metric(rmsse),
}


def _float(values: ArrayLike) -> Float64:
    return np.asarray(values, np.float64)


def _error(truth: ArrayLike, forecast: ArrayLike) -> Float64:
    true, given = _float(truth), _float(forecast)
    if true.shape != given.shape:
        raise DataError(
            f"truth has shape {true.shape}, forecast {given.shape}; they need the same."
        )
    return true - given


def _ratio(numerator: Float64, denominator: Float64, name: str) -> Float64:
    """Divide; a series that would be divided by zero becomes NaN as a whole."""
    wide = np.broadcast_to(denominator, numerator.shape)
    zero = (wide == 0) & np.isfinite(numerator)
    bad = zero.any(axis=tuple(range(zero.ndim - 1)) if zero.ndim > 1 else None)
    if np.any(bad):
        warnings.warn(
            f"{name} is undefined (division by zero) for {int(np.sum(bad))} of {bad.size} series.",
            SeqmambaWarning,
            stacklevel=4,
        )
    return np.where(bad, np.nan, numerator / np.where(zero, 1.0, wide))


def _mean(values: Float64, axis: Axis) -> Any:
    """Return the mean of the cells that are not NaN; NaN where there are none."""
    seen = np.isfinite(values)
    count = seen.sum(axis=axis)
    total = np.where(seen, values, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)[()]
