"""Errors of forecasts of chaotic systems, lead time by lead time, and how long they are valid.

``truth`` and ``forecast`` have the shape (M, H, V): starts, steps, channels. What is said of a
single forecast holds for each start alone.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqmamba.errors import DataError

__all__ = [
    "nrmse_by_lead",
    "paired",
    "smape_by_lead",
    "valid_prediction_time",
    "valid_steps",
    "valid_steps_smape",
]

Array = NDArray[np.float64]

THRESHOLD = 0.4  # of the normalised error; our choice
SMAPE_THRESHOLD = 30.0  # per cent, the paper's code


def nrmse_by_lead(truth: Any, forecast: Any, scale: Any) -> Array:
    r"""Return the normalised error of each lead time.

    .. math:: e_t = \sqrt{\tfrac1V \sum_v ((\hat x_{tv} - x_{tv}) / \sigma_v)^2}

    Parameters
    ----------
    truth, forecast : array (M, H, V)
    scale : array (V,)
        Standard deviations of the training part.

    Returns
    -------
    array (M, H)
        A forecast that is not finite counts as infinitely wrong.
    """
    true, guess = paired(truth, forecast)
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.sqrt(np.mean(((guess - true) / np.asarray(scale)) ** 2, axis=-1))
    return np.where(np.isfinite(error), error, np.inf)


def smape_by_lead(truth: Any, forecast: Any) -> Array:
    r"""Return the running symmetric percentage error from the first to each lead time: (M, H).

    .. math:: \frac{200}{hV} \sum_{t<h, v} \frac{|y - p|}{|y| + |p|}

    Depends on the origin of the coordinates: 200 at most, 0 perfect. Source: the paper's code,
    util/metrics_utils.py (chaotic-forecasting specification, 6.1).

    Examples
    --------
    >>> smape_by_lead([[[1.0], [1.0]]], [[[1.0], [3.0]]]).tolist()
    [[0.0, 50.0]]
    """
    true, guess = paired(truth, forecast)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        ratio = np.abs(true - guess) / (np.abs(true) + np.abs(guess))
    ratio = np.where(true == guess, 0.0, ratio)
    ratio = np.where(np.isfinite(ratio), ratio, 1.0)
    steps = np.arange(1, true.shape[1] + 1)
    total: Array = 200.0 * np.cumsum(ratio.mean(axis=-1), axis=1) / steps
    return total


def valid_steps(truth: Any, forecast: Any, scale: Any, threshold: float = THRESHOLD) -> Array:
    """Return the first step whose normalised error exceeds a threshold, else H: (M,)."""
    return _first_above(nrmse_by_lead(truth, forecast, scale), threshold)


def valid_steps_smape(truth: Any, forecast: Any, threshold: float = SMAPE_THRESHOLD) -> Array:
    """Return the paper's valid steps: the running error lags behind the loss of skill: (M,)."""
    return _first_above(smape_by_lead(truth, forecast), threshold)


def valid_prediction_time(
    truth: Any,
    forecast: Any,
    threshold: float = THRESHOLD,
    *,
    dt: float = 1.0,
    lyapunov_time: float | None = None,
    scale: Any = None,
) -> float:
    r"""Time until the normalised error of one forecast first exceeds a threshold.

    Source: chaotic-forecasting specification, 6.2 (``vpt_nrmse``).

    Parameters
    ----------
    truth, forecast : array (H, V)
    threshold : float > 0
    dt : float
        Time between rows.
    lyapunov_time : float or None
        If given, the result is in Lyapunov times.
    scale : array (V,) or None
        Standard deviations; None = those of ``truth``.

    Returns
    -------
    float
        ``H * dt`` if the threshold is never exceeded.

    Raises
    ------
    DataError
        Shapes differ, or a channel of ``truth`` is constant and ``scale`` is not given.

    Examples
    --------
    >>> truth = np.sin(np.linspace(0, 6.28, 100))[:, None]
    >>> valid_prediction_time(truth, truth + 0.01)
    100.0
    """
    true, guess = paired(np.asarray(truth)[None], np.asarray(forecast)[None])
    spread = true[0].std(axis=0) if scale is None else np.asarray(scale)
    if not (spread > 0).all():
        channel = int(np.argmin(spread))
        raise DataError(f"channel {channel} of the truth is constant; pass scale.", value=channel)
    steps = float(valid_steps(true, guess, spread, threshold)[0])
    return steps * dt / (1.0 if lyapunov_time is None else lyapunov_time)


def _first_above(error: Array, threshold: float) -> Array:
    above = error > threshold
    first = np.where(above.any(axis=1), above.argmax(axis=1), error.shape[1])
    steps: Array = first.astype(np.float64)
    return steps


def paired(truth: Any, forecast: Any) -> tuple[Array, Array]:
    """Return both as arrays (M, H, V).

    Raises
    ------
    DataError
        Shapes differ.
    """
    true, guess = np.asarray(truth, np.float64), np.asarray(forecast, np.float64)
    if true.shape != guess.shape or true.ndim != 3:
        raise DataError(
            f"truth and forecast must both be (starts, steps, channels); got {true.shape} and "
            f"{guess.shape}."
        )
    return true, guess
