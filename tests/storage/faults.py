"""Faults for the storage layer: calls that fail and processes that die at named points.

Loaded by ``conftest.py`` for tests in the same process, and run by path for the killing tests: a
small process without torch forks quickly and safely.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from seqmamba.errors import DirectoryInUseError
from seqmamba.storage import atomic, lock_directory, write_atomic

Hook = Callable[[str, str], object]  # (name of the call, "before" or "after")

CALLS = ("open", "write", "middle", "flush", "fsync", "close", "replace", "unlink", "listdir")
POINTS = [(call, when) for call in CALLS for when in ("before", "after")]
POINTS += [("fsync_directory", "before"), ("fsync_directory", "after")]
CONTENT_BYTES = 100_000


@contextmanager
def intercepted(hook: Hook, *, durable: bool = True) -> Iterator[None]:
    """Call a hook around every system call of the atomic writer; ``durable=False`` spares disks."""
    watched_open = partial(_File, hook)
    with mock.patch.multiple(atomic, create=True, os=_Os(hook, durable), open=watched_open):
        yield


class _Os:
    """The module ``os`` with a hook around some of its functions."""

    def __init__(self, hook: Hook, durable: bool) -> None:
        self._hook = hook
        self._durable = durable
        self._replaced = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(os, name)
        if name not in CALLS:
            return found
        if name == "fsync" and not self._durable:
            found = int  # takes the descriptor and does nothing

        def watched(*args: Any, **options: Any) -> Any:
            label = "fsync_directory" if name == "fsync" and self._replaced else name
            self._hook(label, "before")
            result = found(*args, **options)
            self._hook(label, "after")
            self._replaced = self._replaced or name == "replace"
            return result

        return watched


class _File:
    """A file whose writing can be interrupted half way."""

    def __init__(self, hook: Hook, path: Any, mode: str) -> None:
        self._hook = hook
        hook("open", "before")
        self._file = open(path, mode)  # noqa: SIM115  # closed by __exit__
        hook("open", "after")

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *_: object) -> None:
        self._hook("close", "before")
        self._file.close()
        self._hook("close", "after")

    def write(self, data: bytes) -> None:
        self._hook("write", "before")
        self._file.write(data[: len(data) // 2])
        self._file.flush()
        self._hook("middle", "before")
        self._file.write(data[len(data) // 2 :])
        self._hook("middle", "after")
        self._hook("write", "after")

    def flush(self) -> None:
        self._hook("flush", "before")
        self._file.flush()
        self._hook("flush", "after")

    def fileno(self) -> int:
        return int(self._file.fileno())


def content(number: int) -> bytes:
    """Return bytes that tell their number and whether they are complete."""
    body = number.to_bytes(8, "little") + bytes([number % 251]) * CONTENT_BYTES
    return hashlib.sha256(body).digest() + body


def number_of(data: bytes) -> int | None:
    """Return the number of complete content, or None."""
    if hashlib.sha256(data[32:]).digest() != data[:32]:
        return None
    return int.from_bytes(data[32:40], "little")


def write_in_place(path: Path, data: bytes) -> None:
    """Write the way that P1 forbids; the killing test must notice."""
    path.write_bytes(data)


def kill_at_random(count: int, in_place: bool) -> dict[str, int]:
    """Kill a saving process at random moments."""
    write = write_in_place if in_place else write_atomic
    found = {"kills": count, "effective": 0, "corrupt": 0, "lost": 0, "leftover": 0}
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        first = finished = 1
        for index in range(count):
            # Nine of ten kills wait for a finished save: a test whose kills come too early
            # proves nothing.
            saved = _kill_one(
                lambda k: write(path, content(k)), first, rng.uniform(0, 0.02), index % 10 > 0
            )
            finished = first + saved - 1 if saved else finished
            number = number_of(path.read_bytes()) if path.exists() else 0
            found["effective"] += saved > 0
            found["corrupt"] += number is None
            found["lost"] += number is not None and saved > 0 and number < finished
            first += saved + 1
        write_atomic(path, content(0))
        found["leftover"] = len(list(Path(folder).iterdir())) - 1
    return found


def _kill_one(save: Callable[[int], object], first: int, seconds: float, wait: bool) -> int:
    """Fork a process that saves without end; kill it; return how many saves it finished."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        for number in range(first, sys.maxsize):
            save(number)
            os.write(writer, b".")
    os.close(writer)
    saved = len(os.read(reader, 1)) if wait else 0
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    while got := os.read(reader, 65536):
        saved += len(got)
    os.close(reader)
    return saved


