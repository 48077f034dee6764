"""What a detector saw of known tracks."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.datasets.boxes.table import BOX, to_centre
from seqmamba.errors import DataError
from seqmamba.tasks.track.online.assignment import assign, candidates

__all__ = ["match_detections", "observe"]

Rows = NDArray[np.int64]
SAME_OBJECT = 0.5  # IoU from which a detection is that of a track


def observe(
    tracks: pl.DataFrame, detections: pl.DataFrame, first: Rows
) -> tuple[NDArray[np.float64], Rows, Rows]:
    """Replace the boxes of tracks by the detections that match them.

    Parameters
    ----------
    tracks : DataFrame of R rows
        Sorted by sequence, track and frame.
    first : int array (R,)
        First row of the run of consecutive frames that a row belongs to.

    Returns
    -------
    seen : array (R, 4)
        ``cx, cy, w, h``; between two detections of a run a straight line, after the last one its
        box.
    match : int array (R,)
        Row of the detection, -1 where there is none.
    first : int array (R,)
        First row with a detection, in each run.

    Raises
    ------
    DataError
        There are no detections at all.
    """
    if not len(detections):
        raise DataError("the detections hold no boxes; leave them out to learn from tracks alone.")
    match = match_detections(tracks, detections)
    real = match >= 0
    boxes = to_centre(detections.select(BOX).to_numpy())
    rows = np.arange(len(tracks))
    before = np.maximum.accumulate(np.where(real, rows, -1))
    after = np.minimum.accumulate(np.where(real, rows, len(rows))[::-1])[::-1]
    run_end = np.append(np.flatnonzero(np.diff(first)), len(rows) - 1)
    last = run_end[np.searchsorted(run_end, rows)]
    after = np.where(after > last, before, after)  # after the last detection of a run
    before = np.where(before < first, after, before)  # before the first
    known = (before >= first) & (before <= last)  # some detection in this run
    before, after = np.where(known, before, 0), np.where(known, after, 0)
    span = np.maximum(after - before, 1)
    share = np.clip((rows - before) / span, 0.0, 1.0)[:, None]
    left, right = boxes[np.maximum(match[before], 0)], boxes[np.maximum(match[after], 0)]
    seen = left + share * (right - left)
    seen[~known] = to_centre(tracks.select(BOX).to_numpy())[~known]
    begun = np.where(real, rows, len(rows))
    first_seen = np.minimum.reduceat(begun, np.unique(first)) if len(rows) else begun
    first_seen = np.repeat(first_seen, np.diff(np.append(np.unique(first), len(rows))))
    return seen, match, np.minimum(np.maximum(first_seen, first), rows)


def match_detections(tracks: pl.DataFrame, detections: pl.DataFrame) -> Rows:
    """Return, for each row of tracks, the row of its detection, -1 for none: (R,)."""
    boxes, seen = tracks.select(BOX).to_numpy(), detections.select(BOX).to_numpy()
    match = np.full(len(tracks), -1)
    mine = _frames(tracks)
    for key, columns in _frames(detections).items():
        rows = mine.get(key)
        if rows is None:
            continue
        i, j, value = candidates(boxes[rows], seen[columns], "iou", SAME_OBJECT)
        i, j = assign(i, j, 1.0 - value)
        match[rows[i]] = columns[j]
    return match


def _frames(table: pl.DataFrame) -> dict[tuple[str, int], Rows]:
    """Return the rows of each frame of each sequence."""
    rows = (
        table.select("sequence", "frame")
        .with_row_index("row")
        .group_by("sequence", "frame", maintain_order=True)
        .agg("row")
    )
    keys = zip(rows["sequence"], rows["frame"], strict=True)
    return {
        key: row.to_numpy().astype(np.int64) for key, row in zip(keys, rows["row"], strict=True)
    }
