"""A sign of life of our own in each trial, whatever the storage.

Without one, the trials of killed workers stay in state RUNNING for ever: journals have no
heartbeat, and optuna's for data bases overlooks a worker that died before its first one.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import optuna
from optuna.trial import FrozenTrial, TrialState

__all__ = ["BEAT", "beating", "fail_stale"]

BEAT = "heartbeat"  # user attribute: seconds since the epoch


@contextmanager
def beating(trial: optuna.Trial, interval: float) -> Iterator[None]:
    """Write a heartbeat into a trial for as long as the block runs."""
    stop = threading.Event()

    def beat() -> None:
        while True:
            trial.set_user_attr(BEAT, time.time())
            if stop.wait(interval):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def fail_stale(study: optuna.Study, grace: float) -> list[FrozenTrial]:
    """Fail the running trials that are silent for longer than ``grace`` seconds; return them."""
    stale = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        started = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
        if time.time() - max(started, trial.user_attrs.get(BEAT, 0.0)) <= grace:
            continue
        with suppress(ValueError, RuntimeError):  # another worker was faster
            study.tell(trial.number, state=TrialState.FAIL)
            stale.append(trial)
    return stale
