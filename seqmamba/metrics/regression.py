"""Errors of predicted numbers, by scikit-learn's definitions."""

from collections.abc import Mapping

from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from seqmamba.metrics.metric import Metric

__all__ = ["METRICS"]

METRICS: Mapping[str, Metric] = {
    "mae": Metric(mean_absolute_error),
    "rmse": Metric(root_mean_squared_error),
    "r2": Metric(r2_score, greater_is_better=True),
}
