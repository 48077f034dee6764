"""Scores of several labels per record: AUROC, AUPRC, F, accuracy and the challenge metric.

Arrays are (records, classes); an unknown label is NaN and counts nowhere. Definitions and golden
numbers: the official evaluation of PhysioNet/CinC 2021 (repository
physionetchallenges/evaluation-2021).
"""

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from seqmamba.errors import DataError
from seqmamba.metrics.metric import Metric

__all__ = ["METRICS", "ON_DECISIONS", "accuracy", "auprc", "auroc", "brier", "challenge"]
__all__ += ["class_auprc", "class_auroc", "class_f1", "expected_calibration_error", "macro_f1"]

Floats = NDArray[np.float64]


def class_auroc(truth: ArrayLike, scores: ArrayLike) -> Floats:
    """Return the area under the ROC curve per class.

    Parameters
    ----------
    truth : array (n, K) of 0, 1 or NaN
    scores : array (n, K)
        Greater means more likely; ties count half.

    Returns
    -------
    array (K,)
        In [0, 1], greater is better; NaN for a class without positives or without negatives.
    """
    return _per_class(_auroc, truth, scores)


def class_auprc(truth: ArrayLike, scores: ArrayLike) -> Floats:
    r"""Return the average precision per class, :math:`\sum_i (R_i - R_{i-1}) P_i`.

    Thresholds stand at the distinct scores. Arguments and result as :func:`class_auroc`.
    """
    return _per_class(_average_precision, truth, scores)


def class_f1(truth: ArrayLike, decisions: ArrayLike) -> Floats:
    """Return 2 TP / (2 TP + FP + FN) per class: (K,); NaN where the denominator is 0."""
    true, said, known = _pair(truth, decisions)
    hits = np.sum((true == 1) & (said == 1) & known, axis=0)
    total = np.sum((true == 1) & known, axis=0) + np.sum((said == 1) & known, axis=0)
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * hits / total, dtype=np.float64)


def auroc(truth: ArrayLike, scores: ArrayLike) -> float:
    """Return the mean of :func:`class_auroc` over the classes where it is defined."""
    return _mean(class_auroc(truth, scores))


def auprc(truth: ArrayLike, scores: ArrayLike) -> float:
    """Return the mean of :func:`class_auprc` over the classes where it is defined."""
    return _mean(class_auprc(truth, scores))


def macro_f1(truth: ArrayLike, decisions: ArrayLike) -> float:
    """Return the mean of :func:`class_f1` over the classes where it is defined."""
    return _mean(class_f1(truth, decisions))


def accuracy(truth: ArrayLike, decisions: ArrayLike) -> float:
    """Return the share of records with all known labels right; in [0, 1]."""
    true, said, known = _pair(truth, decisions)
    return float(np.mean(np.all((true == said) | ~known, axis=1))) if len(true) else float("nan")


