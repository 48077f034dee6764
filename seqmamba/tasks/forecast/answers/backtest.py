"""Forecasts from earlier cutoffs: cross-validation tables and scores beside the baselines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import sklearn.base
from numpy.typing import NDArray

from seqmamba import frames
from seqmamba.datasets.series.frequency import Int64
from seqmamba.datasets.series.panel import Panel
from seqmamba.datasets.windows import WindowSamples
from seqmamba.errors import ConfigError, DataError
from seqmamba.params import check_params
from seqmamba.tasks.forecast.answers.intervals import look_back_spread
from seqmamba.tasks.forecast.answers.spread import check_levels, spread_columns
from seqmamba.tasks.forecast.answers.table import to_units
from seqmamba.tasks.forecast.reading.context import to_long
from seqmamba.tasks.forecast.reading.table import scaling_of, seen_codes, windows

if TYPE_CHECKING:
    from seqmamba.tasks.forecast.estimator import SMambaForecaster

__all__ = ["Backtest", "Cutoffs", "cross_validation", "in_units", "roll_back"]


@dataclass(frozen=True)
class Cutoffs:
    """Which rows to forecast: windows that count back from the end of each series.

    Parameters
    ----------
    n_windows : int
    step_size : int or None
        Rows between cutoffs; None = the horizon.
    test_size : int or None
        Rows at the end that all windows lie in; takes the place of ``n_windows``.
    """

    n_windows: int = 1
    step_size: int | None = None
    test_size: int | None = None

    def back(self, h: int) -> Int64:
        """Return how many rows before the end each horizon starts, first cutoff first: (W,).

        Raises
        ------
        ConfigError
            A count below 1, or ``test_size`` below h.
        """
        step = h if self.step_size is None else self.step_size
        n = self.n_windows
        if step < 1 or n < 1:
            raise ConfigError(f"n_windows and step_size must be at least 1, got {n} and {step}")
        if self.test_size is not None:
            if self.test_size < h:
                raise ConfigError(f"test_size must be at least h={h}, got {self.test_size}")
            n = (self.test_size - h) // step + 1
        return h + step * np.arange(n - 1, -1, -1)


@dataclass(frozen=True)
class Backtest:
    """Truth and forecasts of all windows.

    Parameters
    ----------
    panel, scaled : Panel
        All rows, raw and scaled.
    cuts : (G, W)
        First row of each horizon, counted from each group's first; below 0: no such window.
    truth : (W, series, h)
        NaN = missing.
    forecast : (W, series, h) or (W, series, h, Q), scaled
    scales : two arrays (series,)
    codes : (series,)
        Place of each series in ``fit``.
    """

    panel: Panel
    scaled: Panel
    cuts: Int64
    truth: NDArray[np.float64]
    forecast: NDArray[np.float32]
    scales: tuple[NDArray[np.float64], NDArray[np.float64]]
    codes: Int64


def roll_back(
    model: "SMambaForecaster",
    panel: Panel,
    back: Int64,
    h: int,
    *,
    static_df: Any = None,
    forward: Any = None,
) -> Backtest:
    """Forecast a raw panel from cutoffs that lie ``back`` rows before its ends.

    Parameters
    ----------
    forward : callable (net, Batch) -> Tensor or None
        A baseline in the place of the network.

    Raises
    ------
    DataError
        No series has rows before the last cutoff.
    """
    codes = seen_codes(model, panel)
    first = np.maximum(panel.lengths - int(back.max()), 0)
    scaling = scaling_of(model)
    known = panel.rows(np.zeros_like(first), first)  # an unseen series is scaled by its past
    scales = scaling.of(known if (codes < 0).any() else panel, codes)
    scaled = scaling.apply_scales(panel, scales)
    cuts = panel.lengths[:, None] - back[None, :]  # (G, W)
    usable = cuts >= 1
    if not usable.any():
        raise DataError(
            f"no series has rows before the last cutoff: the longest has "
            f"{int(panel.lengths.max())} rows, and the cutoff lies {int(back.min())} before the "
            "end. Pass more rows, fewer windows or a smaller h."
        )
    samples = _windows_at(model, scaled, cuts, usable, model._static(static_df, panel))
    out = model._outputs(samples, forward=forward).numpy()[:, :h]  # (windows, h, N[, Q])
    if out.ndim == 4:
        out = np.sort(out, axis=3)
    truth, forecast = _arrange(panel, cuts, usable, out, h)
    return Backtest(panel, scaled, cuts, truth, forecast, scales, codes)


def _windows_at(
    model: "SMambaForecaster",
    scaled: Panel,
    cuts: Int64,
    usable: NDArray[np.bool_],
    static: NDArray[np.float32] | None,
) -> WindowSamples:
    """Return the windows at the usable cutoffs, group by group."""
    count = usable.sum(axis=1)
    first = np.where(count > 0, cuts[np.arange(len(cuts)), usable.argmax(axis=1)], 0)
    stride = int(cuts[0, 1] - cuts[0, 0]) if cuts.shape[1] > 1 else 1
    options: dict[str, Any] = {"static": static, "has_targets": False, "stride": stride}
    return windows(model, scaled, first=first, count=count, **options)


def _arrange(
    panel: Panel, cuts: Int64, usable: NDArray[np.bool_], out: NDArray[Any], h: int
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Sort windows of groups into (W, series, h) arrays."""
    n_windows, n_series = cuts.shape[1], len(panel.ids)
    truth = np.full((n_windows, n_series, h), np.nan)
    forecast = np.full((n_windows, n_series, h, *out.shape[3:]), np.nan, np.float32)
    group, window = np.nonzero(usable)
    rows = (panel.offsets[:-1][group] + cuts[group, window])[:, None] + np.arange(h)
    values = panel.values[rows, : panel.n_targets]  # (windows, h, N)
    targets = panel.targets[group]  # (windows, N)
    real = targets >= 0
    at, slot = np.nonzero(real)
    truth[window[at], targets[real]] = values[at, :, slot]
    forecast[window[at], targets[real]] = out[at, :, slot]
    return truth, forecast


