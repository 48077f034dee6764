"""A file is either the former one or the new one, whatever happens in between.

The content goes to a temporary file in the same directory, is forced to the disk, takes the
place of the target in one step, and the directory is forced to the disk as well.
"""

import os
import platform
import re
import secrets
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from seqmamba.errors import CheckpointError

__all__ = ["write_atomic"]

STALE_AFTER_S = 3600.0


def write_atomic(
    path: str | os.PathLike[str], content: bytes | Callable[[BinaryIO], object]
) -> None:
    """Write a file so that a crash at any moment leaves the former or the new one, complete.

    Leftovers of killed processes (``<name>.tmp-<pid>-<random>``) are removed on the way.

    Parameters
    ----------
    path : path
        The directory must exist. A symbolic link is followed.
    content : bytes or callable
        The bytes, or a function that writes them to the open binary file it is given.

    Raises
    ------
    CheckpointError
        The system refused; the message names path and errno, ``errno`` is set. The former file
        is intact and no temporary file stays behind.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "note.txt"
    >>> write_atomic(target, b"done")
    >>> target.read_bytes()
    b'done'
    """
    target = Path(os.path.realpath(path))
    _remove_stale(target)
    mark = f"{os.getpid()}-{_host_tag()}{secrets.token_hex(4)}"
    temporary = target.with_name(f"{target.name}.tmp-{mark}")
    outcome = "the former file is intact"
    try:
        with open(temporary, "xb") as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                content(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        outcome = "the new file is in place but may not survive a power cut"
        _sync_directory(target.parent)
    except OSError as error:
        _remove(temporary)
        raise _failure(path, error, outcome) from error
    except BaseException:
        _remove(temporary)
        raise


def _failure(path: str | os.PathLike[str], error: OSError, outcome: str) -> CheckpointError:
    reason = error.strerror or str(error) or type(error).__name__
    number = f" (errno {error.errno})" if error.errno is not None else ""
    failure = CheckpointError(f"cannot write {os.fspath(path)}: {reason}{number}; {outcome}.")
    failure.errno = error.errno
    return failure


def _sync_directory(directory: Path) -> None:
    if os.name == "nt":  # Windows opens no directories; its rename is durable by journal
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(temporary: Path) -> None:
    """Remove our own temporary file; a second try serves interrupted calls."""
    for _ in range(2):
        try:
            os.unlink(temporary)
        except FileNotFoundError:
            return
        except OSError:
            continue
        return


def _remove_stale(target: Path) -> None:
    """Remove temporary files of this target whose writer is dead or silent for an hour."""
    pattern = re.compile(re.escape(target.name) + r"\.tmp-(\d+)-([0-9a-f]{8})[0-9a-f]{8}")
    try:
        names = os.listdir(target.parent)
    except OSError:  # the write that follows reports the same trouble with the target's name
        return
    for name in names:
        found = pattern.fullmatch(name)
        if found and _is_stale(target.with_name(name), int(found[1]), found[2]):
            _remove(target.with_name(name))


def _is_stale(temporary: Path, pid: int, host_tag: str) -> bool:
    try:
        age = time.time() - temporary.stat().st_mtime
    except OSError:  # another process has just removed or renamed it
        return False
    return age > STALE_AFTER_S or (host_tag == _host_tag() and not _is_alive(pid))


def _is_alive(pid: int) -> bool:
    if os.name == "nt":  # no harmless signal there; the age decides
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _host_tag() -> str:
    """Eight digits that tell hosts apart without naming them: pids of other hosts look dead."""
    return f"{zlib.crc32(platform.node().encode()):08x}"
