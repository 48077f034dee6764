"""The sweep: cheap baselines and the default first, then what the sampler proposes."""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from sklearn.base import clone

from seqmamba.errors import ConfigError, TrainingError
from seqmamba.sweeps.plan import Plan, task_of
from seqmamba.sweeps.report import write_results
from seqmamba.sweeps.result import SweepResult, trials_table
from seqmamba.sweeps.space import Space, resolve_space
from seqmamba.sweeps.trial import Data, trial_params
from seqmamba.sweeps.work import StudyCallback, count_ended, join_study, work

__all__ = ["sweep"]

TRIALS = 20


def sweep(
    estimator: Any,
    data: Any,
    space: Space | Mapping[str, Any] | str | Path = "auto",
    *,
    trials: int | None = None,
    timeout: float | None = None,
    storage: str | Path | None = None,
    jobs: int = 1,
    resume: bool = False,
    callbacks: Sequence[StudyCallback] = (),
    eval_set: Any = None,
    test: Any = None,
    metric: str | None = None,
    tables: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
) -> SweepResult:
    """Search the parameters of an estimator; validation data choose, the test part is read once.

    The cheap baselines and the estimator as it was given are always the first trials. Calls with
    the same storage, in any number of processes, work on one study until it has ``trials`` trials;
    a trial whose worker died is repeated, at most three times.

    Parameters
    ----------
    estimator : estimator
        Parameters outside the space keep its values. It is cloned, never fitted.
    data : table, path, or (X, y)
    space : Space, mapping, path or "auto"
        "auto" = the preset ``sweeps/<task>.yaml`` if there is one, else the declared ranges.
    trials : int or None
        Of the whole study; None = as the space says, else 20.
    timeout : float or None
        Seconds after which no trial is started.
    storage : str, path or None
        None = in memory; see :func:`seqmamba.sweeps.storages.open_storage`.
    jobs : int
        Processes to start here; more than one needs a storage.
    resume : bool
        Add ``trials`` trials to a study, whatever settings it was made with.
    callbacks : sequence of callable (study, trial)
    eval_set : table, (X, y) or None
        Validation data; None = each fit cuts off its own part.
    test : table, (X, y) or None
        Read once, for the winner.
    metric : str or None
        A metric of the task, measured on ``eval_set``; None = the validation objective of the fit.
    tables : mapping or None
        Further keywords of ``fit``.
    out : path or None
        Folder for ``trials/<number>/``, ``trials.csv``, ``best.yaml``, ``model.safetensors`` and
        ``study.html``.

    Raises
    ------
    ConfigError
        A range, a name or a combination of arguments is wrong.
    DataError
        The data are at fault, or the storage is damaged.
    TrainingError
        No trial finished.
    """
    plan = _plan(estimator, data, space, trials, storage, eval_set, metric, tables, out)
    if jobs < 1 or (jobs > 1 and plan.storage is None):
        raise ConfigError(f"jobs={jobs} needs a storage that processes share: storage='study.db'.")
    deadline = None if timeout is None else time.monotonic() + timeout
    with _quiet_optuna():
        study, is_new = join_study(plan, resume=resume)
        _check_folder(plan, is_new)
        if resume and not is_new:
            plan = replace(plan, trials=count_ended(study) + plan.trials)
        if jobs > 1:
            _run_workers(plan, jobs, deadline, callbacks)
        work(plan, study, deadline=deadline, callbacks=callbacks)
        result = _result(plan, study, test)
    if plan.out is not None:
        write_results(result, plan, plan.out)
    return result


def _plan(
    estimator: Any,
    data: Any,
    space: Any,
    trials: int | None,
    storage: str | Path | None,
    eval_set: Any,
    metric: str | None,
    tables: Mapping[str, Any] | None,
    out: str | Path | None,
) -> Plan:
    task = task_of(estimator)
    found = resolve_space(space, estimator, None if task is None else task.name)
    if metric is not None:
        found = replace(found, metric=metric)
    if found.metric is not None and eval_set is None:
        if task is None or found.metric != task.objective:
            raise ConfigError(f"metric {found.metric!r} is measured on eval_set: pass one.")
        found = replace(found, metric=None, direction=None)  # what the fit itself minimises
    X, y = data if isinstance(data, tuple) else (data, None)
    return Plan(
        estimator=estimator,
        data=Data(X, y, eval_set, dict(tables or {})),
        space=found,
        trials=trials or found.trials or TRIALS,
        storage=None if storage is None else str(storage),
        name=type(estimator).__name__ if task is None else task.name,
        out=None if out is None else Path(out),
    )


def _check_folder(plan: Plan, is_new: bool) -> None:
    """Refuse to mix the trials of two studies in one folder."""
    if plan.out is not None and is_new and any((plan.out / "trials").glob("*")):
        raise ConfigError(
            f"{plan.out} holds the trials of another study; name another folder, or give the "
            "storage of that study to go on with it."
        )


def _run_workers(
    plan: Plan, jobs: int, deadline: float | None, callbacks: Sequence[StudyCallback]
) -> None:
    """Work in several fresh processes; one that dies leaves the rest of the work to us."""
    left = None if deadline is None else deadline - time.monotonic()
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
    try:
        tasks = [pool.submit(_worker, plan, jobs, left, tuple(callbacks)) for _ in range(jobs)]
        for task in tasks:
            task.result()
    except BrokenProcessPool:
        pass  # its trial is stale: whoever looks next repeats it
    finally:
        pool.shutdown(cancel_futures=True)


def _worker(plan: Plan, jobs: int, left: float | None, callbacks: Sequence[StudyCallback]) -> None:
    import torch  # a fresh process: share the cores

    torch.set_num_threads(max(1, torch.get_num_threads() // jobs))
    deadline = None if left is None else time.monotonic() + left
    with _quiet_optuna():
        study, _ = join_study(plan, resume=True)
        work(plan, study, deadline=deadline, callbacks=callbacks)


def _result(plan: Plan, study: optuna.Study, test: Any) -> SweepResult:
    table = trials_table(study, plan.space)
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not complete:
        errors = [t.user_attrs["error"] for t in study.trials if "error" in t.user_attrs]
        first = f" First error: {errors[0]}" if errors else ""
        raise TrainingError(f"none of {table.height} trials finished.{first}")
    best = study.best_trial
    params = trial_params(best, plan.space)
    model = clone(plan.estimator).set_params(**plan.space.fixed, **params)
    plan.data.fit(model)
    scores = None
    if test is not None:
        scores = model.evaluate(*test) if isinstance(test, tuple) else model.evaluate(test)
    assert best.value is not None
    return SweepResult(model, params, best.value, table, study, scores)


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Keep optuna's own lines off standard error."""
    former = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(former)
