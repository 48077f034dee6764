"""The latest rows that a fitted model keeps: what it forecasts from, and what update appends to."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from seqmamba.datasets.series.frequency import Frequency
from seqmamba.datasets.series.panel import Panel

if TYPE_CHECKING:
    from seqmamba.tasks.forecast.estimator import SMambaForecaster

__all__ = ["dtype_name", "dtype_of", "frequency_of", "restore_context", "store_context", "to_long"]


def store_context(model: "SMambaForecaster", panel: Panel) -> None:
    """Keep the last rows of a raw panel in arrays that a model file can hold."""
    kept = panel.tail(max(model.input_size, 2 * panel.frequency.season))
    model.context_grid_ = np.stack([kept.lengths, kept.first_tick, kept.phase])
    model.context_targets_ = kept.targets
    model.context_values_ = np.ascontiguousarray(kept.values, np.float64)
    empty = np.zeros((len(kept.values), 0))
    model.context_future_ = np.ascontiguousarray(
        empty if kept.future is None else kept.future, np.float64
    )
    model.appearance_ = panel.appearance
    model.context_ids_ = list(panel.ids)


def frequency_of(model: "SMambaForecaster") -> Frequency:
    """Return the fitted period."""
    stored: list[Any] = model.frequency_
    return Frequency(*stored)


def restore_context(model: "SMambaForecaster") -> Panel:
    """Return the kept rows as a raw panel."""
    lengths, first_tick, phase = model.context_grid_
    return Panel(
        values=model.context_values_,
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        first_tick=first_tick,
        phase=phase,
        targets=model.context_targets_,
        ids=tuple(model.context_ids_),
        frequency=frequency_of(model),
        time_dtype=dtype_of(model.time_dtype_),
        names=tuple(model.hist_exog or ()),
        future_names=tuple(model.futr_exog or ()),
        shared=(model.shared_[0], model.shared_[1]),
        future=model.context_future_ if model.futr_exog else None,
        appearance=model.appearance_,
        grouping=model.grouping_,
    )


def to_long(model: "SMambaForecaster", panel: Panel) -> pl.DataFrame:
    """Return a raw panel as a long table: id, time, target, covariates.

    Series stand in the order of the user's table; with groups of a column, each row carries the
    name of its group's first series in that column.
    """
    rank = np.argsort(panel.appearance)
    group_of_row = np.repeat(np.arange(panel.n_groups), panel.lengths)
    code = panel.targets[group_of_row]  # (R, N)
    row, slot = np.nonzero(code >= 0)
    order = np.argsort(rank[code[row, slot]], kind="stable")
    row, slot = row[order], slot[order]
    group, code = group_of_row[row], code[row, slot]
    n = panel.n_targets
    ids = pl.Series(panel.ids, dtype=pl.String)
    columns: dict[str, Any] = {
        model.id_col: ids[code],
        model.time_col: panel.column(group, row - panel.offsets[group]),
        model.target_col: panel.values[row, slot],
    }
    for k, name in enumerate(panel.names):
        columns[name] = panel.values[row, n + k if panel.shared[0] else n * (1 + k) + slot]
    if panel.future is not None:
        for k, name in enumerate(panel.future_names):
            columns[name] = panel.future[row, k if panel.shared[1] else n * k + slot]
    if panel.grouping == "column":
        columns[model.grouping] = ids[panel.targets[group, 0]]
    return pl.DataFrame(columns, nan_to_null=True)


@dataclass(frozen=True)
class _Spelling:
    name: str
    dtype: Any


_PLAIN = (_Spelling("date", pl.Date), _Spelling("int64", pl.Int64), _Spelling("int32", pl.Int32))


def dtype_name(dtype: Any) -> str:
    """Return a time type as text: ``date``, ``int64``, ``datetime:us:Europe/Berlin``."""
    for plain in _PLAIN:
        if dtype == plain.dtype:
            return plain.name
    if isinstance(dtype, pl.Datetime):
        return f"datetime:{dtype.time_unit}:{dtype.time_zone or ''}"
    return "int64"


def dtype_of(name: str) -> Any:
    """Return the time type that :func:`dtype_name` spelled."""
    for plain in _PLAIN:
        if name == plain.name:
            return plain.dtype
    _, unit, zone = name.split(":", 2)
    units: dict[str, Any] = {"ms": "ms", "us": "us", "ns": "ns"}
    return pl.Datetime(units[unit], zone or None)
