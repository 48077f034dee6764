"""The door for recordings: arrays, folders, files, tables; one record at a time."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba import frames
from seqmamba.datasets.records.matlab_files import read_matlab
from seqmamba.datasets.records.record import Failure, Record, millivolts
from seqmamba.datasets.records.tables import FLAT_LABELS, is_flat, long_records, wide_records
from seqmamba.datasets.records.wfdb_files import read_wfdb, wfdb_stem
from seqmamba.errors import DataError
from seqmamba.frames import Like

__all__ = ["OnError", "Records", "open_records"]

OnError = Literal["raise", "skip", "nan"]
TABLES = (".csv", ".tsv", ".parquet", ".feather", ".json", ".gz", ".zst")
STANDARD = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


@dataclass
class Records:
    """Recordings of one source.

    Parameters
    ----------
    open : callable () -> iterator of Record or DataError
        Reads again at each call; a damaged record comes as its error.
    names : tuple of str or None
        Where they are known before reading.
    flat : array (n, T) or None
        Short sequences of one channel, without a rate; then nothing is opened.
    y : array, table or None
        Labels that the source holds itself.
    like : Like or None
        The caller's library, for a table or file; None for arrays.
    """

    open: Callable[[], Iterator[Record | DataError]]
    names: tuple[str, ...] | None = None
    flat: NDArray[Any] | None = None
    y: Any = None
    like: Like | None = None
    failures: list[Failure] = field(default_factory=list)

    def read(self, on_error: OnError = "raise") -> Iterator[Record | None]:
        """Give each record; None in place of a damaged one, unless it is raised or skipped."""
        self.failures.clear()
        for found in self.open():
            if isinstance(found, Record):
                yield found
                continue
            if on_error == "raise":
                raise found
            self.failures.append(Failure(str(found.where or "?"), str(found)))
            if on_error == "nan":
                yield None


def open_records(
    source: Any,
    *,
    fs: float | None = None,
    lead_names: Sequence[str] | None = None,
    units: str | float = "mV",
) -> Records:
    """Find out what a source is.

    Parameters
    ----------
    source : array, list, path or table
        Array (n, leads, T), or (n, T): one lead each, or a list of (leads, T). A record, a list of
        records or a folder of them (WFDB ``.hea``, MATLAB struct ``.mat``). ``.npz`` or ``.npy``
        with ``x`` and perhaps ``y, fs, leads``. A table in any library or file: ``record, fs, I,
        II, …`` with lists of samples, ``record, t, I, II, …`` with one row per sample, or
        ``t0, t1, …, label`` with one beat per row.
    fs : float or None
        Samples per second of arrays and tables that do not say; WFDB records do.
    lead_names : sequence of str or None
        Of arrays; None: the 12 standard leads.
    units : str or float
        Of arrays and tables: mV, uV, nV, V or a gain per mV.

    Raises
    ------
    DataError
        The source is nothing of these.
    FileNotFoundError
        There is no such file.
    """
    if isinstance(source, np.ndarray):
        return _of_array(source, fs, lead_names, units)
    if isinstance(source, str | os.PathLike):
        return _of_path(Path(source).expanduser(), fs, lead_names, units)
    if isinstance(source, list | tuple):
        if source and all(isinstance(item, str | os.PathLike) for item in source):
            return _of_files([Path(item) for item in source], fs)
        if source and all(isinstance(item, Record) for item in source):
            names = tuple(item.name for item in source)
            return Records(lambda: iter(source), names)
        return _of_list([np.asarray(item) for item in source], fs, lead_names, units)
    table, like = frames.read(source, text_columns=("record",))
    return _of_table(table, like, fs, units)


def _of_array(
    array: NDArray[Any], fs: float | None, leads: Sequence[str] | None, units: str | float
) -> Records:
    if array.ndim != 3:
        return Records(lambda: iter(()), flat=array)
    return _of_list(array, fs, leads, units)


def _of_list(
    signals: Iterable[NDArray[Any]],
    fs: float | None,
    leads: Sequence[str] | None,
    units: str | float,
) -> Records:
    def read() -> Iterator[Record | DataError]:
        for row, signal in enumerate(signals):
            try:
                signal = np.atleast_2d(signal)
                if signal.dtype.kind not in "fiu" or signal.ndim != 2:
                    raise DataError(
                        f"record {row} is an array {signal.shape} of {signal.dtype}; expected "
                        "(leads, samples) of numbers.",
                        where=str(row),
                    )
                names = _names(leads, len(signal), row)
                rate = 1.0 if fs is None else float(fs)
                yield Record(str(row), millivolts(signal, units), rate, names)
            except DataError as error:
                yield error

    count = len(signals) if isinstance(signals, np.ndarray | list) else 0
    return Records(read, tuple(str(row) for row in range(count)))


def _names(leads: Sequence[str] | None, count: int, row: int) -> tuple[str, ...]:
    if leads is not None:
        names = (leads,) if isinstance(leads, str) else tuple(leads)
        if len(names) != count:
            raise DataError(
                f"record {row} has {count} leads, lead_names {len(names)}: {', '.join(names)}.",
                where=str(row),
            )
        return names
    if count == 12:
        return STANDARD
    if count == 1:
        return ("II",)
    raise DataError(
        f"record {row} has {count} leads, and their names are unknown. Pass lead_names, in the "
        "order of the array; without them there must be 12, in standard order, or 1.",
        where=str(row),
    )


def _of_path(
    path: Path, fs: float | None, leads: Sequence[str] | None, units: str | float
) -> Records:
    if path.is_dir():
        headers = sorted(path.rglob("*.hea"))
        structs = sorted(p for p in path.rglob("*.mat") if not p.with_suffix(".hea").exists())
        if headers or structs:
            return _of_files([*headers, *structs], fs)
        tables = sorted(p for p in path.iterdir() if p.suffix in (".parquet", ".npz"))
        if len(tables) == 1:
            return _of_path(tables[0], fs, leads, units)
        raise DataError(f"{path} holds no record: no .hea, no .mat, and no single table.")
    if path.suffix in (".npz", ".npy"):
        return _of_arrays(_exists(path), fs, leads, units)
    if path.suffix in TABLES or str(path) == "-":
        table, like = frames.read(str(path), text_columns=("record",))
        return _of_table(table, like, fs, units)
    return _of_files([path], fs)


def _of_arrays(
    path: Path, fs: float | None, leads: Sequence[str] | None, units: str | float
) -> Records:
    try:
        content = np.load(path)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path} is no readable array file ({error}).", where=str(path)) from error
    arrays: Mapping[str, Any] = content if hasattr(content, "files") else {"x": content}
    key = next((k for k in ("x", "X", "signals", "data") if k in arrays), None)
    if key is None:
        listed = ", ".join(arrays)
        raise DataError(f"{path} holds no array 'x' of signals, but {listed}.", where=str(path))
    rate = float(arrays["fs"]) if "fs" in arrays else fs
    names = [str(name) for name in arrays["leads"]] if "leads" in arrays else leads
    found = _of_array(np.asarray(arrays[key]), rate, names, units)
    found.y = np.asarray(arrays["y"]) if "y" in arrays else None
    found.like = Like("file")
    return found


def _of_files(paths: list[Path], fs: float | None) -> Records:
    def read() -> Iterator[Record | DataError]:
        for path in paths:
            try:
                yield _read_file(path, fs)
            except DataError as error:
                error.where = error.where or path.name
                yield error

    for path in paths:  # what is not there at all is an answer of its own
        if len(paths) == 1 and not path.exists() and not path.with_suffix(".hea").exists():
            raise FileNotFoundError(f"there is no record {path}.")
    return Records(read, tuple(wfdb_stem(path).name for path in paths), like=Like("file"))


def _read_file(path: Path, fs: float | None) -> Record:
    if path.suffix.lower() == ".edf":
        raise DataError(
            f"{path.name}: EDF files are not read here. Convert it, for example with edf2mit of "
            "the WFDB tools.",
            where=path.name,
        )
    if path.suffix == ".mat" and not path.with_suffix(".hea").exists():
        return read_matlab(path, fs)
    return read_wfdb(path)


def _of_table(table: pl.DataFrame, like: Like, fs: float | None, units: str | float) -> Records:
    if "record" in table.columns:
        lists = any(isinstance(kind, pl.List | pl.Array) for kind in table.schema.values())
        names = table["record"].cast(pl.String)
        unique = tuple(names if lists else names.unique(maintain_order=True))
        reader = wide_records if lists else long_records
        return Records(lambda: reader(table, fs=fs, units=units), unique, like=like)
    if not is_flat(table):
        raise DataError(
            "the table has no column 'record'. Columns: " + ", ".join(table.columns[:20]) + ".",
            column="record",
        )
    label = next((name for name in FLAT_LABELS if name in table.columns), None)
    values = table.drop(label) if label else table
    y = None if label is None else table[label].to_numpy()
    return Records(lambda: iter(()), flat=values.to_numpy(), y=y, like=like)


def _exists(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}.")
    return path
