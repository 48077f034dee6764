"""Figure of history, forecast and intervals: one panel per series."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from seqmamba import frames
from seqmamba.errors import ConfigError
from seqmamba.params import nearest
from seqmamba.tasks.forecast.reading.context import to_long
from seqmamba.tasks.forecast.reading.table import read_table

if TYPE_CHECKING:
    from seqmamba.tasks.forecast.estimator import SMambaForecaster

__all__ = ["plot"]

HISTORY = 3  # horizons of history that are shown


def plot(
    model: "SMambaForecaster",
    X: Any,
    forecast: Any,
    ids: Sequence[str] | None,
    max_ids: int,
    level: Sequence[float] | None,
    path: str | Path | None,
) -> Any:
    """Serve :meth:`SMambaForecaster.plot`."""
    from seqmamba import reports  # only for plots

    past = to_long(model, read_table(model, X).panel)
    if forecast is None:
        forecast = model.predict(X, level=level)
    ahead, _ = frames.read(forecast, text_columns=[model.id_col])
    names = _chosen(past[model.id_col].unique(maintain_order=True).to_list(), ids, max_ids)
    rows = -(-len(names) // 2) if len(names) > 1 else 1
    columns = 1 if len(names) == 1 else 2
    figure, grid = reports.new_figure(rows, columns, size=(6 * columns, 2.6 * rows))
    axes = grid.reshape(-1)
    for axis, name in zip(axes, names, strict=False):
        _draw(axis, model, _of(past, model.id_col, name), _of(ahead, model.id_col, name))
        axis.set_title(name)
    for axis in axes[len(names) :]:
        axis.set_visible(False)
    axes[0].legend(loc="upper left", fontsize="small")
    if path is not None:
        reports.save_figure(figure, path)
    return figure


def _chosen(present: list[str], ids: Sequence[str] | None, max_ids: int) -> list[str]:
    for name in ids or ():
        if name not in present:
            raise ConfigError(f"ids names {name!r}, which is no series.{nearest(name, present)}")
    return list(ids) if ids is not None else present[:max_ids]


def _of(table: pl.DataFrame, id_col: str, name: str) -> pl.DataFrame:
    return table.filter(table[id_col].cast(pl.String) == name)


def _draw(axis: Any, model: "SMambaForecaster", past: pl.DataFrame, ahead: pl.DataFrame) -> None:
    past = past.tail(HISTORY * max(ahead.height, model.h))
    axis.plot(past[model.time_col].to_numpy(), past[model.target_col].to_numpy(), label="history")
    stamps = ahead[model.time_col].to_numpy()
    (line,) = axis.plot(stamps, ahead[model.alias].to_numpy(), label=model.alias)
    prefix = f"{model.alias}-lo-"
    levels = sorted(float(c.removeprefix(prefix)) for c in ahead.columns if c.startswith(prefix))
    for level in levels:
        low = ahead[f"{model.alias}-lo-{level:g}"].to_numpy()
        high = ahead[f"{model.alias}-hi-{level:g}"].to_numpy()
        label = f"{level:g} %"
        axis.fill_between(stamps, low, high, color=line.get_color(), alpha=0.2, label=label)
    if np.issubdtype(stamps.dtype, np.datetime64):
        axis.tick_params(axis="x", labelrotation=20)
