"""Motion models that predict from the last boxes of a track, and patch its gaps by themselves."""

from collections.abc import Mapping
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from seqmamba.datasets.boxes.table import to_centre, to_corners
from seqmamba.tasks.track.motion.model import ArrayState, Boxes, Rows

__all__ = ["HistoryMotion", "HistorySettings"]

FROZEN_AFTER = 5  # lost frames after which the size is held
SMALLEST = 0.1  # of the last size: a prediction never shrinks a box below it
LEAST = 4  # found tracks from which on their common error is that of the camera


class HistorySettings(TypedDict, total=False):
    """Settings of :class:`HistoryMotion` that its relatives pass on."""

    damping: float
    repair: bool
    common: bool


class HistoryMotion(ArrayState):
    """The last ``q + 1`` boxes of each track as ``cx, cy, w, h``, oldest first.

    A track that is not found takes its own prediction for its next box (tracklet patching, arXiv
    2408.09178). Where it is found again, the predicted boxes are replaced by the line between
    the two real ones. A young track is padded by repeating its first box.

    With ``common``, what the predictions of all found tracks were off together is added to the
    boxes of the tracks that were not found, and their common motion is not damped: a camera that
    turns takes the hidden players along. Medians are shrunk by their own uncertainty, so that a
    still camera moves nothing.

    Parameters
    ----------
    q : int
        Number of offsets that a prediction looks at.
    damping : float in [0, 1]
        Factor on the offset per consecutive lost frame.
    repair : bool
        Draw the line through a gap that has ended.
    common : bool
        Move hidden tracks by the common error of the found ones.
    """

    _shapes: Mapping[str, tuple[int, ...]]
    history: NDArray[np.float64]
    sure: NDArray[np.float64]
    last: NDArray[np.float64]
    gap: NDArray[np.float64]

    def __init__(
        self, q: int, *, damping: float = 0.95, repair: bool = True, common: bool = True
    ) -> None:
        self.q, self.damping, self.repair, self.common = q, damping, repair, common
        self._shapes = {"history": (q + 1, 4), "sure": (q + 1,), "last": (4,), "gap": ()}
        self.reset()

    def next_offset(
        self, history: NDArray[np.float64], sure: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the offset of the next box in pixels: (N, q + 1, 4), (N, q + 1) -> (N, 4).

        ``sure`` is the confidence of each box, 0 for those that the model made itself.
        """
        raise TypeError(f"{type(self).__name__} must define next_offset(history)")

    def initiate(self, boxes: Boxes, scores: NDArray[np.float64]) -> None:
        """Append one row per box."""
        last = to_centre(boxes)
        history = np.repeat(last[:, None], self.q + 1, axis=1)
        sure = np.repeat(scores[:, None], self.q + 1, axis=1)
        self._append(history=history, sure=sure, last=last, gap=np.zeros(len(boxes)))

    def predict(self, dt: float = 1.0, lost: NDArray[np.bool_] | None = None) -> Boxes:
        """Append the predicted box to all histories, ``dt`` times."""
        for _ in range(max(1, round(dt))):
            self.gap = self.gap + 1
            self.history, self.sure = self._advanced(self.history, self.sure, self.gap)
        return to_corners(self.history[:, -1])

    def update(self, rows: Rows, boxes: Boxes, scores: NDArray[np.float64]) -> None:
        """Replace the newest box of some rows by their detections, and mend the gap before."""
        found = to_centre(boxes)
        if self.common:
            self._share(rows, found[:, :2])
        self.history[rows, -1] = found
        self.sure[rows, -1] = scores
        if self.repair:
            broken = self.gap[rows] > 1
            self._mend(rows[broken], found[broken])
        self.last[rows] = found
        self.gap[rows] = 0.0

    def predict_horizon(self, h: int) -> Boxes:
        """Feed the predictions back for ``h`` frames: (N, h, 4)."""
        history, sure, gap, steps = self.history, self.sure, self.gap, []
        for _ in range(h):
            gap = gap + 1
            history, sure = self._advanced(history, sure, gap)
            steps.append(to_corners(history[:, -1]))
        return np.stack(steps, axis=1) if steps else np.zeros((len(self), 0, 4))

    def _advanced(
        self, history: NDArray[np.float64], sure: NDArray[np.float64], gap: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Append the predicted box to histories, and that it was not seen."""
        if not len(history):
            return history, sure
        last = history[:, -1]
        offset = self.next_offset(history, sure)
        # the own motion of a hidden object fades, that of the camera does not
        camera = _common(offset[gap == 1, :2]) if self.common else np.zeros(2)
        fading = (self.damping ** (gap - 1))[:, None]
        offset[:, :2] = camera + (offset[:, :2] - camera) * fading
        offset[:, 2:] *= fading
        offset[gap > FROZEN_AFTER, 2:] = 0.0
        box = last + offset
        box[:, 2:] = np.maximum(box[:, 2:], SMALLEST * last[:, 2:])
        history = np.concatenate([history[:, 1:], box[:, None]], axis=1)
        return history, np.column_stack([sure[:, 1:], np.zeros(len(sure))])

    def _share(self, rows: Rows, found: NDArray[np.float64]) -> None:
        """Move the tracks that were not found by the common error of the others."""
        hidden: NDArray[np.bool_] = np.ones(len(self), bool)
        hidden[rows] = False
        steady = self.gap[rows] == 1  # what was hidden itself knows nothing of the camera
        if not hidden.any():
            return
        self.history[hidden, -1, :2] += _common(found[steady] - self.history[rows[steady], -1, :2])

    def _mend(self, rows: Rows, found: NDArray[np.float64]) -> None:
        """Draw a line from the last real box to the new one over the predicted ones."""
        if not len(rows):
            return
        back = np.arange(self.q, -1, -1.0)  # frames before now, oldest first
        share = np.minimum(back / self.gap[rows][:, None], 1.0)[..., None]  # (k, q + 1, 1)
        line = found[:, None] + share * (self.last[rows] - found)[:, None]
        inside = share < 1
        self.history[rows] = np.where(inside, line, self.history[rows])


def _common(moves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what moves have in common, towards 0 by the variance of their median: (n, 2) -> (2,).

    0 for fewer than ``LEAST`` moves.
    """
    if len(moves) < LEAST:
        return np.zeros(2)
    median = np.median(moves, axis=0)
    spread = 1.4826 * np.median(np.abs(moves - median), axis=0)  # of normal moves
    doubt = (1.2533 * spread) ** 2 / len(moves)
    kept: NDArray[np.float64] = np.clip(1 - doubt / np.maximum(median**2, 1e-12), 0.0, 1.0)
    return kept * median
