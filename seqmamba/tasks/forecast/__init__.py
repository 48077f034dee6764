"""Forecasting: many series in, their next values out."""

from seqmamba.metrics.forecast import METRICS
from seqmamba.tasks.task import Task

TASK = Task(
    name="forecast",
    summary="forecast many series at once",
    estimator="seqmamba.tasks.forecast.estimator:SMambaForecaster",
    metrics=METRICS,
    objective="mae",
    demo="seqmamba.datasets.simulate.panels:demand",
    demo_params={
        "h": 24,
        "d_model": 64,
        "max_epochs": 5,
        "learning_rate": 3e-3,
        "num_threads": 1,  # so small a network gains nothing from more
        "random_state": 0,
    },
    verbs={"backtest": "cross_validation"},
)
