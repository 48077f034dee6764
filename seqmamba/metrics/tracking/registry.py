"""The metrics of motion and tracking by name."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from seqmamba.metrics.metric import Metric
from seqmamba.metrics.tracking.clip import Clip
from seqmamba.metrics.tracking.displacement import horizon_iou
from seqmamba.metrics.tracking.scores import score_clips

__all__ = ["METRICS", "STEPS"]

STEPS = (1, 3, 5, 10)  # frames ahead at which forecasts of boxes are compared


def _overlap(truth: ArrayLike, forecast: ArrayLike, *, step: int) -> float:
    """Return the mean IoU ``step`` frames ahead: (N, H, 4), (N, H, 4), H >= step."""
    return float(horizon_iou(np.asarray(truth), np.asarray(forecast))[step - 1])


def _combined(clips: Mapping[str, Clip], *, name: str) -> float:
    """Return one score of all videos together."""
    return float(score_clips(clips)[name][-1])


def _metric(function: Callable[..., float], unit: str, greater_is_better: bool = True) -> Metric:
    return Metric(function, greater_is_better=greater_is_better, unit=unit)


METRICS: Mapping[str, Metric] = {
    **{f"iou_{step}": _metric(partial(_overlap, step=step), "share") for step in STEPS},
    **{
        name: _metric(partial(_combined, name=name), "%")
        for name in ("HOTA", "DetA", "AssA", "MOTA", "IDF1")
    },
    "switches": _metric(partial(_combined, name="switches"), "", greater_is_better=False),
}
