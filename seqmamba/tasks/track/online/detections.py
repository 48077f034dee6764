"""Detections of one frame, whatever the caller holds them in."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.errors import DataError

__all__ = ["Detections", "OnError", "read_detections"]

OnError = Literal["raise", "drop"]
BOX = ("x1", "y1", "x2", "y2")


@dataclass(frozen=True)
class Detections:
    """Detections of one frame.

    Parameters
    ----------
    boxes : array (n, 4)
        ``x1, y1, x2, y2`` in pixels.
    scores, classes : array (n,)
        Confidence in [0, 1] (1 where the source has none); class (-1 where it has none).
    index : int array (n,)
        Row of each detection in the source.
    dropped : int
        Rows of the source that were invalid and left out.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    classes: NDArray[np.int64]
    index: NDArray[np.int64]
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: NDArray[Any]) -> "Detections":
        return Detections(
            self.boxes[rows], self.scores[rows], self.classes[rows], self.index[rows], self.dropped
        )


def read_detections(source: Any, on_error: OnError = "raise", where: str = "") -> Detections:
    """Read the detections of one frame.

    Parameters
    ----------
    source : None, array (n, 4..6), table, or object with ``xyxy``
        Array columns ``x1, y1, x2, y2[, confidence[, class]]``; a table has those names; a
        supervision ``Detections`` is recognised by its attribute ``xyxy``.
    on_error : {"raise", "drop"}
        What to do with boxes that are not finite or have no area.
    where : str
        Frame, for messages.

    Raises
    ------
    DataError
        Wrong shape, or invalid boxes in strict mode.
    """
    boxes, scores, classes = _columns(source, where)
    n = len(boxes)
    scores = np.ones(n) if scores is None else np.asarray(scores, np.float64)
    classes = np.full(n, -1) if classes is None else np.asarray(classes).astype(np.int64)
    read = Detections(boxes, scores, classes, np.arange(n))
    if n == 0:
        return read
    with np.errstate(invalid="ignore"):  # inf - inf is caught by the test for finite values
        sized = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(axis=1)
    good = sized & np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    if good.all():
        return read
    bad = np.flatnonzero(~good)
    if on_error == "drop":
        kept = read[good]
        return Detections(kept.boxes, kept.scores, kept.classes, kept.index, len(bad))
    raise DataError(
        f"{len(bad)} of {n} detections{where} are not finite or have no area; first: row "
        f"{bad[0]}, {_spell(boxes[bad[0]], scores[bad[0]])}. A box needs x1 < x2 and y1 < y2. "
        'Pass on_error="drop" to leave such rows out and count them.',
        where=f"row {bad[0]}{where}",
        value=boxes[bad[0]].tolist(),
    )


def _columns(source: Any, where: str) -> tuple[NDArray[np.float64], Any, Any]:
    if source is None:
        return np.zeros((0, 4)), None, None
    if hasattr(source, "xyxy"):  # supervision
        boxes = np.asarray(source.xyxy, np.float64).reshape(-1, 4)
        return boxes, getattr(source, "confidence", None), getattr(source, "class_id", None)
    if hasattr(source, "columns"):
        return _table(source, where)
    rows = np.asarray(source, np.float64)
    if rows.size == 0:
        return np.zeros((0, 4)), None, None
    if rows.ndim != 2 or not 4 <= rows.shape[1] <= 6:
        raise DataError(
            f"detections{where} have shape {rows.shape}; expected (n, 4), (n, 5) or (n, 6) with "
            "columns x1, y1, x2, y2[, confidence[, class]].",
            value=rows.shape,
        )
    scores = rows[:, 4] if rows.shape[1] > 4 else None
    return rows[:, :4], scores, rows[:, 5] if rows.shape[1] > 5 else None


def _table(source: Any, where: str) -> tuple[NDArray[np.float64], Any, Any]:
    table = source if isinstance(source, pl.DataFrame) else pl.from_pandas(source)
    missing = [name for name in BOX if name not in table.columns]
    if missing:
        raise DataError(
            f"detections{where} have no column {missing[0]!r}; columns: "
            f"{', '.join(table.columns)}. Expected x1, y1, x2, y2[, confidence[, class_id]].",
            column=missing[0],
        )
    boxes = table.select(pl.col(BOX).cast(pl.Float64)).to_numpy()
    scores, classes = (
        table[name].to_numpy() if name in table.columns else None
        for name in ("confidence", "class_id")
    )
    return boxes, scores, classes


def _spell(box: NDArray[np.float64], score: float) -> str:
    values = ", ".join(f"{name}={value:g}" for name, value in zip(BOX, box, strict=True))
    return f"{values}, confidence={score:g}"
