"""A study in an append-only file, repaired on opening.

An incomplete last line makes optuna's journal unreadable (reliability specification, section 2).
"""

import json
import logging
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from seqmamba.errors import DataError
from seqmamba.storage import write_atomic

__all__ = ["drop_incomplete_line", "open_journal"]

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


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
