"""Arrays of forecasts as a long table: id, time, forecast, intervals, quantiles."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.datasets.series.frequency import Int64
from seqmamba.datasets.series.panel import Panel
from seqmamba.datasets.series.scaling import inverse

if TYPE_CHECKING:
    from seqmamba.tasks.forecast.estimator import SMambaForecaster

__all__ = ["answer_table", "by_series", "to_units"]

Float64 = NDArray[np.float64]


def by_series(array: NDArray[Any], panel: Panel) -> NDArray[Any]:
    """Reorder (G, H, N, ...) to series: (len(ids), H, ...)."""
    if panel.n_groups == 1 and not panel.is_ragged:
        return np.moveaxis(array[0], 1, 0)  # one group holds the series in their order
    real = panel.targets >= 0
    out = np.empty((len(panel.ids), array.shape[1], *array.shape[3:]), array.dtype)
    out[panel.targets[real]] = np.moveaxis(array, 2, 1)[real]
    return out


def to_units(
    model: "SMambaForecaster", scaled: NDArray[Any], scales: tuple[Float64, Float64]
) -> Float64:
    """Undo the outer scaling of (series, ...) arrays."""
    shape = (-1,) + (1,) * (scaled.ndim - 1)
    center, scale = (s.reshape(shape) for s in scales)
    return np.asarray(inverse(scaled * scale + center, model.scaler), np.float64)


def answer_table(
    model: "SMambaForecaster",
    panel: Panel,
    start: Int64,
    columns: Mapping[str, NDArray[Any]],
) -> pl.DataFrame:
    """Return one row per series and step, series in the order of the user's table.

    Parameters
    ----------
    start : (G,)
        Row of the first step, counted from each group's first.
    columns : mapping of name to (len(ids), h)
    """
    h = next(iter(columns.values())).shape[1]
    order = panel.appearance
    group = np.zeros(len(panel.ids), np.int64)
    real = panel.targets >= 0
    group[panel.targets[real]] = np.broadcast_to(
        np.arange(panel.n_groups)[:, None], panel.targets.shape
    )[real]
    names = pl.Series(panel.ids, dtype=pl.String)[np.repeat(order, h)]
    owner = np.repeat(group[order], h)
    stamps = panel.column(owner, start[owner] + np.tile(np.arange(h), len(order)))
    table: dict[str, Any] = {model.id_col: names, model.time_col: stamps}
    table |= {name: values[order].reshape(-1) for name, values in columns.items()}
    return pl.DataFrame(table)
