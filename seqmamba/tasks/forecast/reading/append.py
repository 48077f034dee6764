"""Append newer rows to what a fitted model keeps."""

from typing import TYPE_CHECKING, Any

import polars as pl

from seqmamba.datasets.series.panel import Panel
from seqmamba.datasets.series.read import ReadOptions, read_panel
from seqmamba.tasks.forecast.reading.context import restore_context, to_long
from seqmamba.tasks.forecast.reading.table import columns_of, read_table

if TYPE_CHECKING:
    from seqmamba.tasks.forecast.estimator import SMambaForecaster

__all__ = ["appended"]


def appended(model: "SMambaForecaster", X: Any) -> Panel:
    """Return the kept rows with the rows of a table behind (or instead of) them."""
    kept, newer = restore_context(model), read_table(model, X).panel
    parts = [to_long(model, panel) for panel in (kept, newer)]
    options = ReadOptions(
        grouping=model.grouping_,
        frequency=kept.frequency,
        duplicates="last",
        shared=(model.shared_[0], model.shared_[1]),
    )
    panel, _ = read_panel(pl.concat(parts), columns_of(model), options)
    return panel
