"""Multiple-instance learning: one answer per bag of instances, in which order may count."""

from seqmamba.metrics.classification import METRICS
from seqmamba.tasks.task import Task

TASK = Task(
    name="mil",
    summary="classify bags of instances, such as slides of patches",
    estimator="seqmamba.tasks.mil.estimator:MILClassifier",
    variants=("seqmamba.tasks.mil.survival:MILSurvival",),
    metrics=METRICS,
    objective="auroc",
    demo="seqmamba.datasets.simulate.instances:demo",
    demo_params={
        "d_model": 32,
        "n_layers": 1,
        "n_members": 1,
        "d_state": 8,
        "max_epochs": 8,
        "batch_size": 8,
        "learning_rate": 5e-3,
        "num_threads": 1,
        "random_state": 0,
    },
    verbs={"cv": "cross_validate", "attention": "attention_table", "heatmap": "heatmap"},
)
