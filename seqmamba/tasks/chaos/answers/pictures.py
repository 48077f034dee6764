"""Figures of orbits, errors, spectra and return maps."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqmamba.metrics.chaos import nrmse_by_lead, valid_steps
from seqmamba.reports import new_figure

if TYPE_CHECKING:
    from seqmamba.tasks.chaos.answers.scores import Paths
    from seqmamba.tasks.chaos.estimator import PhyxMambaForecaster

__all__ = ["attractor", "error_growth", "example", "return_map", "spectra"]

Array = NDArray[np.float64]

NAMES = {"value": "PhyxMamba"}
LOOKS: dict[str, dict[str, Any]] = {  # a thick line still shows below its anchor's
    "value": {"lw": 4.0, "alpha": 0.5},
    "persistence": {"color": "0.5", "ls": ":"},
    "floor": {"color": "0.5", "ls": "--"},
}
WIDTH = 20.0  # bins of the smoothed spectra


def error_growth(model: "PhyxMambaForecaster", paths: "Paths") -> Any:
    """Draw the median error of each lead time, for every forecast."""
    figure, axes = new_figure(size=(8, 3.6))
    axis = axes[0, 0]
    kept = model._scale.kept
    time = np.arange(1, paths.truth.shape[1] + 1) * model.dt_ / model.lyapunov_time_
    for name, path in paths.forecasts.items():
        error = nrmse_by_lead(paths.truth[..., kept], path[..., kept], model.spread_[kept])
        look: dict[str, Any] = {"label": NAMES.get(name, name), **LOOKS.get(name, {})}
        axis.semilogy(time, np.median(error, axis=0), **look)
    axis.axhline(0.4, color="0.4", lw=0.8)
    axis.set_xlabel("lead time in Lyapunov times")
    axis.set_ylabel("median error in st. dev.")
    axis.legend(fontsize=8, ncols=2)
    return figure


def example(model: "PhyxMambaForecaster", paths: "Paths") -> Any:
    """Draw the rollout of median quality beside its truth."""
    kept = np.flatnonzero(model._scale.kept)
    path, truth = paths.forecasts["value"], paths.truth
    valid = valid_steps(truth[..., kept], path[..., kept], model.spread_[kept])
    start = int(np.argsort(valid)[len(valid) // 2])
    shown = kept[:3]
    figure, axes = new_figure(len(shown), 1, size=(8, 1.4 * len(shown) + 0.6))
    time = np.arange(1, truth.shape[1] + 1) * model.dt_ / model.lyapunov_time_
    for axis, channel in zip(axes[:, 0], shown, strict=True):
        axis.plot(time, truth[start, :, channel], color="0.6", lw=2.2, label="truth")
        axis.plot(time, path[start, :, channel], lw=1.1, label="PhyxMamba")
        axis.axvline(time[min(int(valid[start]), len(time) - 1)], color="0.4", lw=0.8)
        axis.set_ylabel(model.info_.feature_names[channel])
    axes[0, 0].legend(fontsize=8, loc="upper right")
    axes[-1, 0].set_xlabel("lead time in Lyapunov times")
    return figure


def attractor(model: "PhyxMambaForecaster", orbit: Array, made: Array) -> Any:
    """Draw two channels, or one and itself a lag later, of orbit and rollout."""
    figure, axes = new_figure(1, 2, size=(8, 3.8))
    kept = np.flatnonzero(model._scale.kept)
    lag = max(model.delay_lag_, 1)
    names = [model.info_.feature_names[i] for i in kept]
    for axis, x, title in zip(axes[0], (orbit, made), ("orbit", "rollout"), strict=True):
        if len(kept) > 1:
            a, b = x[:, kept[0]], x[:, kept[2 if len(kept) > 2 else 1]]
            labels = (names[0], names[2 if len(kept) > 2 else 1])
        else:
            a, b = x[:-lag, kept[0]], x[lag:, kept[0]]
            labels = (names[0], f"{names[0]}, {lag} rows later")
        axis.plot(a[:4_000], b[:4_000], lw=0.35)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel(labels[0])
        axis.set_ylabel(labels[1])
    for which in ("x", "y"):
        limits = [getattr(axis, f"get_{which}lim")() for axis in axes[0]]
        both = (min(low for low, _ in limits), max(high for _, high in limits))
        for axis in axes[0]:
            getattr(axis, f"set_{which}lim")(both)
    return figure


def spectra(model: "PhyxMambaForecaster", orbit: Array, made: Array) -> Any:
    """Draw the smoothed power of the first channel that varies."""
    from scipy.ndimage import gaussian_filter1d  # heavy: only for plots

    figure, axes = new_figure(size=(8, 3))
    channel = int(np.flatnonzero(model._scale.kept)[0])
    n = min(len(orbit), len(made))
    for x, name in ((orbit, "orbit"), (made, "rollout")):
        series = x[:n, channel] - x[:n, channel].mean()
        power = gaussian_filter1d(np.abs(np.fft.rfft(series)) ** 2, min(WIDTH, n / 200))
        axes[0, 0].semilogy(np.fft.rfftfreq(n, model.dt_)[1:], power[1:], lw=1.1, label=name)
    axes[0, 0].set_xlabel("frequency per unit of time")
    axes[0, 0].set_ylabel(f"power of {model.info_.feature_names[channel]}")
    axes[0, 0].legend(fontsize=8)
    return figure


def return_map(model: "PhyxMambaForecaster", orbit: Array, made: Array) -> Any:
    """Draw successive maxima of the last channel that varies."""
    figure, axes = new_figure(size=(4.6, 4.2))
    channel = int(np.flatnonzero(model._scale.kept)[-1])
    for x, name in ((orbit, "orbit"), (made, "rollout")):
        peaks = _maxima(x[:, channel])
        axes[0, 0].plot(peaks[:-1], peaks[1:], ".", ms=3, label=name)
    label = model.info_.feature_names[channel]
    axes[0, 0].set_xlabel(f"maximum of {label}")
    axes[0, 0].set_ylabel("next maximum")
    axes[0, 0].legend(fontsize=8)
    return figure


def _maxima(x: Array) -> Array:
    """Return the heights of the maxima, read off a parabola through three points."""
    before, here, after = x[:-2], x[1:-1], x[2:]
    top = (here > before) & (here >= after)
    a, b, c = before[top], here[top], after[top]
    bend = a - 2 * b + c
    height: Array = b - (c - a) ** 2 / (8 * np.where(bend == 0, -1.0, bend))
    return height
