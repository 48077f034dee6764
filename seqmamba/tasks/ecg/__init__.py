"""Labels of electrocardiograms, from any recording."""

from seqmamba.metrics.multilabel import METRICS
from seqmamba.tasks.task import Task

TASK = Task(
    name="ecg",
    summary="label electrocardiograms",
    estimator="seqmamba.tasks.ecg.estimator:ECGClassifier",
    metrics=METRICS,
    objective="auprc",
    demo="seqmamba.datasets.simulate.heart:ecg_demo",
    verbs={"cv": "cv", "saliency": "saliency", "report": "predict_record"},
    demo_params={"max_epochs": 20, "random_state": 0},
)
