"""The rules of association: who may be matched with which detections, in which order."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["DEFAULTS", "Association", "Thresholds", "stages"]

Association = Literal["wide", "mambatrack", "byte"]
Mask = NDArray[np.bool_]
Stage = tuple[Mask, Mask, NDArray[np.float64]]


@dataclass(frozen=True)
class Thresholds:
    """Thresholds of a rule.

    Parameters
    ----------
    det_thresh : float
        Detections at or below this confidence are ignored.
    high_thresh : float
        Detections from this confidence on are matched first.
    new_thresh : float
        Unmatched detections from this confidence on start tracks.
    iou_active, iou_lost : float
        Smallest similarity for tracks found in the frame before, and for lost ones.
    iou_low : float
        Smallest similarity with a detection of low confidence.
    """

    det_thresh: float
    high_thresh: float
    new_thresh: float
    iou_active: float
    iou_lost: float
    iou_low: float


DEFAULTS: Mapping[Association, Thresholds] = {
    # the rule of ByteTrack in Roboflow trackers 2.6.1
    "wide": Thresholds(0.1, 0.6, 0.7, iou_active=0.1, iou_lost=0.1, iou_low=0.1),
    # arXiv 2408.09178, algorithm 1; gates of the public reimplementation
    "mambatrack": Thresholds(0.2, 0.6, 0.6, iou_active=0.3, iou_lost=0.1, iou_low=0.5),
    # arXiv 2110.06864
    "byte": Thresholds(0.1, 0.6, 0.6, iou_active=0.3, iou_lost=0.3, iou_low=0.5),
}


def stages(
    rule: Association, lost: Mask, scores: NDArray[np.float64], limits: Thresholds
) -> Iterator[Stage]:
    """Give, stage after stage, the tracks and detections that take part and the tracks' gates.

    Tracks and detections that an earlier stage has matched are left out by the caller.

    Parameters
    ----------
    lost : array (N,)
        Tracks that were not found in the frame before.
    scores : array (M,)
        Confidence of the detections.

    Yields
    ------
    tracks (N,) bool, detections (M,) bool, gates (N,)
    """
    everyone, whole = np.ones_like(lost), np.ones(len(scores), bool)
    high = scores >= limits.high_thresh
    gates = np.where(lost, limits.iou_lost, limits.iou_active)
    low_gates = np.full(len(lost), limits.iou_low)
    if rule == "mambatrack":
        yield ~lost, whole, gates
        yield everyone, whole, np.full(len(lost), limits.iou_lost)
    elif rule == "wide":
        yield everyone, high, gates
        yield everyone, ~high, low_gates
    else:
        yield everyone, high, gates
        yield ~lost, ~high, low_gates
