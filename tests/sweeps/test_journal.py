"""Journals: repaired on opening, and no trial of a dead worker stays running."""

import json
from pathlib import Path
from typing import Any

import pytest

from seqmamba.errors import DataError
from seqmamba.sweeps import storages, sweep
from seqmamba.sweeps.journal import drop_incomplete_line


def test_sweep_works_on_a_journal(parabola: Any, tmp_path: Path) -> None:
    place = f"journal:{tmp_path / 's.log'}"

    first = sweep(parabola, "data", trials=5, storage=place)
    second = sweep(parabola, "data", trials=8, storage=place)

    assert first.trials_.height == 5
    assert second.trials_.height == 8


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_incomplete_last_line_is_dropped_and_kept_aside(
    cut: int, parabola: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storages, "GRACE_S", 0.1)  # of the trial whose end is lost
    path = tmp_path / "s.log"
    sweep(parabola, "data", trials=5, storage=f"journal:{path}")
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])

    result = sweep(parabola, "data", trials=6, storage=f"journal:{path}")

    lines = whole[:-cut].splitlines(keepends=True)
    assert result.trials_.filter(result.trials_["state"] == "complete").height >= 4
    assert (tmp_path / "s.log.dropped").read_bytes() == lines[-1]
    assert all(json.loads(line) for line in path.read_bytes().splitlines())


def test_sound_journal_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.log"
    path.write_bytes(b'{"a":1}\n{"b":2}\n')

    assert not drop_incomplete_line(path)
    assert path.read_bytes() == b'{"a":1}\n{"b":2}\n'


def test_damaged_middle_is_explained(parabola: Any, tmp_path: Path) -> None:
    path = tmp_path / "s.log"
    sweep(parabola, "data", trials=4, storage=f"journal:{path}")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b"garbage\n", *lines[3:]]))

    with pytest.raises(DataError, match="seqmamba sweep recover"):
        sweep(parabola, "data", trials=5, storage=f"journal:{path}")
