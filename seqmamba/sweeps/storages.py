"""Where the trials of a study are kept, and what happens to those whose worker died."""

import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.trial import FrozenTrial

from seqmamba.errors import DataError, MissingPackageError
from seqmamba.sweeps.journal import open_journal

__all__ = ["open_storage", "requeue"]

HEARTBEAT_S = 60
GRACE_S = 120
MAX_RETRIES = 3
BUSY_TIMEOUT_S = 60
PACKAGES = {"postgresql": "psycopg2-binary", "mysql": "mysqlclient", "redis": "redis"}


def open_storage(place: str | None) -> BaseStorage:
    """Open the storage of a study.

    Parameters
    ----------
    place : str or None
        None = in memory; a path or ``sqlite:///path`` = SQLite, for the workers of one machine;
        ``journal:path`` = append-only file, for network disks; ``postgresql://``, ``mysql://``,
        ``redis://`` = a server.

    Raises
    ------
    DataError
        The file is damaged or no study.
    MissingPackageError
        The driver of a server is not installed.
    """
    if place is None:
        return InMemoryStorage()
    if place.startswith("journal:"):
        return open_journal(Path(place.removeprefix("journal:")))
    scheme = place.partition("://")[0] if "://" in place else "sqlite"
    with _driver(scheme):
        if scheme == "redis":
            return _open_redis(place)
        if scheme == "sqlite":
            path = place.removeprefix("sqlite:///")
            check_sqlite(Path(path))
            arguments = {"connect_args": {"timeout": BUSY_TIMEOUT_S}}
            return _open_rdb(f"sqlite:///{path}", arguments)
        return _open_rdb(place, {})


def requeue(study: optuna.Study, trial: FrozenTrial) -> None:
    """Put the parameters of a trial whose worker is gone back into the queue."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # optuna marks retries so
        optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=MAX_RETRIES)(study, trial)


def check_sqlite(path: Path) -> None:
    """Look whether a database file is sound, before anything is written to it.

    Raises
    ------
    DataError
        Truncated, damaged, or another format.
    """
    if not path.exists() or path.stat().st_size == 0:
        return
    try:
        with sqlite3.connect(path, timeout=BUSY_TIMEOUT_S) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        connection.close()
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        raise DataError(
            f"{path} is not a sound database ({' '.join(found.split())}). Rebuild the study from "
            "its trials with: seqmamba sweep recover DIR --storage NEW, or take another --storage."
        )


def _open_redis(url: str) -> JournalStorage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # optuna marks redis so
        return JournalStorage(optuna.storages.journal.JournalRedisBackend(url))


def _open_rdb(url: str, arguments: dict[str, Any]) -> RDBStorage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # optuna marks heartbeats so
        return RDBStorage(
            url,
            engine_kwargs=arguments,
            heartbeat_interval=HEARTBEAT_S,
            grace_period=GRACE_S,
            heartbeat_stale_trial_callback=requeue,
        )


@contextmanager
def _driver(scheme: str) -> Iterator[None]:
    """Turn a missing driver into an error that names its package."""
    try:
        yield
    except ImportError as error:
        package = PACKAGES.get(scheme.partition("+")[0], str(error))
        raise MissingPackageError(
            f"storage {scheme}:// needs a driver: pip install {package}."
        ) from error
