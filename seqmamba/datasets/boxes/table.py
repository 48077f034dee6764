"""Tables of boxes: detections and tracks, checked at the door."""

from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.errors import DataError
from seqmamba.params import nearest

__all__ = ["BOX", "COLUMNS", "NO_ID", "OnError", "check_boxes", "to_centre", "to_corners"]

BOX = ("x1", "y1", "x2", "y2")
COLUMNS = ("sequence", "frame", "track_id", *BOX, "confidence", "class_id")
NO_ID = -1
OnError = Literal["raise", "drop"]

_DEFAULTS = {"sequence": "video", "track_id": NO_ID, "confidence": 1.0, "class_id": 0}
_TYPES = {
    "sequence": pl.String(),
    "frame": pl.Int64(),
    "track_id": pl.Int64(),
    **dict.fromkeys(BOX, pl.Float64()),
    "confidence": pl.Float64(),
    "class_id": pl.Int64(),
}


def to_centre(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn corners ``x1, y1, x2, y2`` into ``cx, cy, w, h``: (..., 4) -> (..., 4)."""
    size = boxes[..., 2:] - boxes[..., :2]
    return np.concatenate([boxes[..., :2] + size / 2, size], axis=-1)


def to_corners(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn ``cx, cy, w, h`` into corners ``x1, y1, x2, y2``: (..., 4) -> (..., 4)."""
    half = boxes[..., 2:] / 2
    return np.concatenate([boxes[..., :2] - half, boxes[..., :2] + half], axis=-1)


def check_boxes(
    table: pl.DataFrame,
    *,
    on_error: OnError = "raise",
    source: str = "the table",
    lines: NDArray[np.int64] | None = None,
    sequence: str | None = None,
) -> tuple[pl.DataFrame, int]:
    """Bring a table of boxes into order.

    Parameters
    ----------
    table : DataFrame
        ``frame, x1, y1, x2, y2`` and, if there, ``sequence, track_id, confidence, class_id``;
        other columns are kept.
    on_error : {"raise", "drop"}
        What to do with rows that are not finite, have no area, or repeat an id in a frame.
    source : str
        File, for messages.
    lines : int array (n,) or None
        Line of each row in the file; None = rows, from 1.
    sequence : str or None
        Name of the video where the table has no such column.

    Returns
    -------
    table, dropped
        Sorted by sequence and frame, columns ``COLUMNS`` first; number of rows left out.

    Raises
    ------
    DataError
        A column is missing or of a wrong type; in strict mode also for an invalid row.
    """
    table = _typed(_filled(table, source, sequence), source)
    rows = np.arange(1, len(table) + 1) if lines is None else lines
    word, dropped = "row" if lines is None else "line", 0
    for find, error in ((_invalid, _row_error), (_twins, _twin_error)):
        bad = find(table)
        if not len(bad):
            continue
        if on_error == "raise":
            raise error(table, bad[0], f"{source}, {word} {rows[bad[0]]}", len(bad))
        table = table.filter(~pl.int_range(pl.len()).is_in(bad))
        rows, dropped = np.delete(rows, bad), dropped + len(bad)
    extra = [name for name in table.columns if name not in COLUMNS]
    table = table.select(*COLUMNS, *extra).sort("sequence", "frame", maintain_order=True)
    return table, dropped


def _filled(table: pl.DataFrame, source: str, sequence: str | None) -> pl.DataFrame:
    """Add the columns that may be missing; name one that may not."""
    missing = [name for name in ("frame", *BOX) if name not in table.columns]
    if missing:
        raise DataError(
            f"{source} has no column {missing[0]!r}; columns: {', '.join(table.columns)}."
            f"{nearest(missing[0], table.columns)} Boxes need frame, x1, y1, x2, y2.",
            column=missing[0],
            where=source,
        )
    values = {**_DEFAULTS, "sequence": sequence or "video"}
    return table.with_columns(
        pl.lit(value).alias(name) for name, value in values.items() if name not in table.columns
    )


def _typed(table: pl.DataFrame, source: str) -> pl.DataFrame:
    """Cast the known columns; a value that does not fit is named with its row."""
    for name, dtype in _TYPES.items():
        former = table[name]
        if dtype == pl.Int64() and former.dtype.is_float():
            former = former.fill_nan(None)
        column = former.cast(dtype, strict=False)
        lost = former.is_not_null() & column.is_null()
        if dtype == pl.Int64() and former.dtype.is_float():
            lost |= (former != column.cast(pl.Float64)).fill_null(False)
        if lost.any():
            row = int(lost.arg_max() or 0)
            raise DataError(
                f"{source}: {name} {former[row]!r} in row {row + 1} is not "
                f"{'a whole number' if dtype == pl.Int64() else 'a number'}.",
                column=name,
                where=f"row {row + 1}",
                value=former[row],
            )
        if name in _DEFAULTS:
            column = column.fill_null(_DEFAULTS[name])
        table = table.with_columns(column.alias(name))
    return table


def _invalid(table: pl.DataFrame) -> NDArray[np.int64]:
    """Return rows without a frame from 1 on, with a non-finite value or without area."""
    boxes = table.select(BOX).fill_null(np.nan).to_numpy()
    finite = np.isfinite(boxes).all(axis=1) & np.isfinite(table["confidence"].to_numpy())
    with np.errstate(invalid="ignore"):  # inf - inf, which is not finite anyway
        sized = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(axis=1)
    counted = (table["frame"].fill_null(0) >= 1).to_numpy()
    return np.flatnonzero(~(finite & sized & counted))


def _twins(table: pl.DataFrame) -> NDArray[np.int64]:
    """Return rows that repeat an id in a frame of a sequence."""
    named = table.with_row_index("_row").filter(pl.col("track_id") != NO_ID)
    again = ~named.select(
        pl.struct("sequence", "frame", "track_id").is_first_distinct()
    ).to_series()
    return named.filter(again)["_row"].to_numpy().astype(np.int64)


def _row_error(table: pl.DataFrame, row: int, where: str, count: int) -> DataError:
    values = table.row(row, named=True)
    spelled = ", ".join(f"{name}={values[name]}" for name in ("frame", *BOX, "confidence"))
    more = f" ({count} such rows)" if count > 1 else ""
    return DataError(
        f"{where}: not a box: {spelled}{more}. Expected frame >= 1, finite numbers, x1 < x2 and "
        'y1 < y2. Pass on_error="drop" to leave such rows out and count them.',
        where=where,
        value=values,
    )


def _twin_error(table: pl.DataFrame, row: int, where: str, count: int) -> DataError:
    values: dict[str, Any] = table.row(row, named=True)
    more = f" ({count} such rows)" if count > 1 else ""
    return DataError(
        f"{where}: track_id {values['track_id']} stands a second time in frame {values['frame']} "
        f"of {values['sequence']!r}{more}; an object has one box per frame. "
        'Pass on_error="drop" to keep the first.',
        column="track_id",
        where=where,
        value=values["track_id"],
    )
