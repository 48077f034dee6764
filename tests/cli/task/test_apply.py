"""``predict``, ``evaluate``, ``inspect`` and a task's own verbs."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest


def test_prediction_is_csv_on_standard_output(command: Any, model: Path, tables: Path) -> None:
    ended = command("regress", "predict", tables / "test.csv", "--model", model)

    table = pl.read_csv(io.StringIO(ended.out))
    assert ended.code == 0
    assert ended.err == ""
    assert table.shape == (20, 1)


def test_standard_input_gives_the_same(
    command: Any, model: Path, tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (tables / "test.csv").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    piped = command("regress", "predict", "-", "--model", model)

    assert piped.out == command("regress", "predict", tables / "test.csv", "--model", model).out


def test_parquet_gives_the_same_as_csv(command: Any, model: Path, tables: Path) -> None:
    pl.read_csv(tables / "test.csv").write_parquet("test.parquet")

    ended = command("regress", "predict", "test.parquet", "--model", model / "model.safetensors")

    assert ended.out == command("regress", "predict", tables / "test.csv", "--model", model).out


def test_evaluation_is_for_reading(command: Any, model: Path, tables: Path) -> None:
    words = ("regress", "evaluate", tables / "test.csv", "--model", model, "--metrics", "mae,rmse")

    lines = command(*words).out.splitlines()
    rows = json.loads(command(*words, "--json").out)["rows"]

    assert lines[0].split() == ["metric", "value", "baseline", "skill"]
    assert [row["metric"] for row in rows] == ["mae", "rmse"]


def test_own_verb_takes_the_keywords_of_its_method(command: Any, model: Path, tables: Path) -> None:
    ended = command(
        *("regress", "rank", tables / "test.csv", "--model", model, "--top", 5),
        *("--levels", "1,3", "--json"),
    )

    assert [row["rank"] for row in json.loads(ended.out)["rows"]] == [1, 3]


def test_own_verb_without_a_model_says_so(command: Any, tables: Path) -> None:
    ended = command("regress", "rank", tables / "test.csv")

    assert ended.code == 2
    assert "--model" in ended.err


def test_parameter_beside_a_model_is_refused(command: Any, model: Path, tables: Path) -> None:
    ended = command("regress", "rank", tables / "test.csv", "--model", model, "--d-model", 8)

    assert ended.code == 2
    assert "--d-model" in ended.err


def test_inspection_fits_nothing(command: Any, tables: Path, tmp_path: Path) -> None:
    ended = command("regress", "inspect", tables / "train.csv", "--json")

    facts = {row["fact"]: row["value"] for row in json.loads(ended.out)["rows"]}
    assert facts["samples"] == "60"
    assert facts["features"] == "a, b"
    assert list(tmp_path.iterdir()) == []


def test_help_has_an_option_per_parameter_under_its_heading(command: Any, tables: Path) -> None:
    text = command("regress", "fit", "--help").out

    model, training = text.index("\nModel:"), text.index("\nTraining:")
    assert model < text.index("--d-model INT") < training < text.index("--learning-rate")
    assert "--anchor auto|zero|means|none" in text


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("predict", "nowhere.csv", "--model", "{model}"), 66, "there is no file nowhere.csv"),
        (("predict", "{test}", "--model", "nowhere"), 66, "nowhere"),
        (("predict", "{test}"), 2, "--model"),
        (("predict", "{test}", "--model", "{test}"), 65, "not a sound model file"),
        (("evaluate", "{test}", "--model", "{model}", "--metrics", "mea"), 2, "'mae'"),
        (("evaluate", "{test}", "--model", "{model}", "--metrcs", "mae"), 2, "--metrics"),
        (("fit", "{test}", "--dropout", "2"), 2, "must lie in"),
        (("fit", "{test}", "--dropout", "much"), 2, "FLOAT"),
        (("fit", "{test}", "--device", "cuda:9"), 69, "device"),
        (("fit", "{test}", "--backend", "warp"), 69, "warp"),
        (("fit", "{test}", "--config", "nowhere.yaml"), 66, "nowhere.yaml"),
        (("fit",), 2, "name the data"),
        (("fit", "{test}", "--eval", "nowhere.csv"), 66, "--eval"),
        (("predict", "{test}", "--model", "{model}", "-o", "a.xlsx"), 65, "suffix"),
        (("predict", "{test}", "--model", "{model}", "-o", "no/a.csv"), 74, "no/a.csv"),
        (("predict", "{test}", "--model", "{model}", "--frobnicate"), 2, "frobnicate"),
    ],
)
def test_wrong_use_is_one_line_with_its_code(
    words: tuple[str, ...], code: int, message: str, command: Any, model: Path, tables: Path
) -> None:
    places = {"model": model, "test": tables / "test.csv"}

    ended = command("-q", "regress", *(word.format(**places) for word in words))

    assert ended.code == code
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert ended.err.count("\n") == 1
