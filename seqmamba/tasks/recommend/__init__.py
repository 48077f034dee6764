"""Sequential recommendation."""

from seqmamba.metrics.recommendation import METRICS
from seqmamba.tasks.task import Task

TASK = Task(
    name="recommend",
    summary="recommend the next items of users from their histories",
    estimator="seqmamba.tasks.recommend.estimator:SIGMARecommender",
    metrics=METRICS,
    objective="ndcg@10",
    demo="seqmamba.datasets.simulate.shopping:demo",
    verbs={"similar": "similar"},
    demo_params={"max_epochs": 8, "max_len": 30, "keep_last": 15, "num_threads": 1},
)
