"""Covariates that are known ahead, placed on the rows behind each series' end."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from seqmamba import frames
from seqmamba.datasets.series.frequency import Int64
from seqmamba.datasets.series.panel import Panel
from seqmamba.errors import DataError

if TYPE_CHECKING:
    from seqmamba.tasks.forecast.estimator import SMambaForecaster

__all__ = ["with_future"]


def with_future(model: "SMambaForecaster", panel: Panel, futr_df: Any, h: int) -> Panel:
    """Append h rows to each group and fill their known-future covariates.

    Raises
    ------
    DataError
        ``futr_df`` is missing, or lacks a stamp of the horizon.
    """
    names = tuple(model.futr_exog or ())
    if futr_df is None:
        raise DataError(
            f"the model was fitted with futr_exog={names!r}: pass futr_df with {model.time_col!r} "
            f"and these columns for the {h} rows behind the end."
        )
    frame, _ = frames.read(futr_df, text_columns=[model.id_col])
    history = panel.lengths
    panel = panel.extend(-(-h // model.h) * model.h)
    assert panel.future is not None
    future = panel.future.copy()
    for name in (model.time_col, *names):
        _require(frame, name)
    stamps = frames.times(frame, model.time_col)
    integers = panel.frequency.integers(stamps)
    for code, group, slot in _series(panel):
        mine = _rows_of(frame, model.id_col, panel.ids[code])
        day = panel.frequency.anchor_days(integers[mine], np.zeros(len(mine), np.int64), 1)
        ticks, _ = panel.frequency.ticks(integers[mine], day)
        row = ticks - panel.first_tick[group]
        inside = (row >= 0) & (row < panel.lengths[group])
        rows = panel.offsets[group] + row[inside]
        for k, name in enumerate(names):
            column = k if panel.shared[1] else panel.n_targets * k + slot
            future[rows, column] = frames.numeric(frame, name).to_numpy()[mine[inside]]
        if panel.shared[1] and panel.n_groups == 1:
            break
    _check_covered(model, panel, future, history, h)
    return replace(panel, future=future)


def _series(panel: Panel) -> list[tuple[int, int, int]]:
    return [
        (int(panel.targets[group, slot]), int(group), int(slot))
        for group, slot in np.argwhere(panel.targets >= 0)
    ]


def _rows_of(frame: pl.DataFrame, id_col: str, name: str) -> Int64:
    if id_col not in frame.columns:
        return np.arange(frame.height)
    return (frame[id_col].cast(pl.String) == name).arg_true().to_numpy().astype(np.int64)


def _require(frame: pl.DataFrame, name: str) -> None:
    if name not in frame.columns:
        raise DataError(
            f"futr_df has no column {name!r}. Columns: {', '.join(frame.columns)}.", column=name
        )


def _check_covered(
    model: "SMambaForecaster", panel: Panel, future: Any, history: Int64, h: int
) -> None:
    names = tuple(model.futr_exog or ())
    rows = (panel.offsets[:-1] + history)[:, None] + np.arange(h)
    gaps = np.isnan(future[rows])  # (G, h, F)
    if not gaps.any():
        return
    group, step, column = (int(k) for k in np.argwhere(gaps)[0])
    stamp = panel.column(np.array([group]), np.array([int(history[group]) + step]))[0]
    width = 1 if panel.shared[1] else panel.n_targets
    code = int(panel.targets[group, 0 if panel.shared[1] else column % width])
    name = names[column // width]
    raise DataError(
        f"futr_df lacks {int(gaps.sum())} values; first: column {name!r} of {panel.ids[code]!r} at "
        f"{stamp}. It must cover the {h} rows behind the end of each series.",
        column=name,
        where=panel.ids[code],
    )
