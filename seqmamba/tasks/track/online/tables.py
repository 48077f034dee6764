"""Tables of detections cut into frames, rows of a tracker joined to tables, tables scored."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba import frames
from seqmamba.datasets.boxes.files import read_boxes, read_boxes_counted, write_boxes
from seqmamba.datasets.boxes.table import BOX, NO_ID, OnError, check_boxes
from seqmamba.errors import ConfigError, DataError, SeqmambaWarning
from seqmamba.frames import Like
from seqmamba.metrics.tracking import Clip, score_clips

__all__ = ["MotResults", "by_sequence", "describe", "frame_blocks", "read_detection_table"]
__all__ += ["score_results", "score_tables", "tracks_table"]

Rows = NDArray[np.float64]


def read_detection_table(source: Any, on_error: OnError) -> tuple[pl.DataFrame, Like, int]:
    """Read detections, where they came from, and the number of rows left out; warn of those."""
    if isinstance(source, str | Path | np.ndarray):
        table, dropped = read_boxes_counted(source, "detections", on_error=on_error)
        like, name = Like("file"), "the array" if isinstance(source, np.ndarray) else str(source)
    else:
        table, like = frames.read(source)
        # what stands under track_id in detections is no identity: it may repeat
        table, dropped = check_boxes(table.drop("track_id", strict=False), on_error=on_error)
        name = "the table"
    if dropped:
        warnings.warn(
            f"{dropped} of {dropped + len(table)} rows of {name} are no boxes and were left out.",
            SeqmambaWarning,
            stacklevel=2,
        )
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


@dataclass(frozen=True)
class MotResults:
    """Tracks that are written as MOTChallenge text: a ``.txt`` file, or a folder of them."""

    tracks: pl.DataFrame

    def save(self, path: str | Path) -> Path:
        """Write the files."""
        write_boxes(self.tracks, path)
        return Path(path)


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


def score_results(truth: pl.DataFrame, results: Any) -> pl.DataFrame:
    """Return the scores of tracks that were made elsewhere; see :func:`score_tables`."""
    if results is None:
        raise ConfigError(
            "scores need tracks beside the truth, or a fitted model and, for scores of the "
            "tracker, detections."
        )
    tracks = read_boxes(results)
    if (tracks["track_id"] == NO_ID).any():
        raise DataError(
            f"{(tracks['track_id'] == NO_ID).sum()} rows of the tracks have no track_id; these "
            "are detections. Track them first.",
            column="track_id",
            value=NO_ID,
        )
    return score_tables(truth, tracks)


def describe(table: pl.DataFrame) -> pl.DataFrame:
    """Return what a table of tracks or detections holds: fact, value."""
    named = table.filter(pl.col("track_id") != NO_ID) if "track_id" in table.columns else table
    ordered = named.sort("sequence", "track_id", "frame")
    jumps = ordered.select(
        pl.col("frame").diff().over("sequence", "track_id").fill_null(1) > 1
    ).to_series()
    per_track = named.group_by("sequence", "track_id").len()["len"]
    facts = {
        "rows": len(table),
        "sequences": table["sequence"].n_unique(),
        "frames": table.select(pl.struct("sequence", "frame").n_unique()).item(),
        "first frame": table["frame"].min(),
        "last frame": table["frame"].max(),
        "tracks": len(per_track),
        "gaps in tracks": int(jumps.sum()),
        "rows without track": len(table) - len(named),
        "shortest track": per_track.min(),
        "longest track": per_track.max(),
        "classes": ", ".join(map(str, table["class_id"].unique().sort())),
    }
    if set(BOX) <= set(table.columns):
        boxes = table.select(BOX).to_numpy()
        width, height = np.median(boxes[:, 2:] - boxes[:, :2], axis=0)
        facts["median box"] = f"{width:.1f} x {height:.1f}"
        facts["image needed"] = f"{boxes[:, 2].max():.0f} x {boxes[:, 3].max():.0f}"
    rows = [(name, str(value)) for name, value in facts.items() if value is not None]
    return pl.DataFrame(rows, schema=["fact", "value"], orient="row")


def _triple(part: pl.DataFrame) -> tuple[Any, Any, Any]:
    return part["frame"].to_numpy(), part["track_id"].to_numpy(), part.select(BOX).to_numpy()
