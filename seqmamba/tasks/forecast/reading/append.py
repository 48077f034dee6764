"""Append newer rows to what a fitted model keeps."""

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from seqmamba.datasets.series.columns import Columns
from seqmamba.datasets.series.panel import Panel
from seqmamba.datasets.series.read import ReadOptions, read_panel
from seqmamba.tasks.forecast.reading.context import restore_context, to_long
from seqmamba.tasks.forecast.reading.table import read_table

if TYPE_CHECKING:
    from seqmamba.tasks.forecast.estimator import SMambaForecaster

__all__ = ["appended"]

GROUP = "group of the series"


def appended(model: "SMambaForecaster", X: Any) -> Panel:
    """Return the kept rows with the rows of a table behind (or instead of) them."""
    kept, newer = restore_context(model), read_table(model, X).panel
    parts = [_labelled(model, panel) for panel in (kept, newer)]
    columns = Columns(
        model.id_col,
        model.time_col,
        model.target_col,
        tuple(model.hist_exog or ()),
        tuple(model.futr_exog or ()),
        GROUP if model.grouping_ == "column" else None,
    )
    options = ReadOptions(
        grouping=model.grouping_,
        frequency=kept.frequency,
        duplicates="last",
        shared=(model.shared_[0], model.shared_[1]),
    )
    panel, _ = read_panel(pl.concat(parts), columns, options)
    return panel


def _labelled(model: "SMambaForecaster", panel: Panel) -> pl.DataFrame:
    """Return a panel in long form; each series carries the first series of its group."""
    table = to_long(model, panel)
    if model.grouping_ != "column":
        return table
    group_of = np.empty(len(panel.ids), np.int64)
    real = panel.targets >= 0
    group_of[panel.targets[real]] = np.nonzero(real)[0]
    labels = {
        name: panel.ids[int(panel.targets[g, 0])]
        for name, g in zip(panel.ids, group_of, strict=True)
    }
    return table.with_columns(pl.col(model.id_col).replace_strict(labels).alias(GROUP))
