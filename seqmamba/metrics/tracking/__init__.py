"""Metrics of multi-object tracking and of motion forecasts; all in NumPy."""

from seqmamba.metrics.tracking.clear import ClearCounts, count_clear
from seqmamba.metrics.tracking.clip import Clip
from seqmamba.metrics.tracking.displacement import ade, fde, horizon_iou
from seqmamba.metrics.tracking.hota import HotaCounts, count_hota
from seqmamba.metrics.tracking.identity import IdentityCounts, count_identity
from seqmamba.metrics.tracking.overlap import biou, giou, hmiou, iou
from seqmamba.metrics.tracking.registry import METRICS, STEPS
from seqmamba.metrics.tracking.scores import score_clips

__all__ = [
    "METRICS",
    "STEPS",
    "ClearCounts",
    "Clip",
    "HotaCounts",
    "IdentityCounts",
    "ade",
    "biou",
    "count_clear",
    "count_hota",
    "count_identity",
    "fde",
    "giou",
    "hmiou",
    "horizon_iou",
    "iou",
    "score_clips",
]
