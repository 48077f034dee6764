"""Errors of predicted numbers, by scikit-learn's definitions."""

from collections.abc import Mapping
from typing import Any

from seqmamba.metrics.metric import Metric

__all__ = ["METRICS", "mae", "r2", "rmse"]

# scikit-learn is imported on use: the list of tasks, which names these, must load at once.


def mae(truth: Any, predicted: Any) -> float:
    """Return the mean absolute error; 0 is perfect."""
    from sklearn.metrics import mean_absolute_error

    return float(mean_absolute_error(truth, predicted))


def rmse(truth: Any, predicted: Any) -> float:
    """Return the root of the mean squared error; 0 is perfect."""
    from sklearn.metrics import root_mean_squared_error

    return float(root_mean_squared_error(truth, predicted))


def r2(truth: Any, predicted: Any) -> float:
    """Return the coefficient of determination; 1 is perfect, 0 the mean."""
    from sklearn.metrics import r2_score

    return float(r2_score(truth, predicted))


METRICS: Mapping[str, Metric] = {
    "mae": Metric(mae),
    "rmse": Metric(rmse),
    "r2": Metric(r2, greater_is_better=True),
}
