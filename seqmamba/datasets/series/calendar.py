"""Calendar features of time stamps, centred on zero.

Sources: forecasting specification, 3.1 (the table of features by period of the index).
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seqmamba.datasets.series.frequency import DAY_US, Frequency
from seqmamba.errors import ConfigError

__all__ = ["TimeFeatures", "calendar_features", "feature_names"]

TimeFeatures = Literal["paper", "auto", "none"]

_HOURLY = ("hour", "day_of_week", "day_of_month", "day_of_year")
_MINUTE_US, _HOUR_US = 60_000_000, 3_600_000_000


def feature_names(rule: TimeFeatures | None, frequency: Frequency) -> tuple[str, ...]:
    """Return which features a rule means for a period.

    Parameters
    ----------
    rule : {"paper", "auto", "none"} or None
        "paper" is the hourly set whatever the period (S-Mamba's released code); "auto" follows the
        period; "none" and None give no features.

    Raises
    ------
    ConfigError
        "paper" for integer time, which has no calendar.
    """
    if rule in ("none", None):
        return ()
    if frequency.kind == "integer":
        if rule == "paper":
            raise ConfigError(
                "time_features='paper' needs dates, but the time column holds integers; "
                "pass time_features='auto' or 'none'."
            )
        return ()
    return _HOURLY if rule == "paper" else _by_period(frequency)


def _by_period(frequency: Frequency) -> tuple[str, ...]:
    if frequency.kind == "month":
        return () if frequency.step % 12 == 0 else ("month",)
    if frequency.kind == "business":
        return _HOURLY[1:]
    step = frequency.step
    if step % (7 * DAY_US) == 0:
        return ("day_of_month", "week_of_year")
    if step % DAY_US == 0:
        return _HOURLY[1:]
    if step % _HOUR_US == 0:
        return _HOURLY
    if step % _MINUTE_US == 0:
        return ("minute", *_HOURLY)
    return ("second", "minute", *_HOURLY)


def calendar_features(wall_clock: NDArray[np.int64], names: tuple[str, ...]) -> NDArray[np.float32]:
    """Return the named features of microseconds on the wall clock: (n,) -> (n, M).

    ``hour / 23 - 0.5``, ``(day - 1) / 30 - 0.5`` and so on: each lies in [-0.5, 0.5].

    Examples
    --------
    >>> noon = np.array([12 * 3_600_000_000])
    >>> calendar_features(noon, ("hour",)).round(3).tolist()
    [[0.022]]
    """
    days, of_day = np.floor_divide(wall_clock, DAY_US), np.mod(wall_clock, DAY_US)
    out = np.empty((len(wall_clock), len(names)), np.float32)
    for k, name in enumerate(names):
        out[:, k] = _feature(name, days, of_day) - 0.5
    return out


def _feature(name: str, days: NDArray[np.int64], of_day: NDArray[np.int64]) -> NDArray[np.float64]:
    if name == "second":
        return of_day // 1_000_000 % 60 / 59
    if name == "minute":
        return of_day // _MINUTE_US % 60 / 59
    if name == "hour":
        return of_day // _HOUR_US / 23
    if name == "day_of_week":
        return (days + 3) % 7 / 6  # 1970-01-01 was a Thursday; Monday = 0
    if name == "day_of_month":
        return _since(days, "M") / 30
    if name == "day_of_year":
        return _since(days, "Y") / 365
    if name == "week_of_year":  # ISO: the week belongs to the year of its Thursday
        return _since(days - (days + 3) % 7 + 3, "Y") // 7 / 52
    assert name == "month"
    return days.astype("M8[D]").astype("M8[M]").astype(np.int64) % 12 / 11


def _since(days: NDArray[np.int64], unit: Literal["M", "Y"]) -> NDArray[np.int64]:
    """Return the days since the first of the month or year."""
    start = days.astype("M8[D]").astype(f"M8[{unit}]").astype("M8[D]").astype(np.int64)
    return days - start
