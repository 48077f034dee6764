"""Lay series on regular grids: one group for all, one per series, or one per value of a column."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.datasets.series.columns import Columns
from seqmamba.datasets.series.frequency import Frequency, Int64
from seqmamba.datasets.series.panel import Panel
from seqmamba.datasets.series.records import Records
from seqmamba.errors import DataError

if TYPE_CHECKING:
    from seqmamba.datasets.series.read import ReadOptions

__all__ = ["Gaps", "Grouping", "group_records", "group_wide"]

Grouping = Literal["auto", "all", "each", "column"]
Gaps = Literal["fill", "error"]

COMMON = 0.95  # share of filled cells from which "auto" reads series as one problem
MAX_TOKENS = 2_000  # most series that "auto" reads as one problem
MAX_STRETCH = 100  # grid rows per row of the table beyond which a stamp must be wrong


def group_records(
    records: Records,
    groups: tuple[str, ...],
    frequency: Frequency,
    columns: Columns,
    options: "ReadOptions",
) -> Panel:
    """Place the rows of a long table on the grids of their groups."""
    time_dtype = records.stamps.dtype
    records, ticks, phase = records.grid(frequency, options.duplicates, columns.time)
    if options.gaps == "error":
        _refuse_gaps(records, ticks, frequency, phase)
    n = len(records.ids)
    kind = options.grouping
    if kind == "auto":
        kind = "all" if _is_common(records, ticks, phase) else "each"
    if kind == "all":
        _refuse_phases(records, phase, np.zeros(n, np.int64))
        group_of, slot = np.zeros(n, np.int64), np.arange(n)
    elif kind == "each":
        group_of, slot = np.arange(n), np.zeros(n, np.int64)
    else:
        _, group_of = np.unique(np.array(groups), return_inverse=True)
        _refuse_phases(records, phase, group_of)
        order = np.argsort(group_of, kind="stable")
        first = np.searchsorted(group_of[order], group_of[order])
        slot = np.empty(n, np.int64)
        slot[order] = np.arange(n) - first
    panel = _scatter(records, ticks, phase, group_of, slot, frequency, time_dtype, columns, options)
    return replace(panel, grouping=kind)


def group_wide(
    stamps: pl.Series,
    values: NDArray[np.float64],
    ids: tuple[str, ...],
    appearance: Int64,
    frequency: Frequency,
    columns: Columns,
    options: "ReadOptions",
) -> Panel | None:
    """Place the rows of a wide table, sorted by time, on one grid.

    Returns None where the way over rows is needed: repeated stamps, stamps off the grid, or so
    many empty cells that "auto" reads each series by itself.
    """
    integers = frequency.integers(stamps)
    day = frequency.anchor_days(integers, np.zeros(len(integers), np.int64), 1)
    ticks, phases = frequency.ticks(integers, day)
    step = np.diff(ticks)
    n = len(ids)
    if (phases != phases[0]).any() or (step == 0).any():
        return None
    if (step > 1).any():
        if options.gaps == "error":
            return None
        _refuse_stretch(int(ticks[-1] - ticks[0]) + 1, len(ticks), stamps)
        whole = np.full((int(ticks[-1] - ticks[0]) + 1, values.shape[1]), np.nan)
        whole[ticks - ticks[0]] = values
        values = whole
    if options.grouping == "auto" and np.isfinite(values[:, :n]).mean() < COMMON:
        return None
    names, split = (*columns.hist,), n + len(columns.hist)
    return Panel(
        values=values[:, :split],
        offsets=np.array([0, len(values)]),
        first_tick=ticks[:1],
        phase=phases[:1],
        targets=np.arange(n)[None, :],
        ids=ids,
        frequency=frequency,
        time_dtype=stamps.dtype,
        names=names,
        future_names=columns.futr,
        future=values[:, split:] if columns.futr else None,
        appearance=appearance,
    )


def _is_common(records: Records, ticks: Int64, phase: Int64) -> bool:
    """Say whether nearly all series have a value at nearly all stamps."""
    n = len(records.ids)
    if n > MAX_TOKENS or (phase != phase[0]).any():
        return False
    filled = int(np.isfinite(records.values[:, 0]).sum())
    return filled >= COMMON * n * (int(ticks.max() - ticks.min()) + 1)


def _scatter(
    records: Records,
    ticks: Int64,
    phase: Int64,
    group_of: Int64,
    slot: Int64,
    frequency: Frequency,
    time_dtype: Any,
    columns: Columns,
    options: "ReadOptions",
) -> Panel:
    n_groups, width = int(group_of.max()) + 1, int(slot.max()) + 1
    group = group_of[records.codes]
    first, last = np.full(n_groups, ticks.max()), np.full(n_groups, ticks.min())
    np.minimum.at(first, group, ticks)
    np.maximum.at(last, group, ticks)
    lengths = last - first + 1
    _refuse_stretch(int(lengths.sum()), len(ticks), records.stamps)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    row, place = offsets[group] + ticks - first[group], slot[records.codes]
    n_futr = len(columns.futr)
    split = records.values.shape[1] - n_futr

    def spread(k: int) -> NDArray[np.float64]:
        out = np.full((int(offsets[-1]), width), np.nan)
        out[row, place] = records.values[:, k]
        return out

    wanted = options.shared or (None, None)
    hist, shared_hist = _collapse([spread(k) for k in range(1, split)], wanted[0])
    futr, shared_futr = _collapse([spread(k) for k in range(split, split + n_futr)], wanted[1])
    targets = np.full((n_groups, width), -1)
    targets[group_of, slot] = np.arange(len(records.ids))
    group_phase = np.zeros(n_groups, np.int64)
    group_phase[group_of] = phase
    return Panel(
        values=np.concatenate([spread(0), *hist], axis=1),
        offsets=offsets,
        first_tick=first,
        phase=group_phase,
        targets=targets,
        ids=records.ids,
        frequency=frequency,
        time_dtype=time_dtype,
        names=columns.hist,
        future_names=columns.futr,
        shared=(shared_hist, shared_futr),
        future=np.concatenate(futr, axis=1) if n_futr else None,
        appearance=records.appearance,
    )


def _collapse(
    covariates: list[NDArray[np.float64]], shared: bool | None
) -> tuple[list[NDArray[np.float64]], bool]:
    """Keep one column of each covariate if all series of a row agree, or if told so.

    Parameters
    ----------
    covariates : list of (R, N)
        All are treated alike.
    """
    merged = [_merged(cells) for cells in covariates]
    if shared is None:
        shared = all(agree for _, agree in merged)
    return ([column for column, _ in merged] if shared else covariates), shared


def _merged(cells: NDArray[np.float64]) -> tuple[NDArray[np.float64], bool]:
    """Return the smallest value of each row as a column, and whether all values agree with it."""
    if cells.shape[1] == 1:
        return cells, True
    seen = np.isfinite(cells)
    low = np.where(seen, cells, np.inf).min(axis=1)
    high = np.where(seen, cells, -np.inf).max(axis=1)
    empty = ~seen.any(axis=1)
    return np.where(empty, np.nan, low)[:, None], bool((low[~empty] == high[~empty]).all())


def _refuse_phases(records: Records, phase: Int64, group_of: Int64) -> None:
    usual = np.zeros(int(group_of.max()) + 1, np.int64)
    usual[group_of[::-1]] = phase[::-1]
    wrong = np.flatnonzero(phase != usual[group_of])
    if len(wrong):
        name = records.ids[int(wrong[0])]
        raise DataError(
            f"{len(wrong)} series stand on another grid than the first (same period, shifted); "
            f"first: {name!r}. Series of one group need common stamps; use grouping='each'.",
            where=name,
        )


def _refuse_gaps(records: Records, ticks: Int64, frequency: Frequency, phase: Int64) -> None:
    step = np.diff(ticks)
    gaps = np.flatnonzero((step > 1) & (np.diff(records.codes) == 0))
    if not len(gaps):
        return
    k = int(gaps[0])
    code = int(records.codes[k])
    missing = frequency.stamps(ticks[k : k + 1] + 1, int(phase[code]))
    stamp = frequency.series(missing, records.stamps.dtype)[0]
    raise DataError(
        f"{int((step[gaps] - 1).sum())} stamps are missing inside series; first: "
        f"({records.ids[code]!r}, {stamp}). Add the rows, or pass gaps='fill'.",
        where=records.ids[code],
    )


def _refuse_stretch(n_grid: int, n_rows: int, stamps: pl.Series) -> None:
    if n_grid > MAX_STRETCH * n_rows + 10_000:
        raise DataError(
            f"the time grid would need {n_grid:,} rows for the {n_rows:,} rows of the table; the "
            f"first stamp is {stamps.min()!s}, the last {stamps.max()!s}. Correct or drop them, or "
            "pass the true period as freq."
        )
