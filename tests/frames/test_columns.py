"""Columns are present and numeric, or the message says where not."""

from typing import Any

import polars as pl
import pytest

from seqmamba.errors import DataError
from seqmamba.frames import numeric, require_columns


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, None, 3], [1.0, None, 3.0]),
        ([0.5, float("nan")], [0.5, None]),
        (["0.5", " 7 ", "NA", "nan", "", "1e3"], [0.5, 7.0, None, None, None, 1000.0]),
        ([True, None, False], [1.0, None, 0.0]),
        ([None, None], [None, None]),
        (["007"], [7.0]),
    ],
    ids=str,
)
def test_what_spells_a_number_is_one(values: list[Any], expected: list[float | None]) -> None:
    found = numeric(pl.DataFrame({"y": values}), "y")

    assert found.dtype == pl.Float64
    assert found.name == "y"
    assert found.to_list() == expected


def test_categories_may_spell_numbers() -> None:
    frame = pl.DataFrame({"y": pl.Series(["1", "2"], dtype=pl.Categorical)})

    assert numeric(frame, "y").to_list() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("value", "cure"),
    [
        ("x", "not a number. Mend it."),
        ("1,500", "Remove the thousand separator, or pass decimal_comma=True."),
        ("1,500,000.5", "Remove the separators."),
        ("1.500.000", "Remove the separators."),
        ("3,14", "Pass decimal_comma=True"),
        ("0x10", "Mend it"),
        ("1_000", "Mend it"),
    ],
)
def test_the_cure_fits_the_value(value: str, cure: str) -> None:
    with pytest.raises(DataError, match=cure) as caught:
        numeric(pl.DataFrame({"y": ["1", None, value]}), "y")

    assert (caught.value.column, caught.value.where, caught.value.value) == ("y", "row 3", value)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), "inf", "-Infinity", "1e999"])
def test_infinities_are_refused_or_gaps(value: float | str) -> None:
    frame = pl.DataFrame({"y": ["1", value] if isinstance(value, str) else [1.0, value]})

    with pytest.raises(DataError, match="infinite at row 2"):
        numeric(frame, "y")
    assert numeric(frame, "y", on_inf="null").to_list() == [1.0, None]


def test_other_types_are_no_numbers() -> None:
    frame = pl.DataFrame({"y": [0]}).with_columns(pl.col("y").cast(pl.Datetime))

    with pytest.raises(DataError, match=r"column 'y' holds Datetime.*not numbers"):
        numeric(frame, "y")


def test_a_missing_column_names_the_parameter_and_the_nearest() -> None:
    frame = pl.LazyFrame({"date": [1], "target": [1.0]})

    with pytest.raises(
        DataError,
        match=r"no column 'dates'\. Columns: 'date', 'target'\. .*'date'\? Pass time_col=",
    ) as caught:
        require_columns(frame, {"target": "target_col", "dates": "time_col"})

    assert caught.value.column == "dates"


def test_many_columns_are_not_all_listed() -> None:
    frame = pl.DataFrame({f"c{i}": [1] for i in range(30)})

    with pytest.raises(DataError, match="'c19' and 10 more"):
        require_columns(frame, ["y"])


def test_present_columns_pass() -> None:
    require_columns(pl.DataFrame({"a": [1], "b": [2]}), ["b", "a"])
