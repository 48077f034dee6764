"""Ensembles of rollouts from contexts that differ by the noise of the observations."""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.errors import ConfigError
from seqmamba.metrics.chaos import coverage_by_lead, crps_by_lead
from seqmamba.tasks.chaos.answers.forecast import contexts_of
from seqmamba.tasks.chaos.answers.scores import pieces

if TYPE_CHECKING:
    from seqmamba.tasks.chaos.estimator import PhyxMambaForecaster

__all__ = ["horizon", "interval", "members", "scores"]

Array = NDArray[np.float64]

SPREAD = 0.5  # of the climate's, at which an ensemble knows no more


def scores(
    model: "PhyxMambaForecaster", X: Any, y: Any, h: int, starts: int, n_members: int, level: float
) -> pl.DataFrame:
    """Return CRPS, coverage and spread of ensembles by lead time."""
    if n_members < 2:
        raise ConfigError(f"n_members must be at least 2, got {n_members!r}.")
    check_level(level)
    context, truth = pieces(model, X, y, h, starts)
    n, unit = truth.shape[1], 1 / model._unit().numpy()
    paths = _rolled(model, context, n, n_members, model.one_step_error_)
    spread = np.sqrt(np.mean((paths.std(axis=1, ddof=1) / unit) ** 2, axis=(0, 2)))
    columns = {
        "step": np.arange(1, n + 1),
        "lyapunov_times": np.arange(1, n + 1) * model.dt_ / model.lyapunov_time_,
        "crps": crps_by_lead(truth, paths, unit),
        "coverage": coverage_by_lead(truth, paths, level),
        "spread": spread,
    }
    return pl.DataFrame(columns)


def members(
    model: "PhyxMambaForecaster",
    X: Any,
    h: int,
    n_members: int,
    perturb: float | Literal["auto"],
) -> Array:
    """Return rollouts (n_members, h, V) behind the last orbit of X, in the user's units."""
    if h < 1 or n_members < 1:
        raise ConfigError(f"h and n_members must be at least 1, got {h!r} and {n_members!r}.")
    if perturb != "auto" and not perturb >= 0:
        raise ConfigError(f"perturb must be 'auto' or at least 0, got {perturb!r}.")
    context = contexts_of(model, X)[1][-1]
    size = model.one_step_error_ if perturb == "auto" else float(perturb) / model._unit().numpy()
    path = _rolled(model, context[None], h, n_members, size)[0]
    return model._scale.invert(path)


def interval(paths: Array, level: float) -> tuple[Array, Array]:
    """Return the empirical bounds (h, V) that hold a share of the members."""
    check_level(level)
    low, high = np.quantile(paths, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def horizon(paths: Array, spread: Array) -> int:
    """Return the step at which the members' spread reaches half of the climate's, else h."""
    kept = spread > 0
    size = np.sqrt(np.mean((paths[..., kept].std(axis=0) / spread[kept]) ** 2, axis=-1))
    above = np.flatnonzero(size >= SPREAD)
    return int(above[0]) if len(above) else len(size)


def check_level(level: float) -> None:
    """Refuse a share that is none."""
    if not 0 < level < 1:
        raise ConfigError(f"level must lie between 0 and 1, got {level!r}.")


def _rolled(
    model: "PhyxMambaForecaster", context: Array, h: int, n_members: int, size: Any
) -> Array:
    """Roll contexts (M, n, V) with noise of a size on: (M, n_members, h, V), scaled."""
    random = np.random.default_rng(model._seed)
    noise = size * random.standard_normal((len(context), n_members, *context.shape[1:]))
    noise[:, 0] = 0  # the first member is the forecast itself
    moved = (context[:, None] + noise).reshape(-1, *context.shape[1:])
    path = model._roll(model.net_, moved, h).path
    return path.reshape(len(context), n_members, h, -1)
