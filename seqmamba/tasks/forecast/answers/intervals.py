"""Conformal intervals: how far off forecasts from earlier cutoffs were.

Source: forecasting specification, 11.7.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqmamba.datasets.series.frequency import Int64
from seqmamba.datasets.series.panel import Panel
from seqmamba.datasets.series.scaling import moments
from seqmamba.datasets.windows import WindowSamples
from seqmamba.errors import ConfigError
from seqmamba.params import nearest

if TYPE_CHECKING:
    from seqmamba.tasks.forecast.estimator import SMambaForecaster

__all__ = ["collect_residuals", "conformal_settings", "look_back_spread", "signed_offset", "widths"]

Float32 = NDArray[np.float32]
MOST_WINDOWS = 200  # cutoffs that the default looks back to
MOST_FORECASTS = 20_000  # (group, cutoff) pairs of the default
METHODS = ("scaled", "error", "distribution")
CALM = 0.1  # added to a look-back's deviation, so that a flat one does not promise certainty


def conformal_settings(wanted: Mapping[str, Any] | None) -> dict[str, Any]:
    """Check the parameter; missing entries are None = chosen from the data.

    Raises
    ------
    ConfigError
        An unknown entry or method, or a count below 1.
    """
    known = {"n_windows": None, "step_size": None, "method": "scaled"}
    for name in wanted or {}:
        if name not in known:
            raise ConfigError(
                f"conformal has no entry {name!r}; known: {', '.join(known)}.{nearest(name, known)}"
            )
    settings = {**known, **(wanted or {})}
    for name in ("n_windows", "step_size"):
        if settings[name] is not None and not (
            isinstance(settings[name], int) and settings[name] >= 1
        ):
            raise ConfigError(f"conformal {name} must be at least 1, got {settings[name]!r}")
    if settings["method"] not in METHODS:
        raise ConfigError(
            f"conformal method must be one of {', '.join(METHODS)}; got {settings['method']!r}"
        )
    return settings


def collect_residuals(
    model: "SMambaForecaster", train: WindowSamples, valid: WindowSamples | None
) -> tuple[Float32, Float32]:
    """Forecast from rolling cutoffs; return how far off they were and the spreads before them.

    Cutoffs count back from the end of the data; by default they spread over the validation part.
    Fewer series or cutoffs than the rest have NaN.

    Returns
    -------
    residuals : (W, series, H)
        Truth less forecast, scaled.
    spread : (W, series)
        :func:`look_back_spread` at each cutoff.
    """
    settings = conformal_settings(model.conformal)
    source = valid if valid is not None and len(valid) else train
    panel = source.panel
    last = source.first + (source.count - 1) * source.stride
    n_cuts = int(source.count.max())
    cap = max(min(MOST_WINDOWS, MOST_FORECASTS // panel.n_groups), 1)
    n_windows = settings["n_windows"] or min(n_cuts, cap)
    step = settings["step_size"] or max(n_cuts // n_windows, 1)
    n_series = len(panel.ids)
    parts, spread = [], []
    for k in range(n_windows - 1, -1, -1):
        cut = last - k * step
        usable = np.flatnonzero((cut >= source.first) & (source.count > 0))
        if settings["n_windows"] is not None:  # asked for: may reach into the training part
            usable = np.flatnonzero((cut >= model.input_size) & (source.count > 0))
        if not len(usable):
            continue
        parts.append(_residuals(model, source, usable, cut, n_series))
        spread.append(look_back_spread(panel, cut, model.input_size))
    if not parts:
        return np.zeros((0, n_series, model.h), np.float32), np.zeros((0, n_series), np.float32)
    return np.stack(parts), np.stack(spread)


def look_back_spread(panel: Panel, cut: Int64, input_size: int) -> Float32:
    """Return the deviation of each series over its look-back, in scaled units: (series,).

    Errors of a series grow and shrink with it; intervals that follow it keep their coverage when
    a series turns calmer or wilder than it was in training.

    Parameters
    ----------
    panel : Panel
        Scaled.
    cut : (G,)
        Row behind the look-back of each group.
    """
    cut = np.clip(cut, 0, panel.lengths)
    recent = panel.rows(np.maximum(cut - input_size, 0), cut)
    values = recent.values[:, : panel.n_targets].astype(np.float64)
    deviation = moments(values, recent.offsets)[1]  # (G, N)
    spread = np.ones(len(panel.ids), np.float32)
    real = panel.targets >= 0
    spread[panel.targets[real]] = np.hypot(deviation[real], CALM)
    return spread


def _residuals(
    model: "SMambaForecaster",
    source: WindowSamples,
    groups: NDArray[np.int64],
    cut: NDArray[np.int64],
    n_series: int,
) -> Float32:
    count = np.zeros(source.panel.n_groups, np.int64)
    count[groups] = 1
    samples = replace(source, first=cut, count=count)
    out = model._outputs(samples).numpy()
    if out.ndim == 4:
        out = np.sort(out, axis=3)[..., out.shape[3] // 2]
    batch = samples.batch(np.arange(len(samples)))
    assert batch.y is not None
    error = batch.y.numpy() - out  # (groups, H, N)
    seen = batch.extra.get("y_observed")
    if seen is not None:
        error = np.where(seen.numpy(), error, np.float32(np.nan))
    whole = np.full((n_series, model.h), np.nan, np.float32)
    targets = source.panel.targets[groups]
    whole[targets[targets >= 0]] = np.moveaxis(error, 2, 1)[targets >= 0]
    return whole


def widths(
    residuals: Float32, share: float, method: str, codes: NDArray[np.int64], h: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Return how far the interval reaches below and above the forecast: (series, h) each.

    Parameters
    ----------
    residuals : (W, series, H)
    share : float in (0, 1)
        Nominal coverage.
    codes : (series,)
        Row of each series in the residuals; -1 = unseen: the pool of all series serves.
    h : int
        Steps wanted; those behind H take the width of the last.

    Returns
    -------
    low, high, is_pooled
        ``is_pooled`` says that some level needed more windows than a series has.
    """
    if method == "distribution":
        high, pooled_high = signed_offset(residuals, (1 + share) / 2, codes, h)
        low, pooled_low = signed_offset(-residuals, (1 + share) / 2, codes, h)
        return -low, high, pooled_high or pooled_low
    width, pooled = signed_offset(np.abs(residuals), share, codes, h)
    return -width, width, pooled


