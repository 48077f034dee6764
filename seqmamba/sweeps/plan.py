"""What a sweep does, in a form that travels to other processes."""

import typing
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.exceptions import ExperimentalWarning

from seqmamba.errors import ConfigError
from seqmamba.metrics.metric import Metric
from seqmamba.params import nearest, params_of
from seqmamba.sweeps.space import Space
from seqmamba.sweeps.trial import BASELINE, DEFAULT, Data
from seqmamba.tasks import TASKS
from seqmamba.tasks.task import Task

__all__ = ["Plan", "task_of"]


@dataclass(frozen=True)
class Plan:
    """One sweep.

    Parameters
    ----------
    trials : int
        Number of trials of the whole study, whoever runs them.
    storage : str or None
        As in :func:`seqmamba.sweeps.storages.open_storage`.
    name : str
        Of the study.
    out : Path or None
        Folder of the trials' models.
    """

    estimator: Any
    data: Data
    space: Space
    trials: int
    storage: str | None
    name: str
    out: Path | None

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """Which values win."""
        if self.space.direction is not None:
            return self.space.direction
        if self.space.metric is None:
            return "minimize"
        greater = _metric(self.estimator, self.space.metric).greater_is_better
        return "maximize" if greater else "minimize"

    def first_trials(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Return parameters and attributes of the baselines and of the default configuration."""
        queue: list[tuple[dict[str, Any], dict[str, Any]]] = [
            ({}, {"kind": BASELINE, "anchor": name}) for name in _anchors(self.estimator)
        ]
        current = self.estimator.get_params(deep=False)
        return [*queue, (self.space.encode(current), {"kind": DEFAULT})]

    def settings(self) -> dict[str, str]:
        """Return what two processes of one study must have in common."""
        declared = params_of(self.estimator)
        free = {"verbose", "device", "num_threads", *self.space.searches}
        params = self.estimator.get_params(deep=False)
        changed = {
            name: repr(value)
            for name, value in params.items()
            if name not in free and name in declared and value != declared[name].default
        }
        return {
            "estimator": type(self.estimator).__name__,
            "data": self.data.identity(),
            "metric": str(self.space.metric),
            **changed,
            **{f"fixed {k}": repr(v) for k, v in self.space.fixed.items()},
            **{f"range of {k}": v for k, v in self.space.describe().items()},
        }

    def sampler(self, *, seeded: bool) -> optuna.samplers.BaseSampler:
        """Return the sampler; processes that join a study draw with a seed of their own."""
        seed = self.estimator.random_state if seeded else None
        kind = self.space.sampler
        if kind == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        if kind == "gp":
            return optuna.samplers.GPSampler(seed=seed)
        if kind == "grid":
            return optuna.samplers.GridSampler(self.space.grid(), seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # optuna marks constant_liar so
            # Running trials count as bad ones: parallel workers then look in other places.
            return optuna.samplers.TPESampler(seed=seed, constant_liar=self.storage is not None)

    def pruner(self) -> optuna.pruners.BasePruner:
        """Return the pruner; a metric that is measured at the end allows none."""
        if self.space.pruner == "none" or self.space.metric is not None:
            return optuna.pruners.NopPruner()
        return optuna.pruners.MedianPruner()


def task_of(estimator: Any) -> Task | None:
    """Return the task that an estimator belongs to, or None."""
    return next((t for t in TASKS.values() if t.class_named(type(estimator).__name__)), None)


def _metric(estimator: Any, name: str) -> Metric:
    task = task_of(estimator)
    known = {} if task is None else task.metrics
    if name not in known:
        listed = ", ".join(known)
        raise ConfigError(f"no metric {name!r}; known: {listed}.{nearest(name, known)}")
    return known[name]


def _anchors(estimator: Any) -> list[str]:
    """Return the names of the cheap models that the estimator can stand on."""
    declared = params_of(estimator).get("anchor")
    if declared is None:
        return []
    return [name for name in _words(declared.annotation) if name != "auto"] or ["auto"]


def _words(annotation: Any) -> list[str]:
    if typing.get_origin(annotation) is Literal:
        return [v for v in typing.get_args(annotation) if isinstance(v, str)]
    return [word for option in typing.get_args(annotation) for word in _words(option)]
