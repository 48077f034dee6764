"""Scores of rollouts from many starts: network, anchor, baselines, and the floor."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from torch import nn

from seqmamba.errors import ConfigError, DataError
from seqmamba.metrics.chaos import (
    METRICS,
    nrmse_by_lead,
    smape_by_lead,
    valid_steps,
    valid_steps_smape,
)
from seqmamba.metrics.metric import skill
from seqmamba.metrics.score import named
from seqmamba.tasks.chaos.foundation import kept_baselines
from seqmamba.tasks.chaos.maps.others import Analogues, EchoState, Persistence
from seqmamba.tasks.chaos.net.rollout import Rollout, roll
from seqmamba.tasks.chaos.orbits import OrbitReader
from seqmamba.train.anchor import Anchored

if TYPE_CHECKING:
    from seqmamba.tasks.chaos.estimator import PhyxMambaForecaster

__all__ = ["Paths", "evaluate", "figures", "pieces", "rollouts", "score_table", "started"]

Array = NDArray[np.float64]


class Paths:
    """Truth and forecasts from the same starts, in the user's units.

    Parameters
    ----------
    truth : array (M, h, V)
    context : array (M, n, kept)
        Scaled.
    forecasts : dict of str to array (M, h, V)
    diverged : dict of str to int
    """

    def __init__(self, truth: Array, context: Array) -> None:
        self.truth, self.context = truth, context
        self.forecasts: dict[str, Array] = {}
        self.diverged: dict[str, int] = {}

    def add(self, name: str, path: Array, diverged: Any = 0) -> None:
        """Set another forecast beside."""
        self.forecasts[name] = path
        self.diverged[name] = int(np.sum(diverged))

    def add_floor(self) -> None:
        """Take another piece of the orbit for a forecast that knows the climate alone."""
        self.add("floor", np.roll(self.truth, max(len(self.truth) // 2, 1), axis=0))


def evaluate(
    model: "PhyxMambaForecaster",
    X: Any,
    y: Any,
    metrics: Sequence[str] | None,
    h: int,
    starts: int,
) -> pl.DataFrame:
    """Return one row per metric."""
    return score_table(model, rollouts(model, X, y, h, starts), metrics)


def score_table(model: OrbitReader, paths: Paths, metrics: Sequence[str] | None) -> pl.DataFrame:
    """Return one row per metric of forecasts that are rolled already."""
    wanted = named(metrics, METRICS)
    h = paths.truth.shape[1]
    found = {name: figures(model, paths, name) for name in paths.forecasts}
    cheap = [name for name in found if name not in ("value", "anchor", "floor")]
    rows = []
    for name, metric in wanted.items():
        values = {label: figure[name] for label, figure in found.items()}
        pick = max if metric.greater_is_better else min
        best = pick(cheap, key=lambda label: values[label])
        row = {"metric": name, "value": values["value"], "baseline": values[best]}
        most = h * model.dt_ / model.lyapunov_time_ if metric.greater_is_better else 1.0
        row["skill"] = skill(values["value"], values[best], metric, best=most)
        row |= {"best_baseline": best, **{k: v for k, v in values.items() if k != "value"}}
        rows.append({**row, "unit": _unit(model, metric.unit)})
    return pl.DataFrame(rows, infer_schema_length=None)


def rollouts(model: "PhyxMambaForecaster", X: Any, y: Any, h: int, starts: int) -> Paths:
    """Roll the network, its anchor and every baseline from the same starts."""
    paths = started(model, X, y, h, starts)
    context, h = paths.context, paths.truth.shape[1]

    def add(name: str, rolled: Rollout) -> None:
        paths.add(name, model._scale.invert(rolled.path), rolled.diverged)

    if isinstance(model.net_, Anchored):
        add("anchor", model._roll(model.net_.anchor, context, h))
    for name, module in {**kept_baselines(model), **_others(model)}.items():
        add(name, roll(module, context, h, keep=context.shape[1], bound=model._bound()))
    paths.add_floor()
    return paths


def started(model: OrbitReader, X: Any, y: Any, h: int, starts: int) -> Paths:
    """Roll the model itself from starts that are evenly spread over the orbits."""
    context, truth = pieces(model, X, y, h, starts)
    paths = Paths(model._scale.invert(truth), context)
    mine = model._roll(model.net_, context, truth.shape[1])
    paths.add("value", model._scale.invert(mine.path), mine.diverged)
    return paths


def pieces(model: OrbitReader, X: Any, y: Any, h: int, starts: int) -> tuple[Array, Array]:
    """Return scaled contexts (M, n, kept) of X, and what follows them in y, or else in X.

    Raises
    ------
    DataError
        X and y differ in their rows.
    """
    if h < 1 or starts < 1:
        raise ConfigError(f"h and starts must be at least 1, got {h!r} and {starts!r}.")
    windows = model._windows(X)
    context, truth = windows.rollouts(starts, h)
    if y is None:
        return context, truth
    clean = model._windows(y)
    if [len(s) for s in clean.segments] != [len(s) for s in windows.segments]:
        raise DataError("y must hold the same orbits as X, row by row.")
    return context, clean.rollouts(starts, h)[1]


def _others(model: "PhyxMambaForecaster") -> dict[str, nn.Module]:
    """Return the cheap models that fit in a moment, from the newest training rows."""
    known = [model.orbit_]
    return {
        "echo_state": EchoState(known),
        "analogues": Analogues(known, delays=model.delay_dim_, lag=model.delay_lag_),
        "persistence": Persistence(),
    }


def figures(model: OrbitReader, paths: Paths, name: str) -> dict[str, float]:
    """Return every metric of one forecast."""
    truth, path = paths.truth, paths.forecasts[name]
    kept = model._scale.kept
    scale = model.spread_[kept]
    per_time = model.dt_ / model.lyapunov_time_
    valid = valid_steps(truth[..., kept], path[..., kept], scale) * per_time
    smape = smape_by_lead(truth, path)
    error = nrmse_by_lead(truth[..., kept], path[..., kept], scale)
    return {
        "vpt": float(valid.mean()),
        "vpt_median": float(np.median(valid)),
        "vpt_p10": float(np.quantile(valid, 0.1)),
        "vpt_smape": float(valid_steps_smape(truth, path).mean() * per_time),
        "one_step": float(np.abs(truth[:, 0] - path[:, 0]).mean()),
        "nrmse": float(error.mean()),
        "smape": float(smape[:, -1].mean()),
        "diverged": float(paths.diverged[name]),
    }


def _unit(model: OrbitReader, unit: str) -> str:
    if not unit.startswith("Lyapunov"):
        return unit
    source = "estimated" if model.lyapunov_is_estimate_ else "given"
    return f"{unit} of {model.lyapunov_time_:.4g} ({source})"
