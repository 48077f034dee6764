"""Tables larger than memory: one streaming pass into a memory-mapped panel.

The panel is float32 in a nameless temporary file; nothing else grows with the number of rows.
"""

import glob
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from seqmamba.datasets.series.columns import Columns
from seqmamba.datasets.series.frequency import Frequency, Int64
from seqmamba.datasets.series.infer import infer_frequency
from seqmamba.datasets.series.panel import Panel
from seqmamba.errors import ConfigError, DataError

__all__ = ["large_table", "stream_panel", "stream_tail"]

LARGE = 10_000_000  # rows from which a table is streamed
SAMPLE = 200_000  # rows from which the period is inferred
BLOCK = 4_000_000  # cells that are cleared at once


def large_table(source: Any, rows: int = LARGE) -> pl.LazyFrame | None:
    """Return a lazy table if the source is Parquet files or a lazy frame of many rows."""
    if isinstance(source, pl.LazyFrame):
        lazy = source
    elif isinstance(source, str | os.PathLike) and Path(source).suffix == ".parquet":
        if not glob.glob(os.fspath(source)):
            return None  # the usual reader names what is missing
        lazy = pl.scan_parquet(os.fspath(source))
    else:
        return None
    count = int(lazy.select(pl.len()).collect(engine="streaming").item())
    return lazy if count >= rows else None


@dataclass(frozen=True)
class _Survey:
    """Names, first and last stamps, and rows of all series."""

    ids: tuple[str, ...]
    first: pl.Series
    last: pl.Series
    rows: Int64


def stream_panel(lazy: pl.LazyFrame, columns: Columns, freq: Frequency | str | int) -> Panel:
    """Read a long table, each series by itself, without holding it in memory.

    Raises
    ------
    DataError
        A column is missing, a stamp lies off its grid, rows repeat a key.
    ConfigError
        Groups of a column, which need the whole table.
    """
    if columns.group is not None:
        raise ConfigError("grouping by a column needs a table that fits in memory; use 'each'.")
    lazy = _checked(lazy, columns)
    survey = _survey(lazy, columns)
    frequency = _frequency(lazy, columns, survey, freq)
    first, phase = _on_grid(frequency, survey.first)
    last, _ = _on_grid(frequency, survey.last)
    offsets = np.concatenate([[0], np.cumsum(last - first + 1)])
    names = [columns.target, *columns.hist, *columns.futr]
    cells = _empty(int(offsets[-1]), len(names))
    _fill(lazy, columns, frequency, survey.ids, first, phase, offsets, cells)
    split = 1 + len(columns.hist)
    return Panel(
        values=cells[:, :split],
        offsets=offsets,
        first_tick=first,
        phase=phase,
        targets=np.arange(len(survey.ids))[:, None],
        ids=survey.ids,
        frequency=frequency,
        time_dtype=survey.first.dtype,
        names=columns.hist,
        future_names=columns.futr,
        future=cells[:, split:] if columns.futr else None,
        appearance=np.arange(len(survey.ids)),
        grouping="each",
    )


def stream_tail(
    lazy: pl.LazyFrame, columns: Columns, frequency: Frequency, rows: int
) -> pl.DataFrame:
    """Return the last rows of each series (some more where months or weekends are uneven)."""
    lazy = _checked(lazy, columns)
    column = pl.col(columns.time)
    if frequency.kind == "integer":
        reach: Any = rows * frequency.step
    else:
        days = {"month": 31, "business": 7}.get(frequency.kind)
        step = frequency.step if days is None else frequency.step * days * 86_400_000_000
        reach = pl.duration(microseconds=rows * step)
    end = "last stamp of the series"
    ends = lazy.group_by(columns.id).agg(column.max().alias(end))
    known = ends.collect(engine="streaming").lazy()
    kept = lazy.join(known, on=columns.id).filter(column > pl.col(end) - reach).drop(end)
    return kept.collect(engine="streaming")


def _checked(lazy: pl.LazyFrame, columns: Columns) -> pl.LazyFrame:
    schema = lazy.collect_schema()
    names = [columns.id, columns.time, columns.target, *columns.hist, *columns.futr]
    for name in names:
        if name not in schema:
            raise DataError(
                f"no column {name!r}. Columns: {', '.join(schema.names()[:12])}. A table of this "
                "size must be long: series, time and value.",
                column=name,
            )
    if not (schema[columns.time].is_temporal() or schema[columns.time].is_integer()):
        raise DataError(
            f"column {columns.time!r} holds {schema[columns.time]}; store stamps as dates or "
            "integers.",
            column=columns.time,
        )
    return lazy.select(names).with_columns(pl.col(columns.id).cast(pl.String))


