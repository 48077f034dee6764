"""Overlap of boxes: IoU and its relatives.

Boxes are ``x1, y1, x2, y2`` in continuous coordinates: no pixel is added to a width. All functions
broadcast over the leading axes: ``iou(a, b)`` compares row by row, ``iou(a[:, None], b)`` all
pairs.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["SIMILARITIES", "Boxes", "Similarity", "biou", "giou", "hmiou", "iou"]

Boxes = NDArray[np.float64]
Values = NDArray[np.float64]
Similarity = Literal["iou", "giou", "hmiou", "biou"]

BUFFER = 0.3  # share of its size by which BIoU moves each side of a box out
TINY = np.finfo(np.float64).tiny


def iou(first: Boxes, second: Boxes) -> Values:
    """Return intersection over union: (..., 4), (..., 4) -> (...) in [0, 1].

    Examples
    --------
    >>> iou(np.array([0.0, 0.0, 2.0, 2.0]), np.array([[1.0, 0.0, 3.0, 2.0], [5.0, 5.0, 6.0, 6.0]]))
    array([0.33333333, 0.        ])
    """
    overlap = _intersection(first, second)
    share: Values = overlap / np.maximum(_area(first) + _area(second) - overlap, TINY)
    return share


def giou(first: Boxes, second: Boxes) -> Values:
    """Return generalised IoU: (..., 4), (..., 4) -> (...) in [-1, 1].

    IoU minus the share of the smallest enclosing box that neither covers (arXiv 1902.09630).
    """
    overlap = _intersection(first, second)
    union = np.maximum(_area(first) + _area(second) - overlap, TINY)
    size = np.maximum(first[..., 2:], second[..., 2:]) - np.minimum(first[..., :2], second[..., :2])
    hull = np.maximum(size[..., 0] * size[..., 1], TINY)
    value: Values = overlap / union - (hull - union) / hull
    return value


def hmiou(first: Boxes, second: Boxes) -> Values:
    """Return height-modulated IoU in [0, 1]: IoU times the IoU of the vertical extents."""
    high, low = np.maximum(first[..., 1], second[..., 1]), np.minimum(first[..., 3], second[..., 3])
    hull = np.maximum(first[..., 3], second[..., 3]) - np.minimum(first[..., 1], second[..., 1])
    share: Values = np.maximum(low - high, 0.0) / np.maximum(hull, TINY)
    return iou(first, second) * share


def biou(first: Boxes, second: Boxes, buffer: float = BUFFER) -> Values:
    """Return IoU in [0, 1] after all sides moved out by ``buffer`` of the box; arXiv 2211.14317."""
    return iou(_enlarge(first, buffer), _enlarge(second, buffer))


SIMILARITIES: Mapping[Similarity, Callable[[Boxes, Boxes], Values]] = {
    "iou": iou,
    "giou": giou,
    "hmiou": hmiou,
    "biou": biou,
}


def _area(boxes: Boxes) -> Values:
    area: Values = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    return area


def _intersection(a: Boxes, b: Boxes) -> Values:
    # column by column: a third of the time of a min/max over pairs of corners
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    overlap: Values = np.maximum(width, 0.0) * np.maximum(height, 0.0)
    return overlap


def _enlarge(boxes: Boxes, buffer: float) -> Boxes:
    margin = buffer * (boxes[..., 2:] - boxes[..., :2])
    return np.concatenate([boxes[..., :2] - margin, boxes[..., 2:] + margin], axis=-1)
