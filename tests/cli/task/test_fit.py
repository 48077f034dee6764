"""``fit``: what it writes, what it refuses, how it is interrupted."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

import seqmamba
from seqmamba.train.callbacks import Progress, State

QUICK = ("--d-model", "8", "--max-epochs", "2", "--learning-rate", "0.02", "--random-state", "0")
FILES = {"history.csv", "metrics.json", "model.safetensors", "recipe.yaml"}


def striking(number: int) -> Callable[[Progress, State], None]:
    """Return a progress bar's step that sends this process a signal after the third."""

    def on_step(self: Progress, state: State) -> None:
        if state.step == 3:
            os.kill(os.getpid(), number)

    return on_step


def test_run_folder_holds_model_history_metrics_and_recipe(model: Path) -> None:
    metrics = json.loads((model / "metrics.json").read_text())

    assert {path.name for path in model.iterdir()} - {".lock"} == FILES
    assert pl.read_csv(model / "history.csv").height == 2
    assert metrics["epochs"] == 2
    assert metrics["objective"] > 0


def test_recipe_of_a_run_repeats_its_bits(command: Any, model: Path, tables: Path) -> None:
    ended = command("-q", "regress", "fit", "--config", model / "recipe.yaml", "--out", "again")

    assert ended.code == 0
    first, second = (seqmamba.load(path) for path in (model, "again"))
    answers = [m.predict(str(tables / "test.csv")) for m in (first, second)]
    assert (answers[0] == answers[1]).all()


def test_options_come_before_the_recipe_before_the_defaults(
    command: Any, tables: Path, tmp_path: Path
) -> None:
    (tmp_path / "recipe.yaml").write_text(
        "params: {d_model: 16, dropout: 0.3}\ntrain: {max_epochs: 1}\n"
    )

    command(
        *("-q", "regress", "fit", tables / "train.csv", "--config", "recipe.yaml"),
        *("--d-model", 24, "--out", "run"),
    )

    params = yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())["params"]
    assert params["d_model"] == 24
    assert params["dropout"] == 0.3
    assert params["n_layers"] == 1


def test_run_is_not_overwritten_without_force(command: Any, tables: Path, model: Path) -> None:
    before = (model / "model.safetensors").read_bytes()

    refused = command("regress", "fit", tables / "train.csv", "--out", model, *QUICK)
    after = (model / "model.safetensors").read_bytes()

    assert refused.code == 2
    assert "--force" in refused.err
    assert after == before


def test_force_overwrites(command: Any, tables: Path) -> None:
    words = ("-q", "regress", "fit", tables / "train.csv", "--out", "run", *QUICK)
    command(*words)

    assert command(*words, "--force").code == 0


def test_second_writer_is_turned_away(command: Any, tables: Path, tmp_path: Path) -> None:
    from seqmamba.storage import lock_directory

    with lock_directory(tmp_path / "run"):
        ended = command("regress", "fit", tables / "train.csv", "--out", "run", *QUICK)

    assert ended.code == 74
    assert f"process {os.getpid()}" in ended.err


def test_dry_run_writes_and_trains_nothing(command: Any, tables: Path, tmp_path: Path) -> None:
    ended = command("regress", "fit", tables / "train.csv", "--dry-run", "--json", "--out", "run")

    facts = json.loads(ended.out)["facts"]
    assert ended.code == 0
    assert facts["channels"] == 2
    assert facts["parameters"] > 0
    assert not (tmp_path / "run").exists()


def test_baseline_alone_scores_as_the_anchor(command: Any, tables: Path) -> None:
    ended = command("-q", "regress", "fit", tables / "train.csv", "--baseline", "means", "--json")

    facts = json.loads(ended.out)["facts"]
    assert facts["anchor"] == "means"
    assert facts["objective"] == facts["anchor_scores"]["means"]
    assert facts["epochs"] == 0


def test_validation_part_can_be_a_file(command: Any, tables: Path) -> None:
    words = ("-q", "regress", "fit", tables / "train.csv", "--json", *QUICK)

    own = json.loads(command(*words).out)["facts"]
    given = json.loads(command(*words, "--eval", tables / "test.csv").out)["facts"]

    assert own["valid_loss"] != given["valid_loss"]


def test_progress_goes_to_standard_error(command: Any, tables: Path) -> None:
    ended = command("regress", "fit", tables / "train.csv", *QUICK)
    quiet = command("-q", "regress", "fit", tables / "train.csv", *QUICK)

    assert "epoch 2/2" in ended.err
    assert "epoch" not in ended.out.replace("best_epoch", "").replace("epochs", "")
    assert quiet.err == "seqmamba: the model was not kept; pass --out DIR to keep it\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_training_and_keeps_the_model(
    number: int, command: Any, tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Progress, "on_step", striking(number))

    ended = command(
        *("regress", "fit", tables / "train.csv", "--out", "run", *QUICK, "--max-epochs", 50),
        *("--checkpoint", "checkpoint.safetensors"),
    )

    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert ended.code == 128 + number
    assert metrics["interrupted_by_signal"] == number
    assert metrics["epochs"] < 3
    assert (tmp_path / "run" / "model.safetensors").exists()
    assert (tmp_path / "checkpoint.safetensors").exists()


def test_interrupted_run_goes_on_from_its_checkpoint(
    command: Any, tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("regress", "fit", tables / "train.csv", *QUICK, "--max-epochs", 4)
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "on_step", striking(signal.SIGINT))
        command(*words, "--checkpoint", "half.safetensors")

    resumed = command(*words, "--resume", "half.safetensors", "--json")
    straight = command(*words, "--json")

    figures = [json.loads(ended.out)["facts"] for ended in (resumed, straight)]
    assert figures[0]["objective"] == figures[1]["objective"]


@pytest.mark.parametrize("words", [("regress", "demo"), ("sweep", "regress", "{}/train.csv")])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_other_commands(
    number: int,
    words: tuple[str, ...],
    command: Any,
    tables: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Progress, "on_step", striking(number))

    ended = command("-v", *(word.format(tables) for word in words))

    assert ended.code == 128 + number
    assert ended.out == ""


def test_signal_outside_training_ends_at_once(
    command: Any, tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seqmamba_regress.data import SequenceSamples

    def read(source: Any, y: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(SequenceSamples, "read", read)

    ended = command("regress", "fit", tables / "train.csv", *QUICK)

    assert ended.code == 143
    assert "Traceback" not in ended.err


def test_demo_prints_the_score_beside_the_baseline(command: Any, third_party: Path) -> None:
    ended = command("-q", "regress", "demo", "--json")

    rows = {row["metric"]: row for row in json.loads(ended.out)["rows"]}
    assert rows["rmse"]["value"] < rows["rmse"]["baseline"]
