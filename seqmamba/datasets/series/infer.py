"""Find the period of a table's time stamps."""

import numpy as np
import polars as pl

from seqmamba.datasets.series.frequency import DAY_US, Frequency, Int64, Kind
from seqmamba.errors import DataError

__all__ = ["infer_frequency"]

_CALENDAR_DAYS = ((28, 31, 1), (89, 92, 3), (181, 184, 6), (365, 366, 12))  # from, to, months


def infer_frequency(
    stamps: pl.Series, codes: Int64, ids: tuple[str, ...], column: str
) -> Frequency:
    """Return the period that most neighbouring stamps keep, the same for all series.

    Parameters
    ----------
    stamps : Series (n,) of integers, dates or date-times
    codes : (n,)
        Series of each stamp, an index into ``ids``.
    column : str
        Name of the time column, for messages.

    Raises
    ------
    DataError
        No series has two stamps, or series have different periods (the first are named).
    """
    zone = getattr(stamps.dtype, "time_zone", None)
    is_integer = stamps.dtype.is_integer()
    clock = Frequency("integer", 1) if is_integer else Frequency("month", 1, zone)
    values = clock.integers(stamps)
    order = np.lexsort((values, codes))
    values, codes = values[order], codes[order]
    step = np.diff(values)
    keep = (step > 0) & (np.diff(codes) == 0)
    if not keep.any():
        raise DataError(
            f"the period cannot be inferred: no series has two different stamps in {column!r}. "
            "Pass freq, for example freq='h'.",
            column=column,
        )
    owner, step = codes[1:][keep], step[keep]
    if not is_integer and zone is not None:  # a change of the clock is no change of the period
        utc = Frequency("fixed", 1, zone).integers(stamps)[order]
        sub_daily = np.diff(utc)[keep]
        step = np.where(sub_daily < 20 * 3_600_000_000, sub_daily, step)
    series, period, counts = _usual_period(owner, step)
    kinds = [_name(int(p), is_integer, values) for p in period]
    first = kinds[int(counts.argmax())]
    others = [(ids[int(s)], k) for s, k in zip(series, kinds, strict=True) if k != first]
    if others:
        raise DataError(_mixed(first, others, len(series), zone), column=column, where=others[0][0])
    return Frequency(first[0], first[1], zone)


def _usual_period(owner: Int64, step: Int64) -> tuple[Int64, Int64, Int64]:
    """Return the series that have a period, their most frequent differences and the counts."""
    pairs, counts = np.unique(np.stack([owner, step], 1), axis=0, return_counts=True)
    best = np.lexsort((pairs[:, 1], -counts, pairs[:, 0]))  # most frequent, then shortest, first
    series, first = np.unique(pairs[best, 0], return_index=True)
    return series, pairs[best, 1][first], counts[best][first]


def _name(period: int, is_integer: bool, values: Int64) -> tuple[Kind, int]:
    if is_integer:
        return "integer", period
    for low, high, months in _CALENDAR_DAYS:
        if low * DAY_US <= period <= high * DAY_US:
            return "month", months
    if period == DAY_US:
        days = np.unique(np.floor_divide(values, DAY_US))
        only_weekdays = bool(np.is_busday(days.astype("M8[D]")).all())
        if only_weekdays and days[-1] - days[0] >= 4 and 3 in np.diff(days):
            return "business", 1
    return "fixed", period


def _mixed(
    first: tuple[Kind, int], others: list[tuple[str, tuple[Kind, int]]], n: int, zone: str | None
) -> str:
    shown = ", ".join(f"{name!r} ({Frequency(*kind, zone).label})" for name, kind in others[:5])
    return (
        f"{len(others)} of {n} series have another period than {Frequency(*first, zone).label}: "
        f"{shown}. All series need one period; resample them or fit them apart."
    )
