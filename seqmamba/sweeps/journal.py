"""A study in an append-only file: repaired on opening, with a heartbeat of our own.

Optuna's journal has no heartbeat, so trials of killed workers would stay in state RUNNING for
ever, and an incomplete last line makes it unreadable (reliability specification, section 2).
"""

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from seqmamba.errors import DataError
from seqmamba.storage import write_atomic

__all__ = ["beating", "drop_incomplete_line", "fail_stale", "open_journal"]

BEAT = "heartbeat"  # user attribute: seconds since the epoch
LOCK_GRACE_S = 10  # a live writer holds the lock for milliseconds

log = logging.getLogger(__name__)


def open_journal(path: Path) -> JournalStorage:
    """Open or make a journal, after dropping an incomplete last line.

    Raises
    ------
    DataError
        A line before the last is damaged.
    """
    lock = JournalFileOpenLock(str(path), grace_period=LOCK_GRACE_S)
    if path.exists():
        lock.acquire()
        try:
            drop_incomplete_line(path)
        finally:
            lock.release()
    try:
        return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is not a sound journal ({error}). Rebuild the study from its trials with: "
            "seqmamba sweep recover DIR --storage NEW, or take another --storage."
        ) from error


def drop_incomplete_line(path: Path) -> bool:
    """Cut a last line that was not written to its end; the piece is kept beside the file."""
    content = path.read_bytes()
    start = content.rstrip(b"\n").rfind(b"\n") + 1
    tail = content[start:]
    if not tail or (tail.endswith(b"\n") and _is_json(tail)):
        return False
    kept = path.with_name(f"{path.name}.dropped")
    write_atomic(kept, tail)
    with path.open("r+b") as file:
        file.truncate(start)
    log.warning("%s ended in an incomplete line; it was moved to %s", path, kept)
    return True


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


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
