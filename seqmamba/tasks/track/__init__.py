"""Multi-object tracking with a motion model that is learned from tracks."""

from seqmamba.metrics.tracking import METRICS
from seqmamba.tasks.task import Task

TASK = Task(
    name="track",
    summary="predict the motion of objects and track them",
    estimator="seqmamba.tasks.track.estimator:MotionPredictor",
    metrics=METRICS,
    objective="iou_5",
    demo="seqmamba.datasets.simulate.dance:dance_demo",
    demo_params={"max_epochs": 5, "random_state": 0},
    verbs={
        "evaluate": "evaluate",  # also scores tracks that were made elsewhere, without a model
        "run": "run",
        "tune": "tune",
        "simulate": "simulate",
        "render": "render",
    },
)
