"""``seqmamba sweep``: a study from the shell."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

WORDS = ("--max-epochs", "2", "--learning-rate", "0.02", "--trials", "5")


@pytest.fixture(scope="module")
def study(tables: Path) -> Path:
    """Return the folder of a finished sweep."""
    from seqmamba.cli.main import run

    out = tables / "study"
    words = ("-q", "sweep", "regress", tables / "train.csv", *WORDS, "--out", out)
    storage = ("--storage", tables / "study.db", "--test", tables / "test.csv")
    assert run([str(word) for word in (*words, *storage)]) == 0
    return out


def test_sweep_leaves_table_recipe_model_and_page(study: Path) -> None:
    names = {path.name for path in study.iterdir()}

    assert names == {"trials", "trials.csv", "best.yaml", "model.safetensors", "study.html"}
    assert pl.read_csv(study / "trials.csv").height == 5


def test_winner_predicts(command: Any, study: Path, tables: Path) -> None:
    ended = command("regress", "predict", tables / "test.csv", "--model", study)

    assert len(ended.out.splitlines()) == 21


def test_best_recipe_fits(command: Any, study: Path, tables: Path) -> None:
    ended = command("-q", "regress", "fit", tables / "train.csv", "--config", study / "best.yaml")

    assert ended.code == 0


def test_given_parameters_are_fixed(study: Path) -> None:
    blocks = yaml.safe_load((study / "best.yaml").read_text())

    assert blocks["train"]["max_epochs"] in (0, 2)
    assert blocks["train"]["learning_rate"] == 0.02


def test_same_command_again_adds_nothing(command: Any, study: Path, tables: Path) -> None:
    words = ("sweep", "regress", tables / "train.csv", *WORDS, "--storage", tables / "study.db")

    ended = command(*words, "--json")

    assert ended.code == 0
    assert len(json.loads(ended.out)["rows"]) == 5
    assert "trial" not in ended.err


def test_recovered_study_holds_the_trials(command: Any, study: Path, tables: Path) -> None:
    ended = command("sweep", "recover", study, "--storage", "new.db")
    again = command(
        *("sweep", "regress", tables / "train.csv", *WORDS, "--storage", "new.db", "--json")
    )

    assert ended.code == 0
    assert "5 trials" in ended.err
    assert len(json.loads(again.out)["rows"]) == 5


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("sweep", "regress", "nowhere.csv"), 66, "nowhere.csv"),
        (("sweep", "regres", "{train}"), 2, "Did you mean 'regress'"),
        (("sweep", "regress", "{train}", "--trials", "0"), 2, "--trials"),
        (("sweep", "regress", "{train}", "--jobs", "2"), 2, "storage"),
        (("sweep", "regress", "{train}", "--space", "nowhere.yaml"), 66, "nowhere.yaml"),
        (("sweep", "regress", "{train}", "--metric", "r2"), 2, "eval_set"),
        (("sweep", "regress", "{train}", "--storage", "{train}"), 65, "not a sound database"),
        (("sweep", "regress", "{train}", "--storage", "redis://h:1"), 69, "pip install redis"),
        (("sweep", "recover", "nowhere", "--storage", "new.db"), 65, "no results"),
    ],
)
def test_wrong_use_is_one_line_with_its_code(
    words: tuple[str, ...], code: int, message: str, command: Any, tables: Path
) -> None:
    ended = command(*(word.format(train=tables / "train.csv") for word in words))

    assert ended.code == code
    assert message in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.slow
def test_two_processes_share_the_trials(command: Any, tables: Path) -> None:
    ended = command(
        *("-q", "sweep", "regress", tables / "train.csv", "--max-epochs", 2, "--trials", 8),
        *("--jobs", 2, "--storage", "both.db", "--out", "both", "--json"),
    )

    rows = json.loads(ended.out)["rows"]
    assert ended.code == 0
    assert [row["number"] for row in rows[:8]] == list(range(8))
    assert len(rows) <= 9  # two workers may both start what is the last trial
    assert [row["kind"] for row in rows].count("default") == 1
