"""The loop of one process on a study that others may share."""

import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence

import optuna
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning
from optuna.samplers import GridSampler
from optuna.trial import FrozenTrial, TrialState

from seqmamba.errors import ConfigError
from seqmamba.sweeps import storages
from seqmamba.sweeps.heartbeat import fail_stale
from seqmamba.sweeps.plan import Plan
from seqmamba.sweeps.trial import Objective

__all__ = ["StudyCallback", "count_ended", "join_study", "work"]

StudyCallback = Callable[[optuna.Study, FrozenTrial], None]

POLL_S = 0.2
SETTINGS = "settings"

log = logging.getLogger(__name__)


def join_study(plan: Plan, *, resume: bool = False) -> tuple[optuna.Study, bool]:
    """Make the study with its first trials in the queue, or load it if another process made it.

    Returns
    -------
    study, is_new

    Raises
    ------
    ConfigError
        The study was made with other settings, and ``resume`` is not given.
    """
    storage = storages.open_storage(plan.storage)
    try:
        study = optuna.create_study(
            storage=storage,
            study_name=plan.name,
            direction=plan.direction,
            sampler=plan.sampler(seeded=True),
            pruner=plan.pruner(),
        )
    except DuplicatedStudyError:
        study = optuna.load_study(
            study_name=plan.name,
            storage=storage,
            sampler=plan.sampler(seeded=False),
            pruner=plan.pruner(),
        )
        if not resume:
            _check_settings(plan, study.user_attrs.get(SETTINGS, plan.settings()))
        return study, False
    study.set_user_attr(SETTINGS, plan.settings())
    for params, attributes in plan.first_trials():
        study.enqueue_trial(params, user_attrs=attributes)
    return study, True


def work(
    plan: Plan,
    study: optuna.Study,
    *,
    deadline: float | None = None,
    callbacks: Sequence[StudyCallback] = (),
) -> None:
    """Run trials until the study has enough, and wait for those that others still run.

    Parameters
    ----------
    deadline : float or None
        Value of ``time.monotonic()`` after which no trial is started.

    Raises
    ------
    Exception
        What ended the default configuration, if it would end every other trial too.
    KeyboardInterrupt
        A signal; the running trial is back in the queue.
    """
    beat = None if plan.storage is None else float(storages.HEARTBEAT_S)
    objective = Objective(plan.estimator, plan.data, plan.space, plan.out, plan.space.metric, beat)
    waited = False
    while deadline is None or time.monotonic() < deadline:
        if plan.storage is not None:
            _requeue_stale(study)
        ended, running = count_ended(study), _count(study, TrialState.RUNNING)
        if ended >= plan.trials or _is_exhausted(study):
            return
        if ended + running >= plan.trials:
            if not waited:
                log.warning("waiting for %d trials that other processes run", running)
            waited = True
            time.sleep(POLL_S)
            continue
        _run_one(study, objective, callbacks)


def count_ended(study: optuna.Study) -> int:
    """Count the trials that ended by themselves: not those that lost their worker."""
    trials = study.get_trials(deepcopy=False, states=_ENDED)
    return sum(t.state is not TrialState.FAIL or "error" in t.user_attrs for t in trials)


def _run_one(study: optuna.Study, objective: Objective, callbacks: Sequence[StudyCallback]) -> None:
    try:
        study.optimize(objective, n_trials=1, catch=(Exception,), callbacks=list(callbacks))
    except BaseException:
        _give_back(study, objective)
        raise
    if objective.fatal is not None:
        _give_back(study, objective)
        raise objective.fatal


def _give_back(study: optuna.Study, objective: Objective) -> None:
    """Put the trial that could not end back into the queue."""
    if objective.current is None:
        return
    trial = study.get_trials(deepcopy=False)[objective.current]
    if trial.state is TrialState.RUNNING:
        trial = study.tell(trial.number, state=TrialState.FAIL)
    if trial.state is TrialState.FAIL and "error" not in trial.user_attrs:
        storages.requeue(study, trial)


def _requeue_stale(study: optuna.Study) -> None:
    """Fail and repeat the trials whose workers are silent.

    Optuna knows the heartbeats of data bases, but none of journals, nor that of a worker which
    died before its first one; ours covers both.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # optuna marks heartbeats so
        optuna.storages.fail_stale_trials(study)
    for trial in fail_stale(study, storages.GRACE_S):
        storages.requeue(study, trial)


def _is_exhausted(study: optuna.Study) -> bool:
    return isinstance(study.sampler, GridSampler) and study.sampler.is_exhausted(study)


def _count(study: optuna.Study, state: TrialState) -> int:
    return len(study.get_trials(deepcopy=False, states=(state,)))


def _check_settings(plan: Plan, stored: Mapping[str, str]) -> None:
    current = plan.settings()
    odd = [
        f"{key}: {stored.get(key, 'absent')} there, {current.get(key, 'absent')} here"
        for key in sorted({*stored, *current})
        if stored.get(key) != current.get(key)
    ]
    if odd:
        raise ConfigError(
            f"{plan.storage} holds study {plan.name!r} with other settings ({'; '.join(odd)}). "
            "Pass resume=True (--resume) to go on with yours, or another storage."
        )


_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