def kill_at_points() -> dict[str, int]:
    """Kill a saving process at every named point, with and without a former file."""
    found = {"kills": 0, "corrupt": 0, "leftover": 0, "missed": 0}
    for call, when in POINTS:
        for has_former in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "model.safetensors"
                if has_former:
                    path.write_bytes(content(1))
                if call == "unlink":  # only leftovers are unlinked
                    (Path(folder) / f"{path.name}.tmp-1-{'0' * 16}").touch()
                    os.utime(Path(folder) / f"{path.name}.tmp-1-{'0' * 16}", (0, 0))
                found["kills"] += 1
                found["missed"] += not _dies_at(path, call, when)
                if path.exists() or has_former:
                    found["corrupt"] += number_of(path.read_bytes()) not in (1, 2)
                write_atomic(path, content(3))
                found["leftover"] += len(list(Path(folder).iterdir())) - 1
    return found


def _dies_at(path: Path, call: str, when: str) -> bool:
    pid = os.fork()
    if not pid:

        def hook(name: str, moment: str) -> None:
            if (name, moment) == (call, when):
                os.kill(os.getpid(), signal.SIGKILL)

        with intercepted(hook):
            write_atomic(path, content(2))
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def race_for_lock(count: int) -> dict[str, int]:
    """Let two processes ask for one directory at the same time."""
    found = {"races": count, "one_winner": 0}
    for _ in range(count):
        with tempfile.TemporaryDirectory() as folder:
            start, go = os.pipe()
            done, leave = os.pipe()
            pids = [_racer(folder, start, go, done, leave) for _ in range(2)]
            os.close(go)  # the end of this pipe starts both
            codes = []
            for _ in range(2):
                pid, status = os.wait()
                codes.append(os.waitstatus_to_exitcode(status))
                if len(codes) == 1:
                    os.close(leave)  # the loser has ended: the winner may let go
            for descriptor in (start, done):
                os.close(descriptor)
            assert pid in pids
            found["one_winner"] += sorted(codes) == [0, 7]
    return found


def _racer(folder: str, start: int, go: int, done: int, leave: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    os.close(go)
    os.close(leave)
    os.read(start, 1)
    try:
        with lock_directory(folder):
            os.read(done, 1)
    except DirectoryInUseError:
        os._exit(7)
    os._exit(0)


def kill_lock_holder(count: int) -> dict[str, float]:
    """Kill a process that holds a directory; take the directory over."""
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(count):
            reader, writer = os.pipe()
            pid = os.fork()
            if not pid:
                with lock_directory(folder):
                    os.write(writer, b"!")
                    time.sleep(60)
            os.read(reader, 1)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            started = time.monotonic()
            with lock_directory(folder):
                slowest = max(slowest, time.monotonic() - started)
            os.close(reader)
            os.close(writer)
    return {"kills": count, "slowest": slowest}


def main() -> None:
    """Run one of the experiments and print its counts as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("experiment", choices=["random", "in_place", "points", "race", "holder"])
    parser.add_argument("--count", type=int, default=40)
    arguments = parser.parse_args()
    run: dict[str, Callable[[], dict[str, Any]]] = {
        "random": lambda: kill_at_random(arguments.count, in_place=False),
        "in_place": lambda: kill_at_random(arguments.count, in_place=True),
        "points": kill_at_points,
        "race": lambda: race_for_lock(arguments.count),
        "holder": lambda: kill_lock_holder(arguments.count),
    }
    sys.stdout.write(json.dumps(run[arguments.experiment]()))


if __name__ == "__main__":
    main()
