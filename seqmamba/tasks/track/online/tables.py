"""Tables of detections cut into frames, rows of a tracker joined to tables, tables scored."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba import frames
from seqmamba.datasets.boxes import BOX, OnError, check_boxes
from seqmamba.datasets.boxes_files import read_boxes_counted
from seqmamba.errors import DataError
from seqmamba.frames import Like
from seqmamba.metrics.tracking import Clip, score_clips

__all__ = ["by_sequence", "frame_blocks", "read_detection_table", "score_tables", "tracks_table"]

Rows = NDArray[np.float64]


def read_detection_table(source: Any, on_error: OnError) -> tuple[pl.DataFrame, Like, int]:
    """Read detections, where they came from, and the number of rows left out."""
    if isinstance(source, str | Path | np.ndarray):
        table, dropped = read_boxes_counted(source, "detections", on_error=on_error)
        return table, Like("file"), dropped
    table, like = frames.read(source)
    # what stands under track_id in detections is no identity: it may repeat
    table, dropped = check_boxes(table.drop("track_id", strict=False), on_error=on_error)
    return table, like, dropped


def by_sequence(table: pl.DataFrame) -> Iterator[tuple[tuple[Any, ...], pl.DataFrame]]:
    """Give the sequences of a table in order."""
    return iter(table.group_by("sequence", maintain_order=True))


def frame_blocks(part: pl.DataFrame) -> tuple[list[int], list[Rows]]:
    """Return the frame numbers of one sequence and the detections (n, 6) of each."""
    frame = part["frame"].to_numpy()
    rows = part.select(*BOX, "confidence", "class_id").to_numpy()
    numbers, first = np.unique(frame, return_index=True)
    return numbers.tolist(), np.split(rows, first[1:])


def tracks_table(name: str, numbers: Sequence[int], rows: Sequence[Rows]) -> pl.DataFrame:
    """Join the rows (m, 8 or 9) of a tracker, frame by frame, to a table."""
    width = rows[0].shape[1] if rows else 8
    values = np.concatenate(rows) if rows else np.zeros((0, width))
    frame = np.repeat(np.asarray(numbers, np.int64), [len(block) for block in rows])
    table = pl.DataFrame(
        {
            "sequence": pl.Series([name] * len(values), dtype=pl.String),
            "frame": frame,
            "track_id": values[:, 4].astype(np.int64),
            **{column: values[:, i] for i, column in enumerate(BOX)},
            "confidence": values[:, 5],
            "class_id": values[:, 6].astype(np.int64),
            "detection": values[:, 7].astype(np.int64),
        }
    )
    return table if width == 8 else table.with_columns(is_predicted=pl.Series(values[:, 8] > 0))


def score_tables(truth: pl.DataFrame, tracks: pl.DataFrame) -> pl.DataFrame:
    """Return the scores of tracks, per sequence of the truth and combined.

    Raises
    ------
    DataError
        The tracks hold a sequence that the truth does not know.
    """
    own = {str(key[0]): part for key, part in by_sequence(tracks)}
    true = {str(key[0]): part for key, part in by_sequence(truth)}
    strange = [name for name in own if name not in true]
    if strange and len(own) == len(true) == 1:  # one video on each side, named by its file
        own, strange = {next(iter(true)): own[strange[0]]}, []
    if strange:
        raise DataError(
            f"the tracks hold sequence {strange[0]!r}, the truth only {', '.join(true)}; "
            "sequences are matched by name.",
            column="sequence",
            value=strange[0],
        )
    none = tracks.clear()
    clips = {
        name: Clip.from_rows(_triple(part), _triple(own.get(name, none)), name=name)
        for name, part in true.items()
    }
    return score_clips(clips)


def _triple(part: pl.DataFrame) -> tuple[Any, Any, Any]:
    return part["frame"].to_numpy(), part["track_id"].to_numpy(), part.select(BOX).to_numpy()
