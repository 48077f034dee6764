"""Overlap of boxes: IoU and its relatives, pairwise and row by row.

Boxes are ``x1, y1, x2, y2`` in continuous coordinates: no pixel is added to a width.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["SIMILARITIES", "Boxes", "Similarity", "biou", "giou", "hmiou", "iou", "paired_iou"]

Boxes = NDArray[np.float64]
Similarity = Literal["iou", "giou", "hmiou", "biou"]

TINY = np.finfo(np.float64).tiny


def iou(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Return intersection over union of all pairs: (N, 4), (M, 4) -> (N, M) in [0, 1].

    Examples
    --------
    >>> iou(np.array([[0., 0., 2., 2.]]), np.array([[1., 0., 3., 2.], [5., 5., 6., 6.]]))
    array([[0.33333333, 0.        ]])
    """
    overlap = _intersection(first[:, None], second[None])
    union = _area(first)[:, None] + _area(second)[None] - overlap
    share: NDArray[np.float64] = overlap / np.maximum(union, TINY)
    return share


def paired_iou(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Return intersection over union row by row: (..., 4), (..., 4) -> (...) in [0, 1]."""
    overlap = _intersection(first, second)
    share: NDArray[np.float64] = overlap / np.maximum(_area(first) + _area(second) - overlap, TINY)
    return share


def giou(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Return generalised IoU of all pairs: (N, M) in [-1, 1].

    IoU minus the share of the smallest enclosing box that neither covers (arXiv 1902.09630).
    """
    a, b = first[:, None], second[None]
    overlap = _intersection(a, b)
    union = np.maximum(_area(a) + _area(b) - overlap, TINY)
    size = np.maximum(a[..., 2:], b[..., 2:]) - np.minimum(a[..., :2], b[..., :2])
    hull = np.maximum(size[..., 0] * size[..., 1], TINY)
    value: NDArray[np.float64] = overlap / union - (hull - union) / hull
    return value


def hmiou(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Return height-modulated IoU of all pairs: IoU times the IoU of the vertical extents."""
    a, b = first[:, None], second[None]
    low, high = np.maximum(a[..., 1], b[..., 1]), np.minimum(a[..., 3], b[..., 3])
    hull = np.maximum(a[..., 3], b[..., 3]) - np.minimum(a[..., 1], b[..., 1])
    share: NDArray[np.float64] = np.maximum(high - low, 0.0) / np.maximum(hull, TINY)
    return iou(first, second) * share


def biou(first: Boxes, second: Boxes, buffer: float = 0.3) -> NDArray[np.float64]:
    """Return IoU of all pairs after each side of both boxes moved out by ``buffer`` of its size."""
    return iou(_enlarge(first, buffer), _enlarge(second, buffer))


SIMILARITIES: Mapping[Similarity, Callable[[Boxes, Boxes], NDArray[np.float64]]] = {
    "iou": iou,
    "giou": giou,
    "hmiou": hmiou,
    "biou": biou,
}


def _area(boxes: Boxes) -> NDArray[np.float64]:
    area: NDArray[np.float64] = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    return area


def _intersection(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    # column by column: a third of the time of a min/max over pairs of corners
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    overlap: NDArray[np.float64] = np.maximum(width, 0.0) * np.maximum(height, 0.0)
    return overlap


def _enlarge(boxes: Boxes, buffer: float) -> Boxes:
    margin = buffer * (boxes[..., 2:] - boxes[..., :2])
    return np.concatenate([boxes[..., :2] - margin, boxes[..., 2:] + margin], axis=-1)
