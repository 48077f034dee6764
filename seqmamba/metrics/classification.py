"""Scores of predicted classes and probabilities: one class per sample.

``truth`` holds class codes 0, ..., K - 1 and ``probability`` is (n, K), rows of sum 1. SciPy
is imported on use: the list of tasks, which names these metrics, must load at once.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqmamba.errors import DataError
from seqmamba.metrics.metric import Metric

__all__ = ["METRICS", "accuracy", "auroc", "balanced_accuracy", "calibration_error", "confusion"]
__all__ += ["log_loss", "macro_f1"]

SMALLEST = 1e-15


def auroc(truth: ArrayLike, probability: ArrayLike) -> float:
    """Return the area under the ROC curve; 1 is perfect, 0.5 chance, ties count half.

    Two classes: that of class 1. More: the mean of one against the rest over the classes that
    ``truth`` holds. NaN if it holds only one. Agrees with scikit-learn's ``roc_auc_score``.

    Examples
    --------
    >>> auroc([0, 0, 1], [[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]])
    1.0
    """
    codes, p = _checked(truth, probability)
    present = np.unique(codes)
    if len(present) < 2:
        return float("nan")
    if p.shape[1] == 2:
        return _area(codes == 1, p[:, 1])
    return float(np.mean([_area(codes == k, p[:, k]) for k in present]))


def accuracy(truth: ArrayLike, probability: ArrayLike) -> float:
    """Return the share of samples whose likeliest class is the true one; NaN if there is none."""
    codes, p = _checked(truth, probability)
    return float(np.mean(p.argmax(1) == codes)) if len(codes) else float("nan")


def balanced_accuracy(truth: ArrayLike, probability: ArrayLike) -> float:
    """Return the mean recall over the classes that ``truth`` holds."""
    table = confusion(truth, probability)
    count = table.sum(1)
    there = count > 0
    if not there.any():
        return float("nan")
    return float(np.mean(np.diag(table)[there] / count[there]))


def macro_f1(truth: ArrayLike, probability: ArrayLike) -> float:
    """Return the mean F1 over all classes that are true or predicted; 1 is perfect.

    Agrees with scikit-learn's ``f1_score(average="macro")``.
    """
    table = confusion(truth, probability)
    both = table.sum(0) + table.sum(1)
    there = both > 0
    if not there.any():
        return float("nan")
    return float(np.mean(2 * np.diag(table)[there] / both[there]))


def log_loss(truth: ArrayLike, probability: ArrayLike) -> float:
    """Return the mean negative logarithm of the true class's probability, in nats; 0 is perfect.

    Probabilities below 1e-15 count as that.
    """
    codes, p = _checked(truth, probability)
    own = np.take_along_axis(p, codes[:, None], 1)
    return float(-np.log(np.maximum(own, SMALLEST)).mean()) if len(codes) else float("nan")


def calibration_error(truth: ArrayLike, probability: ArrayLike, bins: int = 15) -> float:
    """Return the expected calibration error of the greatest probability; 0 is perfect.

    Bins of equal width, each closed on the right; |accuracy - mean probability|, weighted by the
    samples in a bin. Source: Guo et al., arXiv 1706.04599.
    """
    codes, p = _checked(truth, probability)
    if not len(codes):
        return float("nan")
    top, right = p.max(1), p.argmax(1) == codes
    place = np.clip(np.ceil(top * bins).astype(np.int64) - 1, 0, bins - 1)
    gap = np.bincount(place, right - top, minlength=bins)
    return float(np.abs(gap).sum() / len(codes))


def confusion(truth: ArrayLike, probability: ArrayLike) -> NDArray[np.int64]:
    """Return how often class i was taken for class j: (K, K)."""
    codes, p = _checked(truth, probability)
    table = np.zeros((p.shape[1], p.shape[1]), np.int64)
    np.add.at(table, (codes, p.argmax(1)), 1)
    return table


def _area(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """Return the share of pairs (positive, negative) in the right order; ties count half."""
    from scipy.stats import rankdata  # on use, as said above

    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if n_positive == 0 or n_negative == 0:
        return float("nan")
    wins = rankdata(score)[positive].sum() - n_positive * (n_positive + 1) / 2
    return float(wins / (n_positive * n_negative))


def _checked(
    truth: ArrayLike, probability: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    codes, p = np.asarray(truth).astype(np.int64), np.asarray(probability, np.float64)
    if p.ndim != 2 or codes.shape != p.shape[:1]:
        raise DataError(
            f"{codes.shape} true classes do not fit probabilities of shape {p.shape}; "
            "pass codes (n,) and probabilities (n, classes)."
        )
    if len(codes) and not (codes.min() >= 0 and codes.max() < p.shape[1]):
        raise DataError(
            f"a true class has the code {codes.max()}; there are {p.shape[1]} classes, from 0.",
            value=int(codes.max()),
        )
    return codes, p


METRICS: Mapping[str, Metric] = {
    "auroc": Metric(auroc, greater_is_better=True),
    "accuracy": Metric(accuracy, greater_is_better=True),
    "balanced_accuracy": Metric(balanced_accuracy, greater_is_better=True),
    "macro_f1": Metric(macro_f1, greater_is_better=True),
    "log_loss": Metric(log_loss, unit="nats"),
    "calibration_error": Metric(calibration_error),
}
