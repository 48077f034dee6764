"""Chaotic forecasting: a short context in, a long rollout out that stays on the attractor."""

from seqmamba.metrics.chaos import METRICS
from seqmamba.tasks.task import Task

TASK = Task(
    name="chaos",
    summary="forecast chaotic systems",
    estimator="seqmamba.tasks.chaos.estimator:PhyxMambaForecaster",
    metrics=METRICS,
    objective="vpt",
    demo="seqmamba.datasets.simulate.chaotic.tables:lorenz_demo",
    demo_params={
        "max_epochs": 10,
        "forcing_epochs": 2,
        "n_features": 300,
        "validation_starts": 10,
        "validation_steps": 150,
        "num_threads": 1,  # so small a network gains nothing from more
        "random_state": 0,
    },
    verbs={
        "simulate": "simulate",
        "embed": "embed",
        "report": "report",
    },
)