def brier(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the mean squared error of the probabilities; in [0, 1], smaller is better."""
    true, said, known = _pair(truth, probabilities)
    return float(np.mean(np.square(true - said)[known])) if known.any() else float("nan")


def expected_calibration_error(
    truth: ArrayLike, probabilities: ArrayLike, *, bins: int = 10
) -> float:
    """Return the mean gap between probability and frequency over bins of equal width.

    The gap of a bin counts by its share of the records; the mean runs over the classes. In
    [0, 1], smaller is better.
    """
    true, said, known = _pair(truth, probabilities)
    gaps = np.zeros(true.shape[1])
    slot = np.minimum((said * bins).astype(int), bins - 1)
    for k in range(true.shape[1]):
        rows = known[:, k]
        excess = np.bincount(slot[rows, k], (said - true)[rows, k], minlength=bins)
        gaps[k] = np.abs(excess).sum() / max(rows.sum(), 1)
    return float(gaps.mean())


def challenge(truth: ArrayLike, decisions: ArrayLike, weights: ArrayLike, *, normal: int) -> float:
    r"""Return the PhysioNet/CinC challenge metric.

    .. math:: A_{jk} = \sum_i \frac{[j \in x_i][k \in y_i]}{\max(1, |x_i \cup y_i|)}, \qquad
              \frac{\sum w A - s_0}{s_1 - s_0}

    with :math:`s_0` the sum of one who always answers the normal class and :math:`s_1` that of
    the truth.

    Parameters
    ----------
    truth, decisions : array (n, K) of 0 or 1
    weights : array (K, K)
        Credit for answering class k where class j is true.
    normal : int
        Index of the normal class (sinus rhythm).

    Returns
    -------
    float
        At most 1; 0 for the one who always answers normal. NaN where that one is already right.
    """
    true, said, _ = _pair(truth, decisions)
    weight = np.asarray(weights, dtype=np.float64)
    if weight.shape != (true.shape[1],) * 2:
        raise DataError(f"weights must be {(true.shape[1],) * 2}, got {weight.shape}.")
    inactive = np.zeros_like(true)
    inactive[:, normal] = 1
    observed, correct, idle = (_credit(true, answer, weight) for answer in (said, true, inactive))
    return float((observed - idle) / (correct - idle)) if correct != idle else float("nan")


def _credit(true: Floats, said: Floats, weights: Floats) -> float:
    union = np.maximum(1, np.sum((true == 1) | (said == 1), axis=1, keepdims=True))
    shared = (true == 1).T.astype(np.float64) @ ((said == 1) / union)
    return float(np.sum(weights * shared))


def _per_class(
    function: Callable[[Floats, Floats], Floats], truth: ArrayLike, scores: ArrayLike
) -> Floats:
    """Apply a function of whole columns; a column with unknown labels goes alone."""
    true, said, known = _pair(truth, scores)
    whole = known.all(0)
    found = np.full(true.shape[1], np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        found[whole] = function(true[:, whole], said[:, whole])
        for k in np.flatnonzero(~whole):
            rows = known[:, k]
            found[k] = function(true[rows, k, None], said[rows, k, None])[0]
    count = np.nansum(true, axis=0)
    found[(count == 0) | (count == known.sum(0))] = np.nan
    return found


def _auroc(true: Floats, scores: Floats) -> Floats:
    """Mann-Whitney form; ties have their mean rank."""
    positive = true == 1
    n_positive = positive.sum(0)
    ranks = np.sum(rankdata(scores, axis=0) * positive, axis=0)
    above = ranks - n_positive * (n_positive + 1) / 2
    return np.asarray(above / (n_positive * (len(true) - n_positive)))


def _average_precision(true: Floats, scores: Floats) -> Floats:
    """Mean over the positives of the precision at the end of their ties."""
    n = len(true)
    order = np.argsort(-scores, axis=0, kind="stable")
    positive = np.take_along_axis(true == 1, order, 0)
    falling = np.take_along_axis(scores, order, 0)
    precision = np.cumsum(positive, axis=0) / np.arange(1, n + 1)[:, None]
    is_end = np.ones_like(positive)
    is_end[:-1] = falling[:-1] != falling[1:]
    end = np.where(is_end, np.arange(n)[:, None], n - 1)
    end = np.minimum.accumulate(end[::-1], axis=0)[::-1]
    return np.asarray(
        np.sum(positive * np.take_along_axis(precision, end, 0), axis=0) / positive.sum(0)
    )


def _pair(truth: ArrayLike, answer: ArrayLike) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return both as (n, K) arrays, and which labels are known."""
    true, said = (np.asarray(a, dtype=np.float64) for a in (truth, answer))
    if true.shape != said.shape or true.ndim != 2:
        raise DataError(f"truth {true.shape} and answer {said.shape} must be (records, classes).")
    return true, said, ~np.isnan(true)


def _mean(values: Floats) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no class defined: NaN is the answer
        return float(np.nanmean(values))


METRICS = {
    "auroc": Metric(auroc, greater_is_better=True),
    "auprc": Metric(auprc, greater_is_better=True),
    "f1": Metric(macro_f1, greater_is_better=True),
    "accuracy": Metric(accuracy, greater_is_better=True),
    "challenge": Metric(challenge, greater_is_better=True),
    "brier": Metric(brier),
    "ece": Metric(expected_calibration_error),
}
ON_DECISIONS = ("f1", "accuracy", "challenge")  # the others read probabilities