def signed_offset(
    residuals: Float32, share: float, codes: NDArray[np.int64], h: int
) -> tuple[NDArray[np.float64], bool]:
    """Return the conformal quantile of each series and step: (series, h), and whether pooled.

    The quantile is the ``ceil((w + 1) share)``-th smallest of w residuals. Where w is too small
    for the level, the residuals of all steps are pooled, then those of all series.
    """
    n_windows, _, steps = residuals.shape
    own = _ranked(residuals, share)  # (series, H)
    flat = residuals.transpose(0, 2, 1).reshape(n_windows * steps, -1)  # (W * H, series)
    over_steps = _ranked(flat, share)[:, None]
    over_all = _ranked(residuals.reshape(-1, steps), share)[None]  # (1, H)
    everything = float(_ranked(residuals.reshape(-1), share))
    if np.isnan(everything) and np.isfinite(residuals).any():  # the widest error seen has to do
        everything = float(np.nanmax(np.abs(residuals)))
    over_all = np.where(np.isnan(over_all), everything, over_all)
    pooled = np.where(np.isnan(own), over_steps, own)
    pooled = np.where(np.isnan(pooled), over_all, pooled)
    unseen = codes < 0
    chosen = np.where(unseen[:, None], over_all, pooled[np.where(unseen, 0, codes)])
    reach = np.minimum(np.arange(h), steps - 1)
    return chosen[:, reach].astype(np.float64), bool(np.isnan(own).any() or unseen.any())


def _ranked(values: NDArray[Any], share: float) -> NDArray[Any]:
    """Return the ceil((w + 1) share)-th smallest along the first axis; NaN where w is too small."""
    ordered = np.sort(values, axis=0)  # NaN go to the end
    count = np.isfinite(values).sum(axis=0)
    rank = np.ceil((count + 1) * share - 1e-9).astype(np.int64)
    enough = (rank <= count) & (count > 0)
    index = np.where(enough, np.maximum(rank, 1) - 1, 0)
    picked = np.take_along_axis(ordered, index[None], axis=0)[0]
    return np.where(enough, picked, np.nan)
