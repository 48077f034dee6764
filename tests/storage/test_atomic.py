"""A finished file survives kills and failing calls."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import pytest

from seqmamba.errors import CheckpointError
from seqmamba.storage import write_atomic

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
Experiment = Callable[..., dict[str, Any]]


@needs_fork
@pytest.mark.parametrize("count", [40, pytest.param(500, marks=pytest.mark.slow)])
def test_no_kill_corrupts_or_loses_a_finished_file(experiment: Experiment, count: int) -> None:
    found = experiment("random", count)

    assert found["effective"] >= 0.8 * count  # kills that come too early prove nothing
    assert (found["corrupt"], found["lost"], found["leftover"]) == (0, 0, 0)


@needs_fork
def test_the_killing_test_notices_writing_in_place(experiment: Experiment) -> None:
    assert experiment("in_place", 15)["corrupt"] > 0


@needs_fork
def test_no_kill_at_a_named_point_corrupts(experiment: Experiment) -> None:
    found = experiment("points")

    assert found == {"kills": 40, "corrupt": 0, "leftover": 0, "missed": 0}


@pytest.mark.parametrize("number", ["EIO", "ENOSPC", "EACCES", "EINTR"])
@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace", "unlink"])
@pytest.mark.parametrize("k", range(1, 11))
def test_a_failing_call_leaves_the_former_file(
    tmp_path: Path, faults: ModuleType, call: str, number: str, k: int
) -> None:
    path = tmp_path / "model.safetensors"
    code = getattr(errno, number)
    hook = _Failing(call, code, k)
    write_atomic(path, b"0")

    with faults.intercepted(hook, durable=False):
        outcomes = [(_errno_of_saving(path, str(n)), path.read_text()) for n in range(1, 12)]

    failed = [n for n, (number, _) in enumerate(outcomes, start=1) if number is not None]
    assert [outcomes[n - 1][0] for n in failed] == [code]
    assert outcomes[failed[0] - 1][1] in (str(failed[0] - 1), str(failed[0]))
    assert os.listdir(tmp_path) == [path.name]


def _errno_of_saving(path: Path, text: str) -> int | None:
    try:
        write_atomic(path, text.encode())
    except CheckpointError as error:
        return error.errno if str(path) in str(error) else -1
    return None


class _Failing:
    """Fail the k-th call; to make ``unlink`` be called at all, ``replace`` fails before it."""

    def __init__(self, call: str, code: int, k: int) -> None:
        self.call, self.code, self.left = call, code, k
        self.is_unlink = call == "unlink"

    def __call__(self, name: str, when: str) -> None:
        watched = "replace" if self.is_unlink else self.call
        if when == "before" and name.removesuffix("_directory") == watched:
            self.left -= 1
            if not self.left:
                raise OSError(self.code, os.strerror(self.code))
        if when == "before" and name == "unlink" and self.is_unlink:
            self.is_unlink = False  # the second try may pass
            raise OSError(self.code, os.strerror(self.code))


def test_an_exception_of_the_writer_leaves_nothing_behind(tmp_path: Path) -> None:
    def broken(file: BinaryIO) -> None:
        file.write(b"half")
        raise KeyError("weights")

    with pytest.raises(KeyError):
        write_atomic(tmp_path / "model.safetensors", broken)

    assert os.listdir(tmp_path) == []


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "model.safetensors"

    with pytest.raises(CheckpointError, match=r"absent/model.safetensors: No such file .*errno 2"):
        write_atomic(path, b"")


@pytest.mark.parametrize(
    ("name", "age_s", "stays"),
    [
        ("m.tmp-{dead}-{here}00000000", 0, False),
        ("m.tmp-{alive}-{here}00000000", 0, True),
        ("m.tmp-{alive}-{here}00000000", 4000, False),
        ("m.tmp-{dead}-ffffffff00000000", 0, True),  # perhaps alive on another host
        ("m.tmp-{dead}-ffffffff00000000", 4000, False),
        ("other.tmp-{dead}-{here}00000000", 4000, True),
        ("m.tmp-notes", 4000, True),
    ],
)
def test_only_leftovers_of_dead_writers_are_removed(
    tmp_path: Path, faults: ModuleType, name: str, age_s: int, stays: bool
) -> None:
    here = faults.atomic._host_tag()
    leftover = tmp_path / name.format(dead=2**22 + 1, alive=os.getpid(), here=here)
    leftover.touch()
    moment = leftover.stat().st_mtime - age_s
    os.utime(leftover, (moment, moment))

    write_atomic(tmp_path / "m", b"new")

    assert leftover.exists() == stays


def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    link = tmp_path / "last"
    link.symlink_to(tmp_path / "store" / "real")

    write_atomic(link, b"new")

    assert link.is_symlink()
    assert (tmp_path / "store" / "real").read_bytes() == b"new"
