"""Boxes from files, folders and tables of any library, and back to files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from seqmamba import frames
from seqmamba.datasets.boxes.mot import Part, mot_sequence, read_mot, write_mot
from seqmamba.datasets.boxes.table import BOX, NO_ID, OnError, check_boxes
from seqmamba.errors import ConfigError, DataError
from seqmamba.params import nearest

__all__ = ["like_of", "read_boxes", "read_boxes_counted", "read_points", "write_boxes"]

_FOLDERS = {"truth": "gt/gt.txt", "detections": "det/det.txt"}
_ARRAY = ("frame", "track_id", *BOX, "confidence", "class_id")


def read_boxes(
    source: Any, part: Part | None = None, *, on_error: OnError = "raise"
) -> pl.DataFrame:
    """Read detections or tracks; see :func:`read_boxes_counted`."""
    return read_boxes_counted(source, part, on_error=on_error)[0]


def read_boxes_counted(
    source: Any, part: Part | None = None, *, on_error: OnError = "raise"
) -> tuple[pl.DataFrame, int]:
    """Read detections or tracks.

    Parameters
    ----------
    source : path, table or array
        A MOTChallenge text file (``.txt``), a folder of them (``<sequence>/gt/gt.txt``,
        ``<sequence>/det/det.txt`` or ``<sequence>.txt``), a CSV or Parquet file, a table of any
        library, or an array with columns ``frame, track_id, x1, y1, x2, y2[, confidence[,
        class_id]]``.
    part : {"truth", "detections"} or None
        Which file of a sequence's folder; None = as the file says, truth in a folder.
    on_error : {"raise", "drop"}

    Returns
    -------
    table, dropped
        See :func:`seqmamba.datasets.boxes.table.check_boxes`.
    """
    if isinstance(source, str | Path) and str(source) != "-":
        return _read_path(Path(source), part, on_error)
    if isinstance(source, np.ndarray):
        return check_boxes(_from_array(source), on_error=on_error, source="the array")
    table, _ = frames.read(source)
    return check_boxes(table, on_error=on_error)


def like_of(source: Any) -> frames.Like:
    """Return the library that an answer goes back to; polars for files and arrays."""
    if isinstance(source, str | Path | np.ndarray):
        return frames.Like("file")
    return frames.read(source)[1]


def read_points(source: Any, columns: Sequence[str]) -> pl.DataFrame:
    """Read tracks of points: ``frame``, two coordinates and, if there, ``sequence, track_id``.

    Raises
    ------
    DataError
        A column is missing, a coordinate is not finite, or an id repeats in a frame.
    """
    table, _ = frames.read(source)
    missing = [name for name in columns if name not in table.columns]
    if len(columns) != 2 or missing:
        raise DataError(
            f"columns {', '.join(columns)} must be x1, y1, x2, y2 or two coordinates of the table; "
            f"it has {', '.join(table.columns)}."
            f"{nearest(missing[0], table.columns) if missing else ''}",
            column=missing[0] if missing else None,
        )
    x, y = (pl.col(name).cast(pl.Float64) for name in columns)
    # a point is a box of one unit around it: the same checks hold
    boxed = table.with_columns(
        (x - 0.5).alias("x1"), (y - 0.5).alias("y1"), (x + 0.5).alias("x2"), (y + 0.5).alias("y2")
    )
    return check_boxes(boxed)[0].drop(BOX)


def write_boxes(table: pl.DataFrame, path: str | Path) -> None:
    """Write tracks: ``.txt`` or a folder as MOTChallenge text, ``.csv`` or ``.parquet`` as a table.

    A folder gets one file per sequence; a single ``.txt`` holds one sequence only.
    """
    path = Path(path)
    if path.suffix not in ("", ".txt"):
        frames.write(table, path)
        return
    parts = {str(key[0]): part for key, part in table.group_by("sequence", maintain_order=True)}
    if path.suffix == ".txt":
        if len(parts) > 1:
            raise ConfigError(
                f"{path} can hold one sequence, the table has {len(parts)} "
                f"({', '.join(list(parts)[:3])}, ...); give a folder or a .csv or .parquet file."
            )
        write_mot(table, path)
        return
    path.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        if Path(name).name != name or name in ("", ".", ".."):
            raise DataError(
                f"sequence {name!r} cannot name a file; rename it or write a .csv file.",
                column="sequence",
                value=name,
            )
        write_mot(part, path / f"{name}.txt")


def _read_path(path: Path, part: Part | None, on_error: OnError) -> tuple[pl.DataFrame, int]:
    if not path.exists() and not any(sign in str(path) for sign in "*?["):
        raise FileNotFoundError(f"no file or folder {path}")
    if path.is_dir():
        return _read_folder(path, part, on_error)
    if path.suffix == ".txt":
        return read_mot(path, part, on_error=on_error)
    table, _ = frames.read(path)
    return check_boxes(table, on_error=on_error, source=str(path), sequence=path.stem)


def _read_folder(path: Path, part: Part | None, on_error: OnError) -> tuple[pl.DataFrame, int]:
    name = _FOLDERS[part or "truth"]
    files = [path / name] if (path / name).exists() else sorted(path.glob(f"*/{name}"))
    # "info" and "meta" files lie beside the sequences in some collections
    files = files or [f for f in sorted(path.glob("*.txt")) if "meta" not in f.stem]
    if not files:
        raise DataError(
            f"{path} holds neither <sequence>/{name} nor <sequence>.txt; "
            "give the folder of a MOTChallenge collection or a single file.",
            where=str(path),
        )
    names = [mot_sequence(file) for file in files]
    assert len(set(names)) == len(names)
    read = [read_mot(file, part, on_error=on_error) for file in files]
    return pl.concat([table for table, _ in read]), sum(dropped for _, dropped in read)


def _from_array(array: np.ndarray[Any, Any]) -> pl.DataFrame:
    if array.ndim != 2 or not 6 <= array.shape[1] <= len(_ARRAY):
        raise DataError(
            f"an array of boxes has shape {array.shape}; expected (n, 6) to (n, 8) with columns "
            f"{', '.join(_ARRAY)}. Use track_id {NO_ID} for detections.",
            value=array.shape,
        )
    return pl.DataFrame(
        {name: array[:, i].astype(np.float64) for i, name in enumerate(_ARRAY[: array.shape[1]])}
    )
