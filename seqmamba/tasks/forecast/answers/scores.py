"""Scores of a fitted forecaster beside those of every baseline, with skill."""

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from seqmamba.datasets.series.panel import Panel
from seqmamba.errors import ConfigError, SeqmambaWarning
from seqmamba.metrics import forecast as measures
from seqmamba.metrics.metric import Metric, skill
from seqmamba.metrics.score import named
from seqmamba.params import nearest
from seqmamba.tasks.forecast.answers.backtest import Backtest, Cutoffs, in_units, roll_back
from seqmamba.tasks.forecast.baselines import Ridge
from seqmamba.tasks.forecast.reading.table import read_table

if TYPE_CHECKING:
    from seqmamba.tasks.forecast.estimator import SMambaForecaster

__all__ = ["evaluate", "fitted_baselines"]

DEFAULT_METRICS = ("mae", "rmse", "smape", "mase")
_AXES: Mapping[str, tuple[int, int]] = {"unique_id": (0, 1), "horizon": (0, 2), "cutoff": (1, 2)}


def evaluate(
    model: "SMambaForecaster",
    X: Any,
    metrics: Sequence[str] | None,
    by: str | None,
    cutoffs: Cutoffs,
    static_df: Any,
) -> pl.DataFrame:
    """Serve :meth:`SMambaForecaster.evaluate`."""
    if by is not None and by not in _AXES:
        listed = ", ".join(repr(name) for name in _AXES)
        raise ConfigError(f"by must be None or one of {listed}; got {by!r}.{nearest(by, _AXES)}")
    wanted = named(DEFAULT_METRICS if metrics is None else metrics, model._metrics)
    panel = read_table(model, X).panel
    back = cutoffs.back(model.h)
    done = roll_back(model, panel, back, model.h, static_df=static_df)
    _warn_if_seen(model, panel, int(back.max()))
    forecasts = {"": in_units(model, done)}
    for name, baseline in fitted_baselines(model).items():
        its = roll_back(
            model, panel, back, model.h, static_df=static_df, forward=lambda _, b, m=baseline: m(b)
        )
        forecasts[name] = in_units(model, its)
    rows: list[dict[str, Any]] = []
    for name, metric in wanted.items():
        values = {k: _measure(name, metric, done, f, by) for k, f in forecasts.items()}
        rows += _rows(name, metric, values, _labels(done, by), by)
    return pl.DataFrame(rows, infer_schema_length=None)


def fitted_baselines(model: "SMambaForecaster") -> Mapping[str, torch.nn.Module]:
    """Return every baseline of the specification's table, ready to forecast."""
    found = dict(model._baselines(model.info_))
    ridge = found["ridge"]
    assert isinstance(ridge, Ridge)
    ridge.weight = torch.from_numpy(model.ridge_)
    device = next(model.net_.parameters()).device
    return {name: baseline.to(device) for name, baseline in found.items()}


def _measure(
    name: str, metric: Metric, done: Backtest, forecast: NDArray[Any], by: str | None
) -> NDArray[np.float64]:
    """Return the metric over all, or one value per series, step or cutoff."""
    truth = done.truth.transpose(0, 2, 1)  # (W, h, series)
    given = np.where(np.isnan(truth), np.nan, forecast.transpose(0, 2, 1))
    truth = np.where(np.isnan(given), np.nan, truth)
    axis = None if by is None else _AXES[by]  # of (windows, steps, series)
    options = {}
    if name in ("mase", "rmsse"):
        options["scale"] = _naive_scale(done, power=1 if name == "mase" else 2)
    with warnings.catch_warnings():
        warnings.simplefilter("once", SeqmambaWarning)
        return np.atleast_1d(metric.function(truth, given, axis=axis, **options))


def _naive_scale(done: Backtest, power: int) -> NDArray[np.float64]:
    """Return the seasonal naive error of each series before its first cutoff: (series,)."""
    panel = done.panel
    season = panel.frequency.season
    scale = np.full(len(panel.ids), np.nan)
    for group in range(panel.n_groups):
        start = int(panel.offsets[group])
        past = panel.values[start : start + max(int(done.cuts[group].min()), 0)]
        past = past[:, : panel.n_targets]
        own = measures.seasonal_scale(past, season, power=power)
        real = panel.targets[group] >= 0
        scale[panel.targets[group][real]] = own[real]
    return scale


def _labels(done: Backtest, by: str | None) -> list[Any]:
    if by is None:
        return [None]
    if by == "unique_id":
        return list(done.panel.ids)
    if by == "horizon":
        return list(range(1, done.truth.shape[2] + 1))
    longest = int(done.panel.lengths.argmax())
    group = np.full(done.cuts.shape[1], longest)
    return done.panel.column(group, np.maximum(done.cuts[longest] - 1, 0)).to_list()


def _rows(
    name: str,
    metric: Metric,
    values: Mapping[str, NDArray[np.float64]],
    labels: Sequence[Any],
    by: str | None,
) -> list[dict[str, Any]]:
    rows = []
    for k, label in enumerate(labels):
        own = float(values[""][k])
        others = {b: float(v[k]) for b, v in values.items() if b}
        best = min(others, key=lambda b: np.inf if np.isnan(others[b]) else others[b])
        row: dict[str, Any] = {} if by is None else {by: label}
        row |= {"metric": name, "value": own, "baseline": others[best]}
        row |= {"skill": skill(own, others[best], metric), "best_baseline": best}
        rows.append(row | others)
    return rows


def _warn_if_seen(model: "SMambaForecaster", panel: Panel, back: int) -> None:
    """Say so if rows that are scored were in the data of ``fit``."""
    group = int(panel.lengths.argmax())
    cut = int(panel.first_tick[group] + panel.lengths[group]) - back
    lengths, first_tick, phase = model.context_grid_
    end = int((first_tick + lengths).max())
    known = set(panel.ids) & set(model.ids_)
    if known and cut < end and int(panel.phase[group]) in phase:
        warnings.warn(
            f"{end - cut} of the rows that are scored were in the data of fit: the score flatters. "
            "Hold them out of fit, or use cross_validation.",
            SeqmambaWarning,
            stacklevel=5,
        )
