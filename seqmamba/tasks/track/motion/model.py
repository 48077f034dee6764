"""What a tracker asks of a motion model, and the model that expects no motion."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Boxes", "MotionModel", "NoMotion"]

Boxes = NDArray[np.float64]
Rows = NDArray[np.int64]


class MotionModel(Protocol):
    """Motion of all tracks at once: row i of every array is track slot i.

    Boxes are ``x1, y1, x2, y2`` in pixels. A step is ``predict``, then ``update`` of the rows that
    were found; the others go on from their own prediction.
    """

    def __len__(self) -> int: ...

    def initiate(self, boxes: Boxes, scores: NDArray[np.float64]) -> None:
        """Append one row per box: (n, 4), (n,)."""

    def predict(self, dt: float = 1.0, lost: NDArray[np.bool_] | None = None) -> Boxes:
        """Advance all rows by ``dt`` frames; ``lost`` (N,) marks those not found last time."""

    def update(self, rows: Rows, boxes: Boxes, scores: NDArray[np.float64]) -> None:
        """Correct some rows by their detections: (k,), (k, 4), (k,)."""

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Drop the rows where the mask (N,) is False."""

    def reset(self) -> None:
        """Drop all rows."""

    def predict_horizon(self, h: int) -> Boxes:
        """Return the boxes of the next ``h`` frames, (N, h, 4), without a change of state."""

    def gating(self, rows: Rows, boxes: Boxes) -> NDArray[np.float64] | None:
        """Return squared Mahalanobis distances, (k,), (m, 4) -> (k, m), or None without a law."""

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Return a copy of the arrays of all rows."""

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over the arrays that :meth:`state_dict` returned."""


class ArrayState:
    """Rows kept as arrays under named attributes; the first axis is the track.

    Subclasses list ``_shapes``: attribute -> shape of one row.
    """

    _shapes: Mapping[str, tuple[int, ...]]

    def __len__(self) -> int:
        return len(getattr(self, next(iter(self._shapes))))

    def reset(self) -> None:
        """Drop all rows."""
        for name, shape in self._shapes.items():
            setattr(self, name, np.zeros((0, *shape)))

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Drop the rows where the mask (N,) is False."""
        for name in self._shapes:
            setattr(self, name, getattr(self, name)[mask])

    def gating(self, rows: Rows, boxes: Boxes) -> NDArray[np.float64] | None:
        """Return None: there is no law of the error."""
        return None

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Return a copy of the arrays of all rows."""
        return {name: getattr(self, name).copy() for name in self._shapes}

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over the arrays that :meth:`state_dict` returned."""
        for name in self._shapes:
            setattr(self, name, np.array(state[name], np.float64))

    def _append(self, **rows: NDArray[np.float64]) -> None:
        for name in self._shapes:
            setattr(self, name, np.concatenate([getattr(self, name), rows[name]]))


class NoMotion(ArrayState):
    """The next box is the last one: the floor that every motion model must beat."""

    _shapes: Mapping[str, tuple[int, ...]] = {"boxes": (4,)}
    boxes: Boxes

    def __init__(self) -> None:
        self.reset()

    def initiate(self, boxes: Boxes, scores: NDArray[np.float64]) -> None:
        """Append one row per box."""
        self._append(boxes=boxes)

    def predict(self, dt: float = 1.0, lost: NDArray[np.bool_] | None = None) -> Boxes:
        """Return the last boxes."""
        return self.boxes.copy()

    def update(self, rows: Rows, boxes: Boxes, scores: NDArray[np.float64]) -> None:
        """Replace the last boxes of some rows."""
        self.boxes[rows] = boxes

    def predict_horizon(self, h: int) -> Boxes:
        """Repeat the last boxes: (N, h, 4)."""
        return np.repeat(self.boxes[:, None], h, axis=1)
