"""What the metrics see of one video: ids and similarities, frame by frame."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqmamba.errors import DataError
from seqmamba.metrics.tracking.overlap import iou

__all__ = ["Clip"]

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Clip:
    """Ground truth and tracks of one video, matched up by frame.

    Parameters
    ----------
    truth_ids, track_ids : list of int arrays (n_t,), (m_t,)
        Per frame, numbered from 0 without holes.
    similarity : list of float arrays (n_t, m_t)
        IoU of each true box with each tracked box.
    n_truth_ids, n_track_ids : int
        Number of distinct ids.
    """

    truth_ids: list[Ids]
    track_ids: list[Ids]
    similarity: list[NDArray[np.float64]]
    n_truth_ids: int
    n_track_ids: int

    @property
    def n_truth(self) -> int:
        """Number of true boxes."""
        return sum(map(len, self.truth_ids))

    @property
    def n_tracks(self) -> int:
        """Number of tracked boxes."""
        return sum(map(len, self.track_ids))

    @classmethod
    def from_rows(
        cls,
        truth: tuple[ArrayLike, ArrayLike, ArrayLike],
        tracks: tuple[ArrayLike, ArrayLike, ArrayLike],
        *,
        name: str = "",
    ) -> Self:
        """Build from rows of ``(frame (n,), id (n,), boxes (n, 4))`` on both sides.

        Raises
        ------
        DataError
            An id stands twice in one frame.
        """
        true_frame, true_id, true_box, n_true = _sorted(truth, f"ground truth {name}".strip())
        own_frame, own_id, own_box, n_own = _sorted(tracks, f"tracks {name}".strip())
        frames = np.union1d(true_frame, own_frame)
        true_cuts = np.searchsorted(true_frame, frames)[1:]
        own_cuts = np.searchsorted(own_frame, frames)[1:]
        true_boxes, own_boxes = np.split(true_box, true_cuts), np.split(own_box, own_cuts)
        return cls(
            truth_ids=np.split(true_id, true_cuts),
            track_ids=np.split(own_id, own_cuts),
            similarity=[iou(a[:, None], b) for a, b in zip(true_boxes, own_boxes, strict=True)],
            n_truth_ids=n_true,
            n_track_ids=n_own,
        )


def _sorted(
    rows: tuple[ArrayLike, ArrayLike, ArrayLike], name: str
) -> tuple[Ids, Ids, NDArray[np.float64], int]:
    """Sort rows by frame (stable) and number the ids from 0."""
    frame = np.asarray(rows[0], np.int64)
    known, ids = np.unique(np.asarray(rows[1], np.int64), return_inverse=True)
    order = np.argsort(frame, kind="stable")
    frame, ids = frame[order], ids[order].astype(np.int64)
    boxes = np.asarray(rows[2], np.float64).reshape(-1, 4)[order]
    _refuse_twins(frame, ids, known, name)
    return frame, ids, boxes, len(known)


def _refuse_twins(frame: Ids, ids: Ids, known: Ids, name: str) -> None:
    key = frame * max(len(known), 1) + ids
    values, first, counts = np.unique(key, return_index=True, return_counts=True)
    if len(values) == len(key):
        return
    row = first[np.argmax(counts > 1)]
    raise DataError(
        f"{name}: id {known[ids[row]]} stands {counts.max()} times in frame {frame[row]}; "
        "an object has one box per frame. Drop the repeats.",
        column="track_id",
        where=f"frame {frame[row]}",
        value=int(known[ids[row]]),
    )
