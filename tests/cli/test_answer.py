"""Answers become tables, CSV, JSON or aligned columns."""

import json
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from seqmamba.cli.answer import as_table, give, show

TABLE = pl.DataFrame({"unique_id": ["a", "=1+1"], "y": [1.5, float("nan")]})


@pytest.mark.parametrize(
    ("answer", "columns"),
    [
        (TABLE, ["unique_id", "y"]),
        (TABLE.lazy(), ["unique_id", "y"]),
        (pd.DataFrame({"y": [1.0]}), ["y"]),
        (np.zeros(3), ["y"]),
        (np.zeros((3, 2)), ["y0", "y1"]),
        ({"a": [1, 2], "b": [3, 4]}, ["a", "b"]),
        ({"a": 1, "b": "two"}, ["name", "value"]),
        ([{"a": 1}, {"a": 2, "b": None}, {"b": "late"}], ["a", "b"]),
        (0.25, ["value"]),
    ],
)
def test_every_kind_of_answer_is_a_table(answer: Any, columns: list[str]) -> None:
    assert as_table(answer).columns == columns


def test_csv_goes_to_standard_output_without_formulas(capsys: pytest.CaptureFixture[str]) -> None:
    give(TABLE, command="x predict")

    assert capsys.readouterr().out.splitlines() == ["unique_id,y", "a,1.5", "'=1+1,NaN"]


def test_json_has_a_schema_and_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    give(TABLE, command="x predict", as_json=True)

    answer = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert answer["schema"] == 1
    assert answer["command"] == "x predict"
    assert answer["rows"] == [{"unique_id": "a", "y": 1.5}, {"unique_id": "=1+1", "y": None}]


def test_facts_as_json_keep_their_types(capsys: pytest.CaptureFixture[str]) -> None:
    show({"epochs": 3, "best": 0.5, "by": {"a": None}}, command="x fit", as_json=True)

    answer = json.loads(capsys.readouterr().out)
    assert answer["facts"] == {"epochs": 3, "best": 0.5, "by": {"a": None}}


def test_shown_numbers_stand_right_and_empty_columns_go(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = pl.DataFrame({"metric": ["mae", "rmse"], "value": [0.123456, 10.0], "none": None})

    show(table, command="x evaluate")

    assert capsys.readouterr().out == "metric   value\nmae     0.1235\nrmse        10\n"


@pytest.mark.parametrize("suffix", ["csv", "parquet", "json"])
def test_suffix_names_the_format(suffix: str, tmp_path: Any) -> None:
    path = tmp_path / f"answer.{suffix}"

    give(TABLE.head(1), command="x predict", out=str(path))

    reader = getattr(pl, f"read_{suffix}")
    assert reader(path).to_dicts() == [{"unique_id": "a", "y": 1.5}]
