"""Finding the period of a table."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from seqmamba.datasets.series.frequency import Frequency
from seqmamba.datasets.series.infer import infer_frequency
from seqmamba.errors import DataError


def stamps(start: str, step: str, n: int = 20) -> pl.Series:
    first = pl.Series([start]).str.to_datetime()
    return pl.concat([first.dt.offset_by(f"{k * int(step[:-1] or 1)}{step[-1]}") for k in range(n)])


def infer(series: pl.Series, codes: Any = None, ids: tuple[str, ...] = ("a",)) -> Frequency:
    codes = np.zeros(len(series), np.int64) if codes is None else codes
    return infer_frequency(series, codes, ids, "ds")


@pytest.mark.parametrize(
    ("step", "label"), [("1h", "h"), ("15m", "15min"), ("1d", "d"), ("7d", "7d")]
)
def test_fixed_periods(step: str, label: str) -> None:
    assert infer(stamps("2024-01-01 00:00:00", step)).label == label


def test_months_and_quarters_are_no_fixed_number_of_days() -> None:
    months = pl.Series([f"2024-{m:02d}-01" for m in range(1, 13)]).str.to_datetime()

    assert infer(months).label == "mo"
    assert infer(months[::3]).label == "3mo"


def test_weekdays_are_business_days() -> None:
    days = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 2, 1), "1d", eager=True)

    assert infer(days.filter(days.dt.weekday() < 6)).kind == "business"
    assert infer(days).label == "d"


def test_one_gap_does_not_change_the_period() -> None:
    hours = stamps("2024-01-01 00:00:00", "1h")

    assert infer(hours.filter(pl.Series(range(20)) != 7)).label == "h"


def test_integers_have_a_step() -> None:
    assert infer(pl.Series([0, 5, 10, 20])).step == 5


def test_two_periods_are_refused_and_named() -> None:
    both = pl.concat([stamps("2024-01-01 00:00:00", "1h"), stamps("2024-01-01 00:00:00", "1d")])

    with pytest.raises(DataError, match=r"another period than h: 'daily' \(d\)"):
        infer(both, np.repeat([0, 1], 20), ("hourly", "daily"))


def test_single_stamps_have_no_period() -> None:
    with pytest.raises(DataError, match="Pass freq"):
        infer(stamps("2024-01-01 00:00:00", "1h", n=1))