def _survey(lazy: pl.LazyFrame, columns: Columns) -> _Survey:
    time = pl.col(columns.time)
    found = (
        lazy.group_by(columns.id)
        .agg(
            time.min().alias("first"),
            time.max().alias("last"),
            time.null_count().alias("nulls"),
            pl.len().alias("rows"),
        )
        .collect(engine="streaming")
        .sort(columns.id)
    )
    if found["nulls"].sum() or found[columns.id].null_count():
        raise DataError(
            f"{int(found['nulls'].sum())} rows lack a stamp in {columns.time!r} or a name in "
            f"{columns.id!r}. Fill or drop them.",
            column=columns.time,
        )
    ids = tuple(found[columns.id].to_list())
    return _Survey(ids, found["first"], found["last"], found["rows"].to_numpy().astype(np.int64))


def _frequency(
    lazy: pl.LazyFrame, columns: Columns, survey: _Survey, freq: Frequency | str | int
) -> Frequency:
    if isinstance(freq, Frequency):
        return freq
    if freq != "infer":
        return Frequency.parse(freq, getattr(survey.first.dtype, "time_zone", None))
    sample = lazy.select(columns.id, columns.time).head(SAMPLE).collect()
    names = sample[columns.id].unique().sort()
    codes = sample[columns.id].cast(pl.Enum(names)).to_physical().to_numpy().astype(np.int64)
    return infer_frequency(sample[columns.time], codes, tuple(names.to_list()), columns.time)


def _on_grid(frequency: Frequency, stamps: pl.Series) -> tuple[Int64, Int64]:
    """Return ticks and phases of one stamp per series."""
    integers = frequency.integers(stamps)
    day = frequency.anchor_days(integers, np.arange(len(integers)), len(integers))
    return frequency.ticks(integers, day)


def _empty(rows: int, width: int) -> Any:
    """Return a memory-mapped array of NaN in a file without a name."""
    with tempfile.TemporaryFile() as file:
        cells = np.memmap(file, np.float32, "w+", shape=(rows, width))
    for start in range(0, rows, BLOCK // width):
        cells[start : start + BLOCK // width] = np.nan
    return cells


def _fill(
    lazy: pl.LazyFrame,
    columns: Columns,
    frequency: Frequency,
    ids: tuple[str, ...],
    first: Int64,
    phase: Int64,
    offsets: Int64,
    cells: Any,
) -> None:
    """Write every row to its place, block by block."""
    names = [columns.target, *columns.hist, *columns.futr]
    known, lengths = pl.Enum(ids), np.diff(offsets)
    written = 0
    for block in lazy.collect_batches(engine="streaming"):
        code = block[columns.id].cast(known).to_physical().to_numpy().astype(np.int64)
        integers = frequency.integers(block[columns.time])
        day = frequency.anchor_days(integers, code, len(ids))
        tick, off = frequency.ticks(integers, day)
        row = tick - first[code]
        wrong = (off != phase[code]) | (row < 0) | (row >= lengths[code])
        if wrong.any():
            k = int(wrong.argmax())
            raise DataError(
                f"stamp {block[columns.time][k]} of {ids[int(code[k])]!r} lies off the grid of "
                f"period {frequency.label}. Resample the series, or pass the period as freq.",
                column=columns.time,
                where=ids[int(code[k])],
            )
        values = np.stack([block[name].cast(pl.Float32).to_numpy() for name in names], axis=1)
        if np.isinf(values).any():
            name = names[int(np.isinf(values).any(axis=0).argmax())]
            raise DataError(f"column {name!r} holds infinite values.", column=name)
        cells[offsets[:-1][code] + row] = values
        written += int(np.isfinite(values[:, 0]).sum())
    kept = sum(
        int(np.isfinite(cells[start : start + BLOCK, 0]).sum())
        for start in range(0, len(cells), BLOCK)
    )
    if kept != written:
        raise DataError(
            f"{written - kept} rows repeat the same ({columns.id}, {columns.time}). Each series "
            "needs one row per time; drop them.",
            column=columns.time,
        )
