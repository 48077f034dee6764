"""Spaces: declared, from YAML, or given; stored and read back without loss."""

from pathlib import Path
from typing import Any

import optuna
import pytest

from seqmamba.errors import ConfigError
from seqmamba.params import Choice, IntRange, LogUniform, Uniform
from seqmamba.sweeps.space import Space, resolve_space
from seqmamba.sweeps.storages import open_storage

PRESET = """
task: forecast
metric: mae
sampler: random
trials: 7
space:
  x: {uniform: [-0.5, 0.5]}
  mode: {choice: [plain, shifted]}
fixed: {max_epochs: 1}
"""


def test_declared_ranges_are_taken(parabola: Any) -> None:
    space = resolve_space("auto", parabola, None)

    assert space.searches == {"x": Uniform(-1, 1), "mode": Choice("plain", "shifted")}


def test_preset_is_read(parabola: Any, tmp_path: Path) -> None:
    (tmp_path / "preset.yaml").write_text(PRESET)

    space = resolve_space(tmp_path / "preset.yaml", parabola, None)

    assert space.searches["x"] == Uniform(-0.5, 0.5)
    assert (space.sampler, space.metric, space.trials) == ("random", "mae", 7)
    assert space.fixed == {"max_epochs": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("space: {xx: {uniform: [0, 1]}}", "no parameter of Parabola 'xx'"),
        ("space: {x: {unifrom: [0, 1]}}", "Did you mean 'uniform'"),
        ("space: {x: {uniform: [1, 0]}}", "must rise"),
        ("space: {x: {log: [0, 1]}}", "be positive"),
        ("space: {x: {uniform: [low, high]}}", r"must be \[low, high\]"),
        ("space: {x: [0, 1]}", "must be one of choice, log"),
        ("space: {x: {choice: 3}}", "must be a list"),
        ("sampler: tpa", "no sampler 'tpa'"),
        ("pruner: best", "no pruner 'best'"),
        ("direction: down", "no direction 'down'"),
        ("trails: 3", "Did you mean 'trials'"),
        ("fixed: {y: 3}", "no parameter of Parabola 'y'"),
        ("- 1", "must hold the keys"),
        ("a: b: c", "not YAML"),
    ],
)
def test_wrong_preset_is_explained(text: str, message: str, parabola: Any, tmp_path: Path) -> None:
    (tmp_path / "preset.yaml").write_text(text)

    with pytest.raises(ConfigError, match=message):
        Space.read(tmp_path / "preset.yaml", parabola)


def test_drawn_values_survive_the_storage(tmp_path: Path) -> None:
    shapes = Choice((1, 2), (3,), None, 1, "1")
    space = Space({"shape": shapes, "n": IntRange(1, 4), "rate": LogUniform(1e-5, 1e-2)})
    study = optuna.create_study(storage=open_storage(f"journal:{tmp_path / 's.log'}"))

    drawn = []
    for _ in range(30):
        trial = study.ask()
        drawn.append(space.suggest(trial))
        study.tell(trial, 0.0)

    stored = [space.decode(trial.params) for trial in study.trials]
    assert [repr(params) for params in stored] == [repr(params) for params in drawn]
    assert len({repr(params["shape"]) for params in drawn}) == 5


def test_only_values_inside_the_range_are_queued() -> None:
    space = Space({"x": Uniform(0, 1), "n": IntRange(1, 3), "kind": Choice("a", (1, 2))})

    assert space.encode({"x": "auto", "n": 3, "kind": (1, 2)}) == {"n": 3, "kind": "[1, 2]"}


def test_grid_needs_choices() -> None:
    assert Space({"n": IntRange(1, 3), "k": Choice(True, None)}).grid() == {
        "n": [1, 2, 3],
        "k": [True, None],
    }
    with pytest.raises(ConfigError, match="continuous"):
        Space({"x": Uniform(0, 1)}).grid()


def test_fixed_parameters_leave_the_space(parabola: Any) -> None:
    assert list(Space.declared(parabola).without({"x": 1}).searches) == ["mode"]
