"""Tables to panels."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmamba.datasets.series.columns import Columns
from seqmamba.datasets.series.panel import Panel
from seqmamba.datasets.series.read import ReadOptions, read_panel
from seqmamba.errors import DataError

HOURS = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 1, 5), "1h", eager=True)


def wide(**columns: Any) -> pl.DataFrame:
    return pl.DataFrame({"ds": HOURS, **columns})


def long(table: pl.DataFrame) -> pl.DataFrame:
    return table.unpivot(index="ds", variable_name="unique_id", value_name="y")


def read(frame: pl.DataFrame, columns: Columns | None = None, **options: Any) -> Panel:
    return read_panel(frame, columns or Columns(), ReadOptions(**options))[0]


TABLE = wide(b=np.arange(6.0), a=np.arange(6.0) ** 2)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(12)))
def test_any_order_of_rows_gives_the_same_panel(order: Any) -> None:
    expected, found = read(TABLE), read(long(TABLE)[list(order)])

    np.testing.assert_array_equal(found.values, expected.values)
    assert found.ids == expected.ids == ("a", "b")


@pytest.mark.parametrize("grouping", ["all", "each"])
def test_long_and_wide_tables_are_the_same(grouping: str) -> None:
    one, two = read(TABLE, grouping=grouping), read(long(TABLE), grouping=grouping)

    np.testing.assert_array_equal(one.values, two.values)
    np.testing.assert_array_equal(one.targets, two.targets)
    np.testing.assert_array_equal(one.appearance, two.appearance)


def test_columns_stand_in_the_order_of_their_names_and_the_answer_in_the_users() -> None:
    panel = read(TABLE)

    assert panel.ids == ("a", "b")
    assert panel.appearance.tolist() == [1, 0]


def test_a_column_forms_groups() -> None:
    table = long(wide(a=np.ones(6), b=np.ones(6), c=np.ones(6)))
    plant = pl.Series("plant", ["x"] * 6 + ["y"] * 6 + ["x"] * 6)

    panel = read(table.with_columns(plant), Columns(group="plant"), grouping="column")

    assert panel.targets.tolist() == [[0, 2], [1, -1]]
    assert panel.is_ragged


def test_a_missing_stamp_becomes_an_empty_row() -> None:
    panel = read(TABLE.filter(pl.col("a") != 4), grouping="all")

    assert np.isnan(panel.values[2]).all()
    assert len(panel.values) == 6


def test_missing_stamps_can_be_refused() -> None:
    with pytest.raises(DataError, match=r"1 stamps are missing.*'a', 2024-01-01 02:00:00"):
        read(long(TABLE).filter((pl.col("unique_id") != "a") | (pl.col("y") != 4)), gaps="error")


def test_repeated_rows_are_named() -> None:
    with pytest.raises(
        DataError, match=r"1 rows repeat.*\('b', 2024-01-01 00:00:00\), rows 1 and 13"
    ):
        read(pl.concat([long(TABLE), long(TABLE)[:1]]))


@pytest.mark.parametrize(("rule", "kept"), [("first", 0.0), ("last", 8.0), ("mean", 4.0)])
def test_repeated_rows_can_be_settled(rule: Any, kept: float) -> None:
    again = long(TABLE)[:1].with_columns(y=pl.lit(8.0))

    panel = read(pl.concat([long(TABLE), again]), duplicates=rule)

    assert panel.values[0, 1] == kept


def test_sparse_series_are_read_each_by_itself() -> None:
    half = long(TABLE).filter((pl.col("unique_id") == "a") | (pl.col("ds") < HOURS[3]))

    assert read(half).grouping == "each"
    assert read(long(TABLE)).grouping == "all"


def test_covariates_that_agree_take_one_column() -> None:
    table = long(TABLE).with_columns(heat=pl.col("ds").dt.hour(), own=pl.col("y") * 2)

    shared = read(table, Columns(hist=("heat",)))
    single = read(table, Columns(hist=("own",)))

    assert shared.values.shape[1] == 3
    assert single.values.shape[1] == 4
    assert (shared.shared, single.shared) == ((True, True), (False, True))


def test_sentinels_are_missing_only_on_request() -> None:
    table = wide(a=[1.0, -9999.0, 3, 4, 5, 6])

    assert read(table).values[1, 0] == -9999
    assert np.isnan(read(table, na_values=(-9999.0,), grouping="all").values[1, 0])


def test_a_table_without_time_counts_rows() -> None:
    panel = read(pl.DataFrame({"x": [1.0, 2, 3]}))

    assert panel.frequency.kind == "integer"
    assert panel.column(np.zeros(1, np.int64), np.array([3])).to_list() == [3]


def test_a_single_series_needs_no_id() -> None:
    panel = read(pl.DataFrame({"ds": HOURS, "y": np.arange(6.0), "note": ["x"] * 6}))

    assert panel.ids == ("y",)


FAULTS = {
    "no rows": (TABLE[:0], "no rows"),
    "no column": (pl.DataFrame({"unique_id": ["a"], "time": [1], "y": [1.0]}), "no column 'ds'"),
    "nearest name": (pl.DataFrame({"unique_id": ["a"], "d": [1], "y": [1.0]}), "no column 'ds'"),
    "no target": (pl.DataFrame({"unique_id": ["a"], "ds": [1], "v": [1.0]}), "no column 'y'"),
    "infinite": (wide(a=[1.0, np.inf, 3, 4, 5, 6]), "'a' holds 1 infinite values; first: row 2"),
    "text": (
        wide(a=["1", "2", "x", "4", "5", "6"]),
        r"'a' is not a number at row 3|'a'.*row 3.*'x'|'a'.*'x'.*row 3",
    ),
    "no series": (wide(name=["u"] * 6), "no numeric columns"),
    "null id": (
        pl.DataFrame({"unique_id": ["a", None], "ds": [0, 1], "y": [1.0, 2.0]}),
        "1 rows have no series name",
    ),
    "null time": (
        pl.DataFrame({"unique_id": ["a", "a"], "ds": [0, None], "y": [1.0, 2.0]}),
        "time is missing",
    ),
    "off the grid": (
        pl.DataFrame({"unique_id": ["a"] * 4, "ds": [0, 2, 4, 7], "y": [1.0] * 4}),
        r"off the grid of period 2; first: \('a', 7\), row 4",
    ),
    "far stamp": (
        pl.DataFrame({"unique_id": ["a"] * 4, "ds": [0, 1, 2, 10**9], "y": [1.0] * 4}),
        "time grid would need",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(fault: str) -> None:
    table, message = FAULTS[fault]

    with pytest.raises(DataError, match=message):
        read(table)


def test_integer_time_in_the_place_of_dates_is_refused() -> None:
    frequency = read(TABLE).frequency

    with pytest.raises(DataError, match="holds integers, but the period is 'h'"):
        read(pl.DataFrame({"ds": [1, 2], "a": [1.0, 2.0]}), frequency=frequency)


def test_another_time_zone_is_refused() -> None:
    frequency = read(TABLE).frequency
    there = TABLE.with_columns(pl.col("ds").dt.replace_time_zone("Europe/Berlin"))

    with pytest.raises(DataError, match="time zone Europe/Berlin, expected None"):
        read(there, frequency=frequency)


def test_a_series_lies_in_one_group() -> None:
    table = long(TABLE).with_columns(plant=pl.Series(["x"] * 5 + ["y"] * 7))

    with pytest.raises(DataError, match="series 'b' lies in two groups"):
        read(table, Columns(group="plant"), grouping="column")


@pytest.mark.parametrize("grouping", ["all", "each"])
def test_a_single_row_is_named_by_the_column_of_the_file(grouping: str) -> None:
    with pytest.raises(DataError, match="no series has two different stamps in 'date'"):
        read(TABLE[:1].rename({"ds": "date"}), grouping=grouping)
