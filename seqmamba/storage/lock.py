"""One writer per directory; the kernel releases the lock when its holder dies."""

import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seqmamba.errors import CheckpointError, DirectoryInUseError

__all__ = ["lock_directory"]

LOCK_NAME = ".lock"


@contextmanager
def lock_directory(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Hold a directory for writing; another process (or thread) that asks is turned away.

    The lock belongs to an open file, so it ends with its holder, even by ``kill -9``; its age
    never matters. The file ``.lock`` stays behind and means nothing by itself.

    Parameters
    ----------
    path : path
        Made if it does not exist.

    Raises
    ------
    DirectoryInUseError
        Names pid, host and start of the holder.
    CheckpointError
        The directory cannot be made or written.
    """
    directory = Path(path)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        message = f"cannot lock {directory}: {error.strerror} (errno {error.errno})."
        raise CheckpointError(message) from error
    try:
        if not _try_lock(descriptor):
            raise DirectoryInUseError(_sentence(directory, _holder(descriptor)))
        since = datetime.now(UTC).isoformat(timespec="seconds")
        holder = {"pid": os.getpid(), "host": platform.node(), "since": since}
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, json.dumps(holder).encode())
        yield directory
    finally:
        os.close(descriptor)


def _sentence(directory: Path, holder: dict[str, Any]) -> str:
    pid, host, since = (holder.get(key, "unknown") for key in ("pid", "host", "since"))
    return (
        f"{directory} is in use by process {pid} on {host} since {since}. "
        "Wait for it to end or choose another directory."
    )


def _holder(descriptor: int) -> dict[str, Any]:
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        holder = json.loads(os.read(descriptor, 4096))
    except ValueError:  # the holder is between taking the lock and writing its name
        return {}
    return holder if isinstance(holder, dict) else {}


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        """Lock one byte far behind the text, which others must stay able to read."""
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
