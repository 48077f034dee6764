"""Tables of any library come in, and answers go back in the same library."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from seqmamba.errors import DataError
from seqmamba.frames import Like, read, write

COLUMNS: dict[str, list[Any]] = {"unique_id": [1, 1, 2], "y": [1.5, 2.5, 3.5]}
MAKERS: dict[str, Any] = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "polars_lazy": pl.LazyFrame,
    "pyarrow": pa.table,
    "dict": dict,
}


@pytest.mark.parametrize("library", MAKERS)
def test_every_library_comes_in_and_goes_back(library: str) -> None:
    source = MAKERS[library](COLUMNS)

    frame, like = read(source, text_columns=["unique_id"])
    answer = write(frame.with_columns(forecast=pl.col("y") * 2), like)

    assert like.library == library
    assert frame["unique_id"].to_list() == ["1", "1", "2"]
    assert type(answer) is type(source)
    again, _ = read(answer)
    assert again.to_dict(as_series=False) == {**COLUMNS, "forecast": [3.0, 5.0, 7.0]}


@pytest.mark.parametrize("library", MAKERS)
def test_the_source_is_not_modified(library: str) -> None:
    source, untouched = MAKERS[library](COLUMNS), MAKERS[library](COLUMNS)

    frame, _ = read(source, text_columns=["unique_id"])
    frame[0, "y"] = -1.0

    assert read(source)[0].equals(read(untouched)[0])


def test_arrays_become_numbered_columns_and_go_back() -> None:
    array = np.arange(6.0).reshape(3, 2)

    frame, like = read(array)

    assert frame.to_dict(as_series=False) == {"x0": [0.0, 2.0, 4.0], "x1": [1.0, 3.0, 5.0]}
    assert np.array_equal(write(frame, like), array)


def test_structured_arrays_keep_their_names() -> None:
    array = np.array([(1, 0.5), (2, 1.5)], dtype=[("k", "i8"), ("y", "f8")])

    assert read(array)[0].to_dict(as_series=False) == {"k": [1, 2], "y": [0.5, 1.5]}


def test_types_of_pandas_survive() -> None:
    source = pd.DataFrame(
        {
            "category": pd.Categorical(["b", "a", None], categories=["c", "b", "a"], ordered=True),
            "count": pd.array([1, None, 3], dtype="Int64"),
            "small": pd.array([1, None, 3], dtype="UInt8"),
            "flag": pd.array([True, None, False], dtype="boolean"),
            "zoned": pd.date_range("2024-03-30", periods=3, tz="Europe/Berlin"),
            "naive": pd.date_range("2024-03-30", periods=3, unit="ns"),
            "span": pd.to_timedelta([1, 2, 3], unit="s"),
            "text": ["x", None, "y"],
            "float": [1.0, np.nan, 3.0],
        }
    )

    answer = write(*read(source))

    pd.testing.assert_frame_equal(answer, source)


def test_new_gaps_in_integers_do_not_make_floats() -> None:
    _, like = read(pd.DataFrame({"k": [1, 2]}))

    answer = write(pl.DataFrame({"k": [2**53 + 1, None], "flag": [True, None]}), like)

    assert answer["k"].dtype == "Int64"
    assert answer["k"][0] == 2**53 + 1
    assert answer["flag"].dtype == "boolean"


def test_an_answer_of_another_type_keeps_its_own() -> None:
    _, like = read(pd.DataFrame({"k": pd.array([1, None], dtype="Int64")}))

    answer = write(pl.DataFrame({"k": ["low", "high"]}), like)

    assert list(answer["k"]) == ["low", "high"]


def test_unknown_categories_stay_text() -> None:
    _, like = read(
        pd.DataFrame({"unique_id": pd.Categorical(["a", "b"])}), text_columns=["unique_id"]
    )

    known = write(pl.DataFrame({"unique_id": ["b"]}), like)
    unknown = write(pl.DataFrame({"unique_id": ["z"]}), like)

    assert known["unique_id"].dtype == "category"
    assert list(unknown["unique_id"]) == ["z"]


@pytest.mark.parametrize("other", ["new", "007", "1.0", "+3"])
def test_ids_that_are_no_integers_any_more_stay_text(other: str) -> None:
    _, like = read(pl.DataFrame({"unique_id": [1, 2]}), text_columns=["unique_id"])

    answer = write(pl.DataFrame({"unique_id": ["1", other]}), like)

    assert answer["unique_id"].to_list() == ["1", other]


def test_types_of_polars_and_arrow_survive() -> None:
    source = pl.DataFrame(
        {
            "category": pl.Series(["a", "b"], dtype=pl.Categorical),
            "level": pl.Series(["low", "high"], dtype=pl.Enum(["low", "high"])),
            "zoned": pl.Series([0, 1], dtype=pl.Datetime("ns", "Europe/Berlin")),
            "count": pl.Series([1, None], dtype=pl.Int16),
        }
    )

    assert write(*read(source)).schema == source.schema
    assert pl.DataFrame(write(*read(source.to_arrow()))).schema == source.schema


def test_whole_ids_that_gaps_made_floats_lose_their_point() -> None:
    frame, _ = read(
        {"unique_id": [1.0, 2.0, None], "part": [1.5, 2.0, 3.0]}, text_columns=["unique_id", "part"]
    )

    assert frame["unique_id"].to_list() == ["1", "2", None]
    assert frame["part"].to_list() == ["1.5", "2.0", "3.0"]


def test_named_index_levels_of_pandas_become_columns() -> None:
    index = pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["unique_id", "ds"])

    frame, _ = read(pd.DataFrame({"y": [0.5, 1.5]}, index=index))

    assert frame.columns == ["unique_id", "ds", "y"]
    assert read(pd.DataFrame({"y": [0.5]}, index=[7]))[0].columns == ["y"]


def test_column_labels_of_pandas_become_text() -> None:
    assert read(pd.DataFrame(np.zeros((2, 3))))[0].columns == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (3, "cannot read a int"),
        (["a.csv"], "cannot read a list"),
        (pl.Series([1]), "cannot read a Series"),
        (np.zeros((2, 2, 2)), r"array of shape \(2, 2, 2\)"),
        (np.array(3.0), r"array of shape \(\)"),
        (np.array([{}]), "type object is no table"),
        ({"a": [1, 2], "b": [1]}, "column 'b' has 1 values, 'a' has 2"),
        ({"a": [1, "x"]}, "column 'a' cannot be read.*one type"),
        (pd.DataFrame({"ok": [1, 2], "mixed": [1, "x"]}), "column 'mixed' cannot be read"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns are both named 'a'"),
        (pa.table([[1], [2]], names=["a", "a"]), "cannot be read"),
    ],
    ids=str,
)
def test_what_is_no_table_is_refused(source: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(source)


def test_a_like_without_a_source_gives_polars() -> None:
    assert isinstance(write(pl.DataFrame({"a": [1]}), Like()), pl.DataFrame)
