"""Multiple-instance learning: one answer per bag of instances, in which order may count."""

from seqmamba.metrics import classification, survival
from seqmamba.tasks.task import Task

QUICK = {
    "d_model": 32,
    "n_layers": 1,
    "n_members": 1,
    "d_state": 8,
    "max_epochs": 8,
    "batch_size": 8,
    "learning_rate": 5e-3,
    "num_threads": 1,
    "random_state": 0,
}
TASK = Task(
    name="mil",
    summary="classify bags of instances, such as slides of patches",
    estimator="seqmamba.tasks.mil.estimator:MILClassifier",
    metrics=classification.METRICS,
    objective="auroc",
    demo="seqmamba.datasets.simulate.instances:demo",
    demo_params=QUICK,
    verbs={"cv": "cross_validate", "attention": "attention_table", "heatmap": "heatmap"},
)
SURVIVAL = Task(
    name="survival",
    summary="tell the risk of patients from bags of instances",
    estimator="seqmamba.tasks.mil.survival:MILSurvival",
    metrics=survival.METRICS,
    objective="concordance",
    demo="seqmamba.datasets.simulate.instances:survival_demo",
    demo_params=QUICK,
)
