"""Periods: stamps to ticks and back."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from seqmamba.datasets.series.frequency import Frequency
from seqmamba.errors import ConfigError

SPELLINGS = {
    "h": ("fixed", 3_600_000_000),
    "15min": ("fixed", 900_000_000),
    "D": ("fixed", 86_400_000_000),
    "2W": ("fixed", 14 * 86_400_000_000),
    "MS": ("month", 1),
    "QE": ("month", 3),
    "YS": ("month", 12),
    "B": ("business", 1),
    "7": ("integer", 7),
}


@pytest.mark.parametrize("text", SPELLINGS)
def test_usual_spellings_are_read(text: str) -> None:
    frequency = Frequency.parse(text)

    assert (frequency.kind, frequency.step) == SPELLINGS[text]


@pytest.mark.parametrize("text", SPELLINGS)
def test_label_reads_back(text: str) -> None:
    frequency = Frequency.parse(text)

    assert Frequency.parse(frequency.label) == frequency


@pytest.mark.parametrize("text", ["", "fortnight", "0h", "h1", "0MS"])
def test_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="freq must be a period"):
        Frequency.parse(text)


@pytest.mark.parametrize(
    ("text", "season"),
    [("h", 24), ("15min", 96), ("D", 7), ("MS", 12), ("QS", 4), ("B", 5), ("1", 1), ("7min", 1)],
)
def test_season_is_the_usual_cycle(text: str, season: int) -> None:
    assert Frequency.parse(text).season == season


@pytest.mark.parametrize("day", [1, 15, 28])
def test_months_come_back_from_ticks(day: int) -> None:
    stamps = pl.Series([f"2020-{m:02d}-{day:02d}" for m in range(1, 13)]).str.to_datetime()
    frequency = Frequency.parse("MS")
    integers = frequency.integers(stamps)
    anchors = frequency.anchor_days(integers, np.zeros(12, np.int64), 1)

    ticks, phase = frequency.ticks(integers, anchors)

    assert (np.diff(ticks) == 1).all()
    assert (phase == phase[0]).all()
    assert (frequency.stamps(ticks, phase) == integers).all()


def test_month_ends_stay_month_ends() -> None:
    ends = ["2020-01-31", "2020-02-29", "2020-03-31", "2020-04-30"]
    stamps = pl.Series(ends).str.to_datetime()
    frequency = Frequency.parse("ME")
    integers = frequency.integers(stamps)
    anchors = frequency.anchor_days(integers, np.zeros(4, np.int64), 1)
    ticks, phase = frequency.ticks(integers, anchors)

    following = frequency.series(frequency.stamps(ticks[-1:] + 1, int(phase[0])), pl.Date)

    assert str(following[0]) == "2020-05-31"


def test_business_days_jump_the_weekend() -> None:
    friday = pl.Series(["2024-01-05"]).str.to_datetime()
    frequency = Frequency.parse("B")
    tick, phase = frequency.ticks(frequency.integers(friday))

    following = frequency.series(frequency.stamps(tick + 1, phase), pl.Date)

    assert str(following[0]) == "2024-01-08"


def test_a_saturday_is_off_the_business_grid() -> None:
    days = pl.Series(["2024-01-05", "2024-01-06"]).str.to_datetime()
    frequency = Frequency.parse("B")

    _, phase = frequency.ticks(frequency.integers(days))

    assert phase[0] != phase[1]


def test_daylight_saving_does_not_bend_an_hourly_grid() -> None:
    zone = "Europe/Berlin"
    start = pl.Series(["2024-10-26 22:00:00"]).str.to_datetime().dt.replace_time_zone("UTC")
    hours = pl.datetime_range(start[0], start.dt.offset_by("6h")[0], "1h", eager=True)
    local = hours.dt.convert_time_zone(zone)
    frequency = Frequency.parse("h", zone)

    ticks, phase = frequency.ticks(frequency.integers(local))

    assert (np.diff(ticks) == 1).all()
    back = frequency.series(frequency.stamps(ticks, int(phase[0])), local.dtype)
    assert back.to_list() == local.to_list()


def test_local_days_keep_midnight_over_a_clock_change() -> None:
    days = pl.Series(["2024-10-26", "2024-10-27", "2024-10-28"]).str.to_datetime()
    local = days.dt.replace_time_zone("Europe/Berlin")
    frequency = Frequency.parse("D", "Europe/Berlin")

    ticks, phase = frequency.ticks(frequency.integers(local))

    assert (np.diff(ticks) == 1).all()
    assert (phase == phase[0]).all()


def test_wall_clock_of_a_zone_is_local() -> None:
    frequency = Frequency.parse("h", "Europe/Berlin")
    noon_utc = np.array([12 * 3_600_000_000])  # 1970-01-01

    assert frequency.wall_clock(noon_utc)[0] == 13 * 3_600_000_000


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_time_units_mean_the_same(unit: Any) -> None:
    stamps = pl.Series(["2020-01-01 01:00:00"]).str.to_datetime().cast(pl.Datetime(unit))

    assert Frequency.parse("h").integers(stamps)[0] == 1_577_840_400_000_000
