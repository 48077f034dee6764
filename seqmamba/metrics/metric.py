"""A metric: a function on arrays with its better direction and unit; its skill and interval."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Metric", "bootstrap", "skill"]

MOST_DRAWS = 20


@dataclass(frozen=True)
class Metric:
    """A function ``(truth, prediction) -> float`` and how to read its value."""

    function: Callable[..., float]
    greater_is_better: bool = False
    unit: str = ""


def skill(value: float, baseline: float, metric: Metric, best: float = 1.0) -> float:
    """Return how much of the baseline's distance to perfection a model removes.

    Errors: ``1 - value / baseline``. Scores: ``(value - baseline) / (best - baseline)``.
    1 is perfect, 0 the baseline, below 0 worse than it; NaN if the baseline is perfect.
    """
    distance = (best - baseline) if metric.greater_is_better else baseline
    if distance == 0:
        return float("nan")
    gain = (value - baseline) if metric.greater_is_better else (baseline - value)
    return float(gain / distance)


def bootstrap(
    function: Callable[..., float],
    truth: ArrayLike,
    prediction: ArrayLike,
    *,
    level: float = 0.95,
    n_resamples: int = 1_000,
    usable: Callable[[NDArray[Any]], bool] | None = None,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return mean and percentile interval of a score over samples drawn with replacement.

    Draws whose score is NaN, such as the AUROC of one class, are left out.

    Parameters
    ----------
    function : callable (truth, prediction) -> float
    truth, prediction : array (n, ...)
    level : float in (0, 1)
        Share of the draws between the bounds.
    n_resamples : int
    usable : callable (truth) -> bool or None
        Another draw is made where it is False, up to 20 times; PTB-XL's benchmark
        (repository helme/ecg_ptbxl_benchmarking) keeps draws with a positive of every class.
    seed : int

    Returns
    -------
    mean, low, high
        NaN if no draw has a score.

    Examples
    --------
    >>> bootstrap(lambda truth, said: float(np.mean(truth == said)), [0, 1, 1], [0, 1, 1])
    (1.0, 1.0, 1.0)
    """
    true, said = np.asarray(truth), np.asarray(prediction)
    random = np.random.default_rng(seed)
    drawn = (random.integers(0, len(true), len(true)) for _ in range(MOST_DRAWS * n_resamples))
    kept = (rows for rows in drawn if usable is None or usable(true[rows]))
    values = [function(true[rows], said[rows]) for rows in islice(kept, n_resamples)] or [np.nan]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no draw with a score: NaN says it
        low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
        return float(np.nanmean(values)), float(low), float(high)
