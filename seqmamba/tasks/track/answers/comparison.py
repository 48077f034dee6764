"""Motion models side by side: overlap of their forecasts by horizon, and scores in one tracker."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import torch

from seqmamba.datasets.boxes.table import to_centre, to_corners
from seqmamba.datasets.samples import Batch
from seqmamba.errors import ConfigError
from seqmamba.metrics.metric import skill
from seqmamba.metrics.tracking import METRICS, STEPS
from seqmamba.params import nearest
from seqmamba.tasks.track.answers.forecast import collect, step_scores
from seqmamba.tasks.track.histories.windows import TrackWindows
from seqmamba.tasks.track.model import confidence
from seqmamba.tasks.track.motion.model import MotionModel
from seqmamba.tasks.track.online.tables import score_tables
from seqmamba.tasks.track.online.tracker import Tracker

__all__ = ["compare_forecasts", "compare_tracking", "only", "with_skill"]

TRACKING = ("HOTA", "DetA", "AssA", "MOTA", "IDF1", "switches")


def compare_forecasts(
    motions: Mapping[str, MotionModel], windows: TrackWindows, *, most: int = 20_000
) -> pl.DataFrame:
    """Return the mean IoU of forecast and true boxes, one row per step, one column per model.

    Each model sees the same history of ``q + 1`` boxes; later steps are fed by its own forecasts.

    Parameters
    ----------
    motions : mapping of name to MotionModel
        Their rows are lost.
    windows : TrackWindows
        Of boxes, with at least 10 steps.
    most : int
        Windows, evenly spaced, at most.
    """
    columns = {}
    for name, motion in motions.items():
        truth, boxes, known = collect(_forecaster(motion), windows, most=most)
        columns[name] = step_scores(truth, boxes, known)[[step - 1 for step in STEPS]]
    metric = pl.Series("metric", [f"iou_{step}" for step in STEPS])
    return pl.DataFrame([metric, *(pl.Series(n, values) for n, values in columns.items())])


def compare_tracking(
    motions: Mapping[str, Any], truth: pl.DataFrame, detections: pl.DataFrame, **settings: Any
) -> pl.DataFrame:
    """Return combined tracking scores, one row per score, one column per motion model.

    Parameters
    ----------
    motions : mapping of name to what :class:`Tracker` takes for ``motion``
    settings : other parameters of :class:`Tracker`
        The same for all models: across rules of association motion models do not compare.
    """
    columns = {}
    for name, motion in motions.items():
        scores = score_tables(truth, Tracker(motion=motion, **settings).run(detections))
        columns[name] = [float(scores[metric][-1]) for metric in TRACKING]
    metric = pl.Series("metric", TRACKING)
    return pl.DataFrame([metric, *(pl.Series(n, values) for n, values in columns.items())])


def with_skill(table: pl.DataFrame, own: str = "value") -> pl.DataFrame:
    """Add the best of the other models as ``baseline``, and the skill of ``own`` against it."""
    others = [name for name in table.columns if name not in ("metric", own)]
    rows = []
    for row in table.iter_rows(named=True):
        metric = METRICS[row["metric"]]
        best = max if metric.greater_is_better else min
        name = best(others, key=row.__getitem__)
        top = 100.0 if metric.unit == "%" else 1.0
        gain = skill(row[own], row[name], metric, best=top)
        rows.append({"metric": row["metric"], own: row[own], "baseline": row[name], "skill": gain})
    return pl.DataFrame(rows).join(table.drop(own), on="metric", maintain_order="left")


def only(table: pl.DataFrame, metrics: Sequence[str]) -> pl.DataFrame:
    """Keep the rows of some metrics; raise :class:`ConfigError` for an unknown name."""
    known = table["metric"].to_list()
    for name in metrics:
        if name not in known:
            listed = ", ".join(known)
            raise ConfigError(f"no metric {name!r}; known: {listed}.{nearest(name, known)}")
    return table.filter(pl.col("metric").is_in(list(metrics)))


def _forecaster(motion: MotionModel) -> Callable[[Batch], torch.Tensor]:
    """Return a function from histories (B, q + 1, 4) to the next 10 boxes, centres first."""

    def predict(batch: Batch) -> torch.Tensor:
        history = to_corners(batch.x.double().numpy())
        rows, scores = np.arange(len(history)), confidence(batch).double().numpy()
        motion.reset()
        motion.initiate(history[:, 0], scores[:, 0])
        for step in range(1, history.shape[1]):
            motion.predict()
            motion.update(rows, history[:, step], scores[:, step])
        return torch.from_numpy(to_centre(motion.predict_horizon(max(STEPS))))

    return predict
