"""``seqmamba bench``: measurements become commands by their signatures."""

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from seqmamba import storage


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, third_party: Path) -> types.ModuleType:
    """Give the task ``regress`` a benchmark module."""

    def run_recipe(recipe: Any, data_dir: str | None, seeds: int) -> list[dict[str, Any]]:
        rows = {"model": ["ours", "paper"], "rmse": [recipe["params"]["d_model"], seeds]}
        return rows  # type: ignore[return-value]  # a table of columns

    def measure(*, size: int = 3, kinds: tuple[str, ...] = ("a",)) -> dict[str, list[Any]]:
        """Measure nothing."""
        return {"kind": list(kinds), "size": [size] * len(kinds)}

    import seqmamba_regress

    module = types.ModuleType("seqmamba_regress.benchmark")
    vars(module).update(run_recipe=run_recipe, bench=measure, __spec__=object())
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(seqmamba_regress, "benchmark", module, raising=False)
    return module


def test_recipe_is_run_by_the_task(command: Any, benchmark: Any, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("task: regress\nparams: {d_model: 12}\n")

    rows = json.loads(command("bench", "recipe", "own.yaml", "--seeds", 2, "--json").out)["rows"]

    assert rows == [{"model": "ours", "rmse": 12}, {"model": "paper", "rmse": 2}]


def test_keywords_of_a_measurement_are_options(command: Any, benchmark: Any) -> None:
    ended = command("bench", "regress", "--size", 5, "--kinds", "a,b", "--json")

    assert json.loads(ended.out)["rows"] == [{"kind": "a", "size": 5}, {"kind": "b", "size": 5}]


def test_task_without_measurements_says_so(command: Any, third_party: Path) -> None:
    ended = command("bench", "regress")

    assert ended.code == 2
    assert "bench recipe" in ended.err


def test_unknown_recipe_gets_the_nearest(command: Any) -> None:
    folder = storage.share("tasks", "")
    known = sorted(str(p.relative_to(folder).with_suffix("")) for p in folder.glob("*/*.yaml"))
    if not known:
        pytest.skip("no recipes are shipped")

    ended = command("bench", "recipe", f"{known[0]}x")

    assert ended.code == 2
    assert known[0] in ended.err


def test_file_that_is_no_recipe_is_refused(command: Any, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("params: {}\n")

    assert command("bench", "recipe", "own.yaml").code == 2