def cross_validation(
    model: "SMambaForecaster",
    X: Any,
    cutoffs: Cutoffs,
    h: int | None,
    refit: bool | int,
    level: Sequence[float] | None,
    static_df: Any,
) -> Any:
    """Serve :meth:`SMambaForecaster.cross_validation`."""
    check_params(model)
    check_levels(level, None)
    h = model.h if h is None else h
    if not 1 <= h <= model.h:
        raise ConfigError(f"h must lie in [1, {model.h}], the estimator's own h; got {h!r}")
    reader = sklearn.base.clone(model)
    from_table = reader._read_raw(X)
    panel = from_table.panel
    back = cutoffs.back(h)
    every = len(back) if refit is False else int(refit)
    if every < 1:
        raise ConfigError(f"refit must be a bool or at least 1, got {refit!r}")
    parts = []
    for start in range(0, len(back), every):
        stop = np.maximum(panel.lengths - int(back[start]), 0)
        past = to_long(reader, panel.rows(np.zeros_like(stop), stop))
        fitted = sklearn.base.clone(model).set_params(
            freq=panel.frequency.label, grouping=_same_grouping(model, panel)
        )
        fitted.fit(past, static_df=static_df)
        done = roll_back(fitted, panel, back[start : start + every], h, static_df=static_df)
        parts.append(backtest_table(fitted, done, level))
    table = parts[0] if len(parts) == 1 else _by_series(model, panel, pl.concat(parts))
    return table if from_table.is_array else frames.write(table, from_table.like)


def _by_series(model: "SMambaForecaster", panel: Panel, table: pl.DataFrame) -> pl.DataFrame:
    """Sort rows by series in the order of the user's table, then cutoff and time."""
    order = pl.Enum([panel.ids[int(k)] for k in panel.appearance])
    return table.sort(pl.col(model.id_col).cast(order), "cutoff", model.time_col)


def _same_grouping(model: "SMambaForecaster", panel: Panel) -> str:
    return model.grouping if panel.grouping == "column" else panel.grouping


def backtest_table(
    model: "SMambaForecaster", done: Backtest, level: Sequence[float] | None
) -> pl.DataFrame:
    """Return one row per series, cutoff and step: id, time, cutoff, y, forecast, intervals."""
    panel = done.panel
    n_windows, n_series, h = done.truth.shape
    order = panel.appearance
    group_of = np.zeros(n_series, np.int64)
    real = panel.targets >= 0
    group_of[panel.targets[real]] = np.nonzero(real)[0]
    series = np.repeat(order, n_windows * h)
    group = group_of[series]
    window = np.tile(np.repeat(np.arange(n_windows), h), n_series)
    step = np.tile(np.arange(h), n_series * n_windows)
    cut = done.cuts[group, window]
    keep = cut >= 1
    columns = _spread(model, done, level)
    table: dict[str, Any] = {
        model.id_col: pl.Series(panel.ids, dtype=pl.String)[series[keep]],
        model.time_col: panel.column(group[keep], (cut + step)[keep]),
        "cutoff": panel.column(group[keep], cut[keep] - 1),
        model.target_col: done.truth[:, order].swapaxes(0, 1).reshape(-1)[keep],
    }
    table |= {k: v[:, order].swapaxes(0, 1).reshape(-1)[keep] for k, v in columns.items()}
    return pl.DataFrame(table, nan_to_null=True)


def _spread(
    model: "SMambaForecaster", done: Backtest, level: Sequence[float] | None
) -> dict[str, NDArray[Any]]:
    """Return the columns of all windows, each (W, series, h)."""
    n_windows, n_series, h = done.truth.shape
    flat = done.forecast.reshape(n_windows * n_series, h, *done.forecast.shape[3:])
    center, scale = (np.tile(s, n_windows) for s in done.scales)
    codes = np.tile(done.codes, n_windows)
    spread = np.ones(len(codes), np.float32)
    if level:
        before = (look_back_spread(done.scaled, cut, model.input_size) for cut in done.cuts.T)
        spread = np.concatenate(list(before))
    columns = spread_columns(model, flat, (center, scale), codes, level, None, spread)
    return {name: v.reshape(n_windows, n_series, h) for name, v in columns.items()}


def in_units(model: "SMambaForecaster", done: Backtest) -> NDArray[np.float64]:
    """Return the point forecasts in the user's units: (W, series, h)."""
    point = done.forecast
    if point.ndim == 4:
        levels = np.array(model.quantiles)
        point = point[..., int(np.abs(levels - 0.5).argmin())]
    scaled = np.moveaxis(point, 1, 0)
    return np.moveaxis(to_units(model, scaled, done.scales), 0, 1)
