"""Answers along a recording that is still going on, or too long for memory."""

import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqmamba.datasets.records.record import Record, millivolts
from seqmamba.datasets.records.wfdb_files import stream_wfdb
from seqmamba.errors import ConfigError, DataError
from seqmamba.tasks.ecg.reading import Recorded

__all__ = ["Moment", "pieces_of", "windows_of"]


class Moment(NamedTuple):
    """The answer for one window.

    Parameters
    ----------
    start, end : float
        Seconds from the start of the recording.
    probabilities : array (K,)
        NaN where the window could not be read.
    flags : tuple of str
    """

    start: float
    end: float
    probabilities: NDArray[np.float64]
    flags: tuple[str, ...]


def pieces_of(source: Any, recorded: Recorded) -> Iterator[Record]:
    """Give pieces of a recording: of a WFDB record from disk, or of arrays (leads, any length)."""
    if isinstance(source, str | os.PathLike):
        yield from stream_wfdb(os.fspath(source))
        return
    fs, lead_names = recorded.get("fs"), recorded.get("lead_names")
    if fs is None or lead_names is None:
        raise ConfigError("a stream of arrays needs fs and lead_names.")
    for piece in source:
        signal = millivolts(np.atleast_2d(np.asarray(piece)), recorded.get("units", "mV"))
        yield Record("stream", signal, float(fs), tuple(lead_names))


def windows_of(
    pieces: Iterable[Record], duration: float, hop: float
) -> Iterator[tuple[float, Record]]:
    """Cut pieces into windows that start every ``hop`` seconds; the last may be shorter.

    Keeps one window and one piece in memory, however long the recording is.
    """
    if not 0 < hop <= duration:
        raise ConfigError(f"hop must lie in (0, {duration:g}], got {hop!r}.")
    waiting: NDArray[Any] | None = None
    start, last = 0, None
    for piece in pieces:
        if waiting is not None and len(piece.signal) != len(waiting):
            raise DataError(f"the stream changed from {len(waiting)} to {len(piece.signal)} leads.")
        waiting = (
            piece.signal if waiting is None else np.concatenate([waiting, piece.signal], axis=1)
        )
        last = piece
        width, step = round(duration * piece.fs), round(hop * piece.fs)
        while waiting.shape[1] >= width:
            yield start / piece.fs, _cut(piece, waiting[:, :width])
            waiting, start = waiting[:, step:], start + step
    if last is None or waiting is None:
        return
    width, step = round(duration * last.fs), round(hop * last.fs)
    fresh = waiting.shape[1] - (width - step if start else 0)  # samples that no window has had
    if fresh > 0:
        yield start / last.fs, _cut(last, waiting)


def _cut(piece: Record, signal: NDArray[Any]) -> Record:
    return Record(piece.name, signal, piece.fs, piece.leads)
