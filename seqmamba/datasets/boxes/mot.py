"""MOTChallenge text: ``frame, id, left, top, width, height, ...`` without a header."""

import configparser
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.datasets.boxes.table import BOX, NO_ID, OnError, check_boxes
from seqmamba.errors import DataError

__all__ = ["Part", "SequenceInfo", "mot_sequence", "read_mot", "read_seqinfo", "write_mot"]

Part = Literal["truth", "detections"]
TRUTH_WIDTH = 9  # frame, id, box, consider, class, visibility: MOT16 on, SportsMOT, DanceTrack
LEAST_WIDTH = 6
PEDESTRIAN = 1  # the only class of MOT16, MOT17 and MOT20 that counts as an object


def read_mot(
    path: str | Path, part: Part | None = None, *, on_error: OnError = "raise"
) -> tuple[pl.DataFrame, int]:
    """Read one file of ground truth, detections or results.

    No pixel is added or subtracted: ``x2 = left + width``. Rows that ground truth marks as not to
    be considered are left out, and in MOT16, MOT17 and MOT20 everything but pedestrians. With ten
    columns (MOT15, detections, results) the last three are no class.

    Parameters
    ----------
    path : path
        ``<sequence>/gt/gt.txt``, ``<sequence>/det/det.txt`` or ``<sequence>.txt``.
    part : {"truth", "detections"} or None
        None = truth for nine columns or a file ``gt.txt``.
    on_error : {"raise", "drop"}

    Returns
    -------
    table, dropped
        See :func:`seqmamba.datasets.boxes.table.check_boxes`.
    """
    path = Path(path)
    values, lines = _numbers(path)
    name = mot_sequence(path)
    is_truth = part == "truth" or (
        part is None and (values.shape[1] == TRUTH_WIDTH or path.name == "gt.txt")
    )
    keep = np.ones(len(values), bool)
    if is_truth and values.shape[1] > LEAST_WIDTH:
        keep = values[:, 6] != 0
        if values.shape[1] == TRUTH_WIDTH and name.startswith(("MOT16", "MOT17", "MOT20")):
            keep &= values[:, 7] == PEDESTRIAN
    values, lines = values[keep], lines[keep]
    return check_boxes(
        _table(values, name, is_truth), on_error=on_error, source=str(path), lines=lines
    )


def mot_sequence(path: Path) -> str:
    """Return the sequence of a file: the folder above ``gt/gt.txt``, else the file's stem."""
    if path.stem == path.parent.name and path.stem in ("gt", "det"):
        return path.parent.parent.name
    return path.stem


def write_mot(table: pl.DataFrame, path: str | Path) -> None:
    """Write the rows of one sequence as results: ids from 1, two decimals, confidence 1.

    Ids move up by one where the table has an id 0, since the format counts from 1.
    """
    boxes = table.select(BOX).to_numpy().round(2)  # so that x2 = left + width is as exact as x1
    ids = table["track_id"].to_numpy()
    ids = ids + 1 if len(ids) and ids.min() == 0 else ids
    rows = np.column_stack(
        [table["frame"].to_numpy(), ids, boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]
    )
    lines = [
        f"{frame:.0f},{track:.0f},{x:.2f},{y:.2f},{w:.2f},{h:.2f},1,-1,-1,-1"
        for frame, track, x, y, w, h in rows.tolist()
    ]
    Path(path).write_text("".join(line + "\n" for line in lines), encoding="utf-8")


@dataclass(frozen=True)
class SequenceInfo:
    """What ``seqinfo.ini`` says of a video: name, frames per second, frames, size in pixels."""

    name: str
    fps: float
    n_frames: int
    width: int
    height: int


def read_seqinfo(path: str | Path) -> SequenceInfo:
    """Read ``seqinfo.ini``, section ``[Sequence]``.

    Raises
    ------
    DataError
        The section or a key is missing or no number.
    """
    parser = configparser.ConfigParser()
    try:
        parser.read_string(Path(path).read_text(encoding="utf-8"))
        part = parser["Sequence"]
        return SequenceInfo(
            name=part["name"],
            fps=float(part["frameRate"]),
            n_frames=int(part["seqLength"]),
            width=int(part["imWidth"]),
            height=int(part["imHeight"]),
        )
    except (configparser.Error, KeyError, ValueError) as error:
        raise DataError(
            f"{path} is not a seqinfo.ini: {error}. Expected a section [Sequence] with name, "
            "frameRate, seqLength, imWidth, imHeight.",
            where=str(path),
        ) from error


def _numbers(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the numbers of a file and the line of each row, from 1."""
    raw = path.read_bytes()
    if not raw.strip():
        raise DataError(f"{path} is empty; expected frame,id,left,top,width,height,... per line.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not text: byte {error.start} is not UTF-8. Expected MOTChallenge lines."
        ) from error
    written = text.splitlines()
    lines = np.array([i for i, line in enumerate(written, 1) if line.strip()])
    rows = [written[i - 1] for i in lines]
    try:
        values = np.loadtxt(rows, delimiter=",", ndmin=2, comments=None)
    except ValueError as error:
        raise _wrong_line(path, rows, lines) from error
    if values.shape[1] < LEAST_WIDTH:
        raise _wrong_line(path, rows, lines)
    return values, lines


def _wrong_line(path: Path, rows: list[str], lines: NDArray[np.int64]) -> DataError:
    """Find the line that broke the fast reader."""
    width = max(len(rows[0].split(",")), LEAST_WIDTH)
    for row, line in zip(rows, lines, strict=True):
        parts = row.split(",")
        wrong = [part for part in parts if not _is_number(part)]
        if wrong or len(parts) != width:
            what = f"{wrong[0].strip()!r} is no number" if wrong else f"{len(parts)} columns"
            return DataError(
                f"{path}, line {line}: {what}. Expected {width} numbers separated by commas: "
                "frame,id,left,top,width,height,...",
                where=f"line {line}",
                value=row,
            )
    raise AssertionError("the fast reader fails on wrong lines only")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _table(values: NDArray[np.float64], name: str, is_truth: bool) -> pl.DataFrame:
    left, top, width, height = values[:, 2:6].T
    scored = values.shape[1] > LEAST_WIDTH and not is_truth
    has_class = is_truth and values.shape[1] == TRUTH_WIDTH
    return pl.DataFrame(
        {
            "sequence": [name] * len(values),
            "frame": values[:, 0],
            "track_id": np.where(values[:, 1] < 0, NO_ID, values[:, 1]),
            "x1": left,
            "y1": top,
            "x2": left + width,
            "y2": top + height,
            "confidence": values[:, 6] if scored else np.ones(len(values)),
            "class_id": values[:, 7] if has_class else np.zeros(len(values)),
        }
    )
