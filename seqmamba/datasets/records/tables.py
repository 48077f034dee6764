"""Tables of recordings: one row per record with lists, one row per sample, or one beat per row."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.datasets.records.record import Record, millivolts
from seqmamba.errors import DataError

__all__ = ["FLAT_LABELS", "is_flat", "long_records", "wide_records"]

KEYS = ("record", "fs", "units", "t", "sample", "label", "split", "group", "age", "sex", "dx")
FLAT_LABELS = ("label", "target", "y")


def is_flat(table: pl.DataFrame) -> bool:
    """Say whether a table has one short sequence per row: no ``record``, columns ``t0, t1, …``."""
    values = [name for name in table.columns if name not in FLAT_LABELS]
    numbered = all(re.fullmatch(r"[A-Za-z_]{0,5}\d+", str(name)) for name in values)
    return "record" not in table.columns and bool(values) and numbered


def wide_records(
    table: pl.DataFrame, *, fs: float | None, units: str | float
) -> Iterator[Record | DataError]:
    """Read rows ``record, fs, I, II, …`` whose leads are lists of samples."""
    leads = [n for n, kind in table.schema.items() if isinstance(kind, pl.List | pl.Array)]
    if not leads:
        raise DataError(f"no column holds lists of samples. Columns: {', '.join(table.columns)}.")
    for row in table.select("record", *_present(table, "fs", "units"), *leads).iter_slices(1):
        name = str(row["record"][0])
        try:
            yield _wide_row(name, row, leads, _rate(row, name, fs), units)
        except DataError as error:
            yield error


def _wide_row(
    name: str, row: pl.DataFrame, leads: list[str], fs: float, units: str | float
) -> Record:
    columns: dict[str, NDArray[Any]] = {
        lead: row[lead].explode(empty_as_null=False, keep_nulls=False).to_numpy()
        for lead in leads
        if row[lead].null_count() == 0
    }
    lengths = {lead: len(values) for lead, values in columns.items()}
    if len(set(lengths.values())) != 1:
        raise DataError(f"record {name}: leads of different lengths, {lengths}.", where=name)
    unit = row["units"][0] if "units" in row.columns else units
    signal = millivolts(np.stack(list(columns.values())), unit, f"record {name}")
    return Record(name, signal, fs, tuple(columns))


def long_records(
    table: pl.DataFrame, *, fs: float | None, units: str | float
) -> Iterator[Record | DataError]:
    """Read rows ``record, t or sample, I, II, …``, one per sample."""
    leads = [n for n, kind in table.schema.items() if n not in KEYS and kind.is_numeric()]
    if not leads:
        raise DataError(f"no column holds a lead. Columns: {', '.join(table.columns)}.")
    clock = next((name for name in ("t", "sample") if name in table.columns), None)
    for part in table.partition_by("record", maintain_order=True):
        name = str(part["record"][0])
        part = part if clock is None else part.sort(clock)
        try:
            rate = _clocked(part, name) if clock == "t" and fs is None else _rate(part, name, fs)
            values = part.select(pl.col(leads).cast(pl.Float32)).to_numpy().T
            yield Record(name, millivolts(values, units), rate, tuple(leads))
        except DataError as error:
            yield error


def _clocked(part: pl.DataFrame, name: str) -> float:
    """Read the rate off times in seconds."""
    if "fs" in part.columns:
        return _rate(part, name, None)
    step = np.diff(part["t"].to_numpy().astype(np.float64))
    usual = float(np.median(step)) if len(step) else 0.0
    if usual <= 0 or np.abs(step - usual).max() > 0.5 * usual:
        raise DataError(
            f"record {name}: its times do not rise in equal steps. Mend column 't', in seconds, "
            "or pass fs.",
            column="t",
            where=name,
        )
    return 1.0 / usual


def _rate(row: pl.DataFrame, name: str, fs: float | None) -> float:
    if "fs" in row.columns and row["fs"][0] is not None:
        return float(row["fs"][0])
    if fs is None:
        raise DataError(
            f"record {name}: the rate is unknown. Add a column 'fs' or pass fs.", where=name
        )
    return float(fs)


def _present(table: pl.DataFrame, *names: str) -> list[str]:
    return [name for name in names if name in table.columns]
