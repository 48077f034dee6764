"""Ensembles of rollouts from contexts that differ by the noise of the observations."""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from seqmamba.errors import ConfigError
from seqmamba.tasks.chaos.answers.forecast import contexts_of

if TYPE_CHECKING:
    from seqmamba.tasks.chaos.estimator import PhyxMambaForecaster

__all__ = ["horizon", "interval", "members"]

Array = NDArray[np.float64]

SPREAD = 0.5  # of the climate's, at which an ensemble knows no more


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
    random = np.random.default_rng(model._seed)
    noise = size * random.standard_normal((n_members, *context.shape))
    noise[0] = 0  # the first member is the forecast itself
    path = model._roll(model.net_, context + noise, h).path
    return model._scale.invert(path)


def interval(paths: Array, level: float) -> tuple[Array, Array]:
    """Return the empirical bounds (h, V) that hold a share of the members."""
    if not 0 < level < 1:
        raise ConfigError(f"level must lie between 0 and 1, got {level!r}.")
    low, high = np.quantile(paths, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def horizon(paths: Array, spread: Array) -> int:
    """Return the step at which the members' spread reaches half of the climate's, else h."""
    kept = spread > 0
    size = np.sqrt(np.mean((paths[..., kept].std(axis=0) / spread[kept]) ** 2, axis=-1))
    above = np.flatnonzero(size >= SPREAD)
    return int(above[0]) if len(above) else len(size)
