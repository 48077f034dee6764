"""Forecasts behind the end of each series, as the user asked for them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba import frames
from seqmamba.datasets.series.frequency import Int64
from seqmamba.datasets.series.panel import Panel
from seqmamba.errors import ConfigError
from seqmamba.tasks.forecast.answers.intervals import look_back_spread
from seqmamba.tasks.forecast.answers.rolling import roll
from seqmamba.tasks.forecast.answers.spread import spread_columns
from seqmamba.tasks.forecast.answers.table import answer_table, by_series
from seqmamba.tasks.forecast.reading.context import restore_context
from seqmamba.tasks.forecast.reading.future import with_future
from seqmamba.tasks.forecast.reading.table import (
    Table,
    min_history,
    read_table,
    scaling_of,
    seen_codes,
)

if TYPE_CHECKING:
    from seqmamba.tasks.forecast.estimator import SMambaForecaster

__all__ = ["predict"]


def predict(
    model: "SMambaForecaster",
    X: Any,
    h: int | None,
    futr_df: Any,
    static_df: Any,
    level: Sequence[float] | None,
    quantiles: Sequence[float] | None,
) -> Any:
    """Serve :meth:`SMambaForecaster.predict`."""
    h = model.h if h is None else h
    if h < 1:
        raise ConfigError(f"h must be at least 1, got {h!r}")
    table = _history(model, X)
    panel = table.panel
    codes = seen_codes(model, panel)
    scaling = scaling_of(model)
    scales = scaling.of(panel, codes)
    recent = panel.tail(model.input_size)
    history = recent.lengths
    if recent.future is not None:
        recent = with_future(model, recent, futr_df, h)
    scaled = scaling.apply_scales(recent, scales)
    static = model._static(static_df, panel)
    out = by_series(roll(model, scaled, history, h, static), panel)  # (series, h[, Q])
    out, method = _with_naive(model, scaled, history, out)
    spread = look_back_spread(scaled, history, model.input_size)
    columns = spread_columns(model, out, scales, codes, level, quantiles, spread)
    if method is not None:
        columns["method"] = np.repeat(np.array(method, object)[:, None], h, axis=1)
    if table.is_array and len(columns) == 1:
        return next(iter(columns.values()))[panel.appearance].T
    answer = answer_table(model, recent, history, columns)
    return frames.write(answer, table.like) if not table.is_array else answer


def _history(model: "SMambaForecaster", X: Any) -> Table:
    if X is not None:
        return read_table(model, X, last=model.input_size)
    library, id_type = model.source_
    schema = pl.Schema({model.id_col: pl.Int64} if id_type == "int64" else {})
    return Table(restore_context(model), frames.Like(library, schema))


def _with_naive(
    model: "SMambaForecaster", scaled: Panel, history: Int64, out: NDArray[Any]
) -> tuple[NDArray[Any], list[str] | None]:
    """Replace the forecasts of series with too little history; say which method served."""
    h = out.shape[1]
    recent = scaled.rows(np.zeros_like(history), history)
    values = recent.values[:, : recent.n_targets]
    seen = ~np.isnan(values)
    if (history >= min_history(model)).all() and seen.all():
        return out, None
    count = np.stack([part.sum(axis=0) for part in np.split(seen, recent.offsets[1:-1])])
    real = recent.targets >= 0
    short = np.zeros(len(recent.ids), np.int64)
    short[recent.targets[real]] = count[real]
    poor = np.flatnonzero(short < min_history(model))
    if not len(poor):
        return out, None
    out = out.copy()
    method = [model.alias] * len(recent.ids)
    season = recent.frequency.season
    for group, slot in np.argwhere(np.isin(recent.targets, poor)):
        code = int(recent.targets[group, slot])
        column = values[recent.offsets[group] : recent.offsets[group + 1], slot]
        naive, method[code] = _naive(column, season, h)
        out[code] = naive.reshape(h, *(1,) * (out.ndim - 2))
    return out, method


def _naive(column: NDArray[Any], season: int, h: int) -> tuple[NDArray[Any], str]:
    """Return the seasonal naive forecast, else the last value, else NaN, and its name."""
    known = np.flatnonzero(~np.isnan(column))
    if not len(known):
        return np.full(h, np.nan, np.float32), "none"
    cycle = column[-season:] if 1 < season <= len(column) else None
    if cycle is not None and not np.isnan(cycle).any():
        return cycle[np.arange(h) % season], "seasonal_naive"
    return np.full(h, column[known[-1]]), "last"
