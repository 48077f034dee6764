"""What was understood of a table: series, period, gaps, windows."""

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from seqmamba.datasets.series.panel import Panel
from seqmamba.datasets.windows import WindowSamples

if TYPE_CHECKING:
    from seqmamba.tasks.forecast.estimator import SMambaForecaster

__all__ = ["inspection_table"]


def inspection_table(reader: "SMambaForecaster", samples: WindowSamples) -> pl.DataFrame:
    """Return facts of a table that ``reader`` has read with ``fit=True``: fact, value."""
    panel = samples.panel
    values = panel.values[:, : panel.n_targets]
    real = np.repeat(panel.targets >= 0, panel.lengths, axis=0)
    missing = int((np.isnan(values) & real).sum())
    spread = np.nanmax(values, axis=0) - np.nanmin(values, axis=0) if missing < real.sum() else 0
    facts: dict[str, Any] = {
        "series": len(panel.ids),
        "names": _listed([panel.ids[k] for k in _order(panel)]),
        "grouping": panel.grouping,
        "groups": panel.n_groups,
        "period": panel.frequency.label,
        "time zone": panel.frequency.time_zone or "none",
        "first stamp": _edge(panel, 0),
        "last stamp": _edge(panel, -1),
        "shortest series": int(panel.lengths.min()),
        "longest series": int(panel.lengths.max()),
        "missing cells": f"{missing} of {int(real.sum())}",
        "smallest value": f"{np.nanmin(values):g}",
        "largest value": f"{np.nanmax(values):g}",
        "constant columns": int((np.asarray(spread) == 0).sum()),
        "calendar features": ", ".join(samples.features) or "none",
        "covariates": ", ".join([*panel.names, *(reader.futr_exog or ())]) or "none",
        "windows": len(samples),
        "look-back, horizon": f"{samples.input_size}, {samples.h}",
    }
    return pl.DataFrame([{"fact": name, "value": str(v)} for name, v in facts.items()])


def _order(panel: Panel) -> list[int]:
    return [int(k) for k in panel.appearance]


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f", ... ({len(names)})" if len(names) > 8 else "")


def _edge(panel: Panel, side: int) -> str:
    group = np.arange(panel.n_groups)
    row = np.zeros_like(group) if side == 0 else panel.lengths - 1
    stamps = panel.column(group, row)
    return str(stamps.min() if side == 0 else stamps.max())
