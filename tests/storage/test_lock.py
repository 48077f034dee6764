"""One writer per directory, and no lock outlives its holder."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqmamba.errors import CheckpointError, DirectoryInUseError
from seqmamba.storage import lock_directory

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
Experiment = Callable[..., dict[str, Any]]


@needs_fork
@pytest.mark.parametrize("count", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_a_race_has_exactly_one_winner(experiment: Experiment, count: int) -> None:
    assert experiment("race", count) == {"races": count, "one_winner": count}


@needs_fork
def test_a_killed_holder_frees_the_directory_at_once(experiment: Experiment) -> None:
    found = experiment("holder", 20)

    assert found["kills"] == 20
    assert found["slowest"] < 1.0


def test_the_message_names_the_holder(tmp_path: Path) -> None:
    with (
        lock_directory(tmp_path),
        pytest.raises(DirectoryInUseError, match=rf"process {os.getpid()} on .* since 20"),
        lock_directory(tmp_path),
    ):
        pass


def test_the_directory_is_made_and_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        with lock_directory(tmp_path / "runs" / "a") as folder:
            assert folder.is_dir()


def test_a_holder_that_has_not_signed_yet_is_unknown(tmp_path: Path) -> None:
    with lock_directory(tmp_path):
        (tmp_path / ".lock").write_bytes(b"")
        with (
            pytest.raises(DirectoryInUseError, match="process unknown on unknown"),
            lock_directory(tmp_path),
        ):
            pass


def test_a_file_in_the_way_is_a_writing_error(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()

    with pytest.raises(CheckpointError, match="cannot lock"), lock_directory(tmp_path / "runs"):
        pass
