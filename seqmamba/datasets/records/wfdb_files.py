"""WFDB records: a header ``.hea`` and signals in ``.dat`` or ``.mat`` files (extra ``ecg``)."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from seqmamba.datasets.records.record import Record, per_millivolt
from seqmamba.errors import DataError, MissingPackageError

__all__ = ["read_wfdb", "stream_wfdb", "wfdb_stem"]

PIECE_S = 600.0  # of a long record, read at once
_DAMAGE = (ValueError, IndexError, KeyError, TypeError, OSError, AttributeError)


def wfdb_stem(path: str | Path) -> Path:
    """Return the path of a record without the suffix of its header or signal file."""
    path = Path(path)
    return path.with_suffix("") if path.suffix in (".hea", ".dat", ".mat") else path


def read_wfdb(path: str | Path) -> Record:
    """Read a whole record; channels that are no voltage are left out.

    Raises
    ------
    DataError
        Header or signals are damaged, missing, or hold no voltage.
    MissingPackageError
        wfdb is not installed.
    """
    (record,) = stream_wfdb(path, seconds=None)
    return record


def stream_wfdb(path: str | Path, seconds: float | None = PIECE_S) -> Iterator[Record]:
    """Read a record in pieces of some seconds, so that memory does not grow with its length."""
    stem = wfdb_stem(path)
    wfdb = _wfdb()
    try:
        header = wfdb.rdheader(str(stem))
        total, fs = header.sig_len, float(header.fs)
    except _DAMAGE as error:
        raise _damaged(stem, error) from error
    step = total if seconds is None or not total else max(1, round(seconds * fs))
    for start in range(0, total or 1, step or 1):
        yield _piece(wfdb, stem, start, None if not total else min(start + step, total))


def _piece(wfdb: Any, stem: Path, start: int, stop: int | None) -> Record:
    try:
        found = wfdb.rdrecord(str(stem), sampfrom=start, sampto=stop)
        signal, units, names = found.p_signal, found.units, found.sig_name
    except _DAMAGE as error:
        raise _damaged(stem, error) from error
    if signal is None or not len(signal):
        raise DataError(f"record {stem.name}: the header describes no signal.", where=stem.name)
    voltage = [k for k, unit in enumerate(units) if _is_voltage(unit)]
    if not voltage:
        listed = ", ".join(f"{name} ({unit})" for name, unit in zip(names, units, strict=True))
        raise DataError(f"record {stem.name} holds no voltage: {listed}.", where=stem.name)
    scale = np.array([per_millivolt(units[k]) for k in voltage])
    comments = tuple(found.comments or ())
    return Record(
        name=stem.name,
        signal=np.ascontiguousarray((signal[:, voltage] / scale).T, dtype=np.float32),
        fs=float(found.fs),
        leads=_distinct([str(names[k] or f"channel {k}") for k in voltage]),
        diagnoses=_diagnoses(comments),
        facts=_facts(comments),
    )


def _is_voltage(unit: str | None) -> bool:
    try:
        per_millivolt(unit or "")
    except DataError:
        return False
    return True


def _distinct(names: list[str]) -> tuple[str, ...]:
    """Return names of which those that repeat are numbered."""
    return tuple(
        name if names.index(name) == k else f"{name} #{names[: k + 1].count(name)}"
        for k, name in enumerate(names)
    )


def _diagnoses(comments: tuple[str, ...]) -> tuple[str, ...]:
    """Read ``Dx: 164934002,426783006`` (PhysioNet/CinC 2020 and 2021)."""
    for line in comments:
        key, _, value = line.partition(":")
        if key.strip(" #").lower() == "dx":
            codes = re.split(r"[,|\s]+", value.strip())
            return tuple(code for code in codes if code and code.lower() != "unknown")
    return ()


def _facts(comments: tuple[str, ...]) -> dict[str, str]:
    """Read ``Age: 59`` and ``<sex>: F``."""
    pattern = re.compile(r"<?\b(age|sex)\b>?\s*:\s*([\w.]+)", re.IGNORECASE)
    pairs = [match for line in comments for match in pattern.findall(line)]
    return {key.lower(): value for key, value in pairs if value.lower() not in ("nan", "unknown")}


def _damaged(stem: Path, error: Exception) -> DataError:
    if isinstance(error, FileNotFoundError):
        missing = Path(error.filename or f"{stem.name}.hea").name
        reason = f"its file {missing} is missing"
    else:
        reason = f"its files are damaged or do not fit its header ({error})"
    return DataError(f"record {stem.name}: {reason}. Fetch the record again.", where=stem.name)


def _wfdb() -> Any:
    try:  # wfdb: only for its files, and slow to import
        import wfdb
    except ImportError as error:
        raise MissingPackageError('WFDB records need wfdb: pip install "seqmamba[ecg]".') from error
    return wfdb
