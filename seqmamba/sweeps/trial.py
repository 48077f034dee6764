"""One trial: parameters are drawn, an estimator is fitted, kept on disk, and scored."""

import json
import logging
import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.trial import FrozenTrial
from sklearn.base import clone

from seqmamba.errors import BackendError, ConfigError, DataError, MissingPackageError
from seqmamba.storage import write_atomic
from seqmamba.sweeps.heartbeat import BEAT, beating
from seqmamba.sweeps.space import Space
from seqmamba.train.callbacks import Callback, State

__all__ = ["BASELINE", "DEFAULT", "Data", "Interrupted", "Objective", "trial_params"]

BASELINE, DEFAULT = "baseline", "default"  # kinds of the first trials
RESULT = "result.json"
HOPELESS = (DataError, MissingPackageError, BackendError, OSError)

log = logging.getLogger(__name__)


class Interrupted(KeyboardInterrupt):
    """A signal ended the training of a trial, or of the winner."""

    def __init__(self, signal: int) -> None:
        super().__init__(f"interrupted by signal {signal}")
        self.signal = signal


@dataclass(frozen=True)
class Data:
    """What every trial is fitted on; chosen by what it scores on."""

    X: Any
    y: Any = None
    eval_set: Any = None
    tables: Mapping[str, Any] = field(default_factory=dict)

    def identity(self) -> str:
        """Say which data these are, without reading them."""
        if isinstance(self.X, str | Path):
            return str(self.X)
        shape = getattr(self.X, "shape", None)
        return type(self.X).__name__ if shape is None else f"{type(self.X).__name__} {shape}"

    def fit(self, model: Any, callbacks: Any = ()) -> None:
        """Fit an estimator; without ``eval_set`` it cuts off its own validation part.

        Raises
        ------
        Interrupted
            A signal ended the training.
        """
        positional = (self.X,) if self.y is None else (self.X, self.y)
        keywords = dict(self.tables)
        if self.eval_set is not None:
            keywords["eval_set"] = self.eval_set
        if callbacks:
            keywords["callbacks"] = callbacks
        model.fit(*positional, **keywords)
        if model.history_.signal is not None:
            raise Interrupted(model.history_.signal)


class Pruning(Callback):
    """Report the objective of each epoch, and end a trial that falls behind the others."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def on_epoch(self, state: State) -> None:
        """Report; raise optuna's signal if the pruner says so."""
        if math.isfinite(state.objective):
            self.trial.report(state.objective, state.epoch)
            if self.trial.should_prune():
                raise optuna.TrialPruned(f"behind the others after epoch {state.epoch}")


@dataclass
class Objective:
    """The function that a study optimises.

    Parameters
    ----------
    estimator : estimator
        Cloned for each trial.
    out : Path or None
        Each trial's model and result go to ``out/trials/<number>/``, and its value is reported
        only when they are on the disk.
    metric : str or None
        None = the validation objective of the fit, which is minimised.
    beat : float or None
        Seconds between signs of life; None = nobody else works on the study.
    current : int or None
        Number of the trial that runs, or ran last.
    fatal : Exception or None
        What ended the first trials and would end every other.
    """

    estimator: Any
    data: Data
    space: Space
    out: Path | None
    metric: str | None
    beat: float | None = None
    current: int | None = None
    fatal: Exception | None = None

    def __call__(self, trial: optuna.Trial) -> float:
        """Run one trial; return its value."""
        self.current = trial.number
        with nullcontext() if self.beat is None else beating(trial, self.beat):
            try:
                return self._run(trial)
            except optuna.TrialPruned:
                self._keep(trial, "PRUNED", None)
                raise
            except Exception as error:
                raise self._failed(trial, error) from error

    def _run(self, trial: optuna.Trial) -> float:
        started = time.perf_counter()
        params = self._params(trial)
        model = clone(self.estimator).set_params(**self.space.fixed, **params)
        callbacks = [] if self.metric is not None else [Pruning(trial)]
        self.data.fit(model, callbacks)
        value = self._value(model)
        seconds = round(time.perf_counter() - started, 3)
        best_epoch = model.history_.best_epoch
        trial.set_user_attr("fit", {"seconds": seconds, "best_epoch": best_epoch})
        if self.out is not None:
            folder = self._folder(trial)
            model.save(folder / "model.safetensors")
        self._keep(trial, "COMPLETE", value)
        return value

    def _params(self, trial: optuna.Trial) -> dict[str, Any]:
        kind = trial.user_attrs.get("kind")
        if kind == BASELINE:
            return {"anchor": trial.user_attrs["anchor"], "max_epochs": 0}
        if kind == DEFAULT:  # what lies outside the ranges stays as the estimator has it
            current = self.estimator.get_params(deep=False)
            return self.space.suggest(trial, self.space.encode(current))
        return self.space.suggest(trial)

    def _value(self, model: Any) -> float:
        value = model.history_.best
        if self.metric is not None:
            scores = model.evaluate(self.data.eval_set, metrics=[self.metric])
            value = float(scores["value"][0])
        if not math.isfinite(value):
            raise ConfigError(
                "the trial has no finite objective; a sweep needs a validation part: "
                "set val_size above 0 or pass eval_set."
            )
        return float(value)

    def _failed(self, trial: optuna.Trial, error: Exception) -> Exception:
        text = f"{type(error).__name__}: {error}"
        if _is_out_of_memory(error):
            trial.set_user_attr("error", text)
            self._keep(trial, "PRUNED", None)
            return optuna.TrialPruned(text)
        if self._is_hopeless(trial, error):
            self.fatal = error
            return error
        trial.set_user_attr("error", text)
        self._keep(trial, "FAIL", None)
        log.warning("trial %d failed: %s", trial.number, text)
        return error

    def _is_hopeless(self, trial: optuna.Trial, error: Exception) -> bool:
        """Say whether every other trial would fail like this first one."""
        kind = trial.user_attrs.get("kind")
        return (kind == DEFAULT and isinstance(error, ConfigError)) or (
            kind is not None and isinstance(error, HOPELESS)
        )

    def _folder(self, trial: optuna.Trial) -> Path:
        assert self.out is not None
        folder = self.out / "trials" / str(trial.number)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _keep(self, trial: optuna.Trial, state: str, value: float | None) -> None:
        """Write what is needed to rebuild this trial of the study."""
        if self.out is None:
            return
        attributes = {k: v for k, v in trial.user_attrs.items() if k != BEAT}
        distributions = {k: distribution_to_json(v) for k, v in trial.distributions.items()}
        record = {
            "number": trial.number,
            "state": state,
            "value": value,
            "params": trial.params,
            "distributions": distributions,
            "attributes": attributes,
            "direction": trial.study.direction.name.lower(),
            "study": trial.study.study_name,
        }
        write_atomic(self._folder(trial) / RESULT, json.dumps(record, indent=1).encode())


def trial_params(trial: FrozenTrial, space: Space) -> dict[str, Any]:
    """Return the estimator's parameters of a finished trial."""
    if trial.user_attrs.get("kind") == BASELINE:
        return {"anchor": trial.user_attrs["anchor"], "max_epochs": 0}
    return space.decode(trial.params)


def _is_out_of_memory(error: Exception) -> bool:
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return known or "can't allocate memory" in str(error)
