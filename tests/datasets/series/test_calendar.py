"""Calendar features."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from seqmamba.datasets.series.calendar import calendar_features, feature_names
from seqmamba.datasets.series.frequency import Frequency
from seqmamba.errors import ConfigError

PAPER = ("hour", "day_of_week", "day_of_month", "day_of_year")
ALL = ("second", "minute", *PAPER, "week_of_year", "month")


def microseconds(*texts: str) -> Any:
    return pl.Series(texts).str.to_datetime().to_physical().to_numpy()


def test_the_papers_features_follow_their_formulas() -> None:
    # forecasting specification, 3.1: Friday 2016-07-01 05:00, day 183 of a leap year
    found = calendar_features(microseconds("2016-07-01 05:00:00"), PAPER)[0]

    expected = [5 / 23 - 0.5, 4 / 6 - 0.5, -0.5, 182 / 365 - 0.5]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_polars_agrees_on_every_field() -> None:
    stamps = pl.datetime_range(
        pl.datetime(1999, 12, 25), pl.datetime(2001, 1, 15), "7h11m13s", eager=True
    )
    found = calendar_features(stamps.to_physical().to_numpy(), ALL)

    fields = stamps.dt
    expected = np.stack(
        [
            fields.second() / 59,
            fields.minute() / 59,
            fields.hour() / 23,
            (fields.weekday() - 1) / 6,
            (fields.day() - 1) / 30,
            (fields.ordinal_day() - 1) / 365,
            (fields.week() - 1) / 52,
            (fields.month() - 1) / 11,
        ],
        axis=1,
    )
    np.testing.assert_allclose(found, expected - 0.5, atol=1e-6)


@pytest.mark.parametrize(
    ("period", "count"),
    [
        ("s", 6),
        ("15min", 5),
        ("h", 4),
        ("D", 3),
        ("B", 3),
        ("W", 2),
        ("MS", 1),
        ("QS", 1),
        ("YS", 0),
    ],
)
def test_auto_picks_by_the_period(period: str, count: int) -> None:
    assert len(feature_names("auto", Frequency.parse(period))) == count


def test_the_papers_set_ignores_the_period() -> None:
    assert feature_names("paper", Frequency.parse("15min")) == PAPER


@pytest.mark.parametrize("rule", [None, "none"])
def test_no_features_on_request(rule: Any) -> None:
    assert feature_names(rule, Frequency.parse("h")) == ()


def test_integer_time_has_no_calendar() -> None:
    assert feature_names("auto", Frequency("integer", 1)) == ()
    with pytest.raises(ConfigError, match="needs dates"):
        feature_names("paper", Frequency("integer", 1))
