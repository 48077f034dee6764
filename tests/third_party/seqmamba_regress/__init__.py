"""Regression of one number from a sequence: a task as another package would bring it."""

from seqmamba.metrics.regression import METRICS
from seqmamba.tasks.task import Task

TASK = Task(
    name="regress",
    summary="predict one number per sequence",
    estimator="seqmamba_regress.estimator:SequenceRegressor",
    metrics=METRICS,
    objective="rmse",
    demo="seqmamba_regress.data:simulate",
    verbs={"rank": "rank"},
    demo_params={"d_model": 8, "n_layers": 1, "max_epochs": 8, "learning_rate": 0.02},
)
