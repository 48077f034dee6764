"""Stamps are read in one form, or both readings are shown."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from seqmamba.errors import DataError
from seqmamba.frames import times

FIRST = datetime(2020, 2, 13)


def column(*values: Any) -> pl.DataFrame:
    return pl.DataFrame({"ds": pl.Series(values)})


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        (["2020-02-13", "2020-02-14"], FIRST),
        (["2020-2-13", "2020-11-1"], FIRST),
        (["2020/2/13 0:00", "2020/2/13 13:00"], FIRST),
        (["2020-02-13 00:00:00", "2020-02-13 01:00:00.25"], FIRST),
        (["2020-02-13T00:00", "2020-02-13T01:00"], FIRST),
        (["13.2.2020", "1.2.2020"], FIRST),
        (["2/13/2020 00:00", "1/2/2020 00:00"], FIRST),
        (["2020-02-13 00:00:00Z", "2020-02-13 01:00:00Z"], FIRST.replace(tzinfo=UTC)),
        (["2020-02-13T01:00:00+01:00", "2020-07-13T02:00:00+02:00"], FIRST.replace(tzinfo=UTC)),
        (["2020-02-13T01:00:00+0100", "2020-02-13T02:00:00+0100"], FIRST.replace(tzinfo=UTC)),
        (["2020-02-13 00:00:00 UTC", "2020-02-13 01:00:00 UTC"], FIRST.replace(tzinfo=UTC)),
        ([" 2020-02-13 ", "2020-02-14"], FIRST),
        (["1677-01-01", "0001-01-01", "9999-12-31"], datetime(1677, 1, 1)),
    ],
    ids=lambda part: part[0] if isinstance(part, list) else "",
)
def test_written_forms(stamps: list[str], expected: datetime) -> None:
    found = times(column(*stamps), "ds")

    assert found[0] == expected
    assert found.null_count() == 0


@pytest.mark.parametrize(
    ("stamps", "row", "message"),
    [
        (["2020-01-01", None], 2, "a time is missing"),
        (["2020-01-01", ""], 2, "a time is missing"),
        (["2020-01-01", "NA"], 2, "a time is missing"),
        ([None, None], 1, "a time is missing"),
        (["yesterday"], 1, "is not a time"),
        (["20-01-13"], 1, "year of four digits"),
        (["2020-01-01", "2020-02-30"], 2, "is not a date like '2020-01-01'"),
        (["2020-01-01", "2020-01-01 10:00"], 2, "another form than '2020-01-01'"),
        (["2020-01-01 10:00", "2020-01-01 10:00:01"], 2, "another form"),
        (["2020-01-01", "2020/01/02"], 2, "another form"),
        (["2020-01-01", "7"], 2, "another form"),
        (["1/2/2020"], 1, "may be day/month or month/day. Pass time_format"),
        (["13/1/2020", "1/13/2020"], 2, "mixes day and month"),
        (["2020-01-01 10:00Z", "2020-01-01 10:00"], 2, "mixes zones"),
        (["2020-01-01 10:00", "2020-01-01 10:00Z"], 2, "mixes zones"),
        (["2020-01-01 10:00+01:00", "2020-01-01 10:00-08:00"], 2, "mixes time zones"),
        ([f"2020-01-01 10:00+0{h}:00" for h in (1, 2, 3)], 3, "mixes time zones"),
        ([1.5, float("nan")], 2, "not a finite time"),
        ([1.5, float("inf")], 2, "not a finite time"),
    ],
    ids=str,
)
def test_what_has_no_single_meaning_is_refused(stamps: list[Any], row: int, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        times(column(*stamps), "ds")

    assert (caught.value.column, caught.value.where) == ("ds", f"row {row}")


@pytest.mark.parametrize(
    ("time_format", "expected"),
    [("%d/%m/%Y", datetime(2020, 2, 1)), ("%m/%d/%Y", datetime(2020, 1, 2))],
)
def test_the_user_settles_an_ambiguity(time_format: str, expected: datetime) -> None:
    assert times(column("1/2/2020"), "ds", time_format=time_format)[0] == expected


def test_a_given_form_must_fit() -> None:
    with pytest.raises(DataError, match=r"row 2: '3.4.2020' does not fit time_format='%d/%m/%Y'"):
        times(column("1/2/2020", "3.4.2020"), "ds", time_format="%d/%m/%Y")


def test_integers_count_steps_unless_a_form_is_given() -> None:
    assert times(column(3, 1), "ds").to_list() == [3, 1]
    assert times(column("3", "1"), "ds").to_list() == [3, 1]
    assert times(column(3.0, 1.0), "ds").to_list() == [3, 1]
    assert times(column(0.5, 1.5), "ds").to_list() == [0.5, 1.5]
    assert times(column(20200213), "ds", time_format="%Y%m%d")[0] == FIRST


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_stamps_keep_unit_and_zone(unit: Any, zone: str | None) -> None:
    frame = pl.DataFrame({"ds": pl.Series([0], dtype=pl.Datetime(unit, zone))})

    assert times(frame, "ds").equals(frame["ds"])


def test_dates_become_stamps() -> None:
    assert times(column(date(2020, 2, 13)), "ds")[0] == FIRST


def test_categories_are_read_as_text() -> None:
    frame = column("2020-02-13").with_columns(pl.col("ds").cast(pl.Categorical))

    assert times(frame, "ds")[0] == FIRST


def test_nanoseconds_are_kept() -> None:
    found = times(column("2020-02-13 00:00:00.123456789"), "ds")

    assert found.dtype == pl.Datetime("ns")
    assert found.dt.nanosecond()[0] == 123456789


@pytest.mark.parametrize("values", [[True], [[1]]], ids=["booleans", "lists"])
def test_other_types_are_no_times(values: list[Any]) -> None:
    with pytest.raises(DataError, match="not times"):
        times(column(*values), "ds")


def test_a_missing_column_is_named() -> None:
    with pytest.raises(DataError, match="no column 'time'"):
        times(column("2020-02-13"), "time")
