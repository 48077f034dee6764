"""The period of a time grid: stamps to whole ticks and back, fixed and calendar periods alike."""

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.errors import ConfigError

__all__ = ["DAY_US", "Frequency"]

DAY_US = 86_400_000_000
_FIXED_US = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "sec": 1_000_000,
    "min": 60_000_000,
    "t": 60_000_000,
    "h": 3_600_000_000,
    "d": DAY_US,
    "w": 7 * DAY_US,
}
_MONTHS = {"mo": 1, "ms": 1, "me": 1, "m": 1, "q": 3, "qs": 3, "qe": 3, "y": 12, "ys": 12, "ye": 12}
_SPELLED = re.compile(r"(\d*)\s*([A-Za-z]+)(-[A-Za-z]+)?")

Int64 = NDArray[np.int64]
Kind = Literal["fixed", "month", "business", "integer"]


@dataclass(frozen=True)
class Frequency:
    """A period and its arithmetic.

    A stamp is an integer: microseconds since 1970 on the wall clock (fixed periods below a day:
    UTC), or the user's own integer. ``tick = stamp // period`` numbers the points of the grid; the
    *phase* is what is left over and must be the same for all stamps of a series.

    Parameters
    ----------
    kind : {"fixed", "month", "business", "integer"}
    step : int
        Microseconds, months, business days, or units of integer time.
    time_zone : str or None
        Of the stamps that the user gave.
    """

    kind: Kind
    step: int
    time_zone: str | None = None

    @classmethod
    def parse(cls, text: str | int, time_zone: str | None = None) -> "Frequency":
        """Read ``"h"``, ``"15min"``, ``"D"``, ``"W"``, ``"MS"``, ``"QE"``, ``"B"``, ``"1mo"``, 1.

        Raises
        ------
        ConfigError
            The text names no period.
        """
        if isinstance(text, int) or text.lstrip("-").isdigit():
            return cls("integer", max(int(text), 1))
        match = _SPELLED.fullmatch(text.strip())
        count, unit = (int(match[1] or 1), match[2]) if match else (0, "")
        lower = unit.lower()
        if unit in ("B", "bd") and count:
            return cls("business", count, time_zone)
        if (unit in ("M", "MS", "ME", "mo") or lower[:1] in ("q", "y")) and count:
            if lower in _MONTHS:
                return cls("month", count * _MONTHS[lower], time_zone)
        elif lower in _FIXED_US and count:
            return cls("fixed", count * _FIXED_US[lower], time_zone)
        raise ConfigError(
            f"freq must be a period such as 'h', '15min', 'D', 'W', 'MS', 'QS', 'YS', 'B', an "
            f"integer, or 'infer'; got {text!r}."
        )

    @property
    def is_local(self) -> bool:
        """True if ticks follow the wall clock (whole days and longer), not UTC."""
        return self.kind != "fixed" or self.step % DAY_US == 0

    @property
    def label(self) -> str:
        """The period in a form that :meth:`parse` reads."""
        if self.kind == "integer":
            return str(self.step)
        count, unit = self.step, {"month": "mo", "business": "B"}.get(self.kind, "us")
        if self.kind == "fixed":
            for name in ("ms", "s", "min", "h", "d"):
                if self.step % _FIXED_US[name] == 0:
                    count, unit = self.step // _FIXED_US[name], name
        elif self.kind == "month" and self.step % 12 == 0:
            count, unit = self.step // 12, "y"
        return unit if count == 1 else f"{count}{unit}"

    @property
    def season(self) -> int:
        """Ticks of the usual seasonal cycle; 1 = none known."""
        if self.kind == "integer":
            return 1
        if self.kind == "business":
            return 5
        if self.kind == "month":
            return max(12 // self.step, 1)
        cycle = DAY_US if self.step < DAY_US else 7 * DAY_US
        return max(cycle // self.step, 1) if cycle % self.step == 0 else 1

    # -- arithmetic ----------------------------------------------------------------------------

    def integers(self, stamps: pl.Series) -> Int64:
        """Return stamps as integers of this frequency's clock."""
        if self.kind == "integer":
            return _int64(stamps)
        if self.is_local and self.time_zone is not None:
            stamps = stamps.dt.replace_time_zone(None)
        physical = _int64(stamps.to_physical())
        if stamps.dtype == pl.Date:
            return physical * DAY_US
        unit = getattr(stamps.dtype, "time_unit", "us")
        return physical * 1_000 if unit == "ms" else physical // (1_000 if unit == "ns" else 1)

    def ticks(self, stamps: Int64, day: Int64 | None = None) -> tuple[Int64, Int64]:
        """Split integer stamps into ticks and phases.

        Parameters
        ----------
        stamps : (n,)
        day : (n,) or None
            Calendar months only: anchor day of each stamp's series, from :meth:`anchor_days`.
        """
        if self.kind in ("fixed", "integer"):
            return np.floor_divide(stamps, self.step), np.mod(stamps, self.step)
        days, of_day = np.floor_divide(stamps, DAY_US), np.mod(stamps, DAY_US)
        date = days.astype("M8[D]")
        if self.kind == "business":
            number = np.busday_count(np.datetime64("1970-01-01"), date).astype(np.int64)
            weekend = ~np.is_busday(date)
            return number // self.step, (weekend * 7 + number % self.step) * DAY_US + of_day
        month = date.astype("M8[M]").astype(np.int64)
        in_month = days - month.astype("M8[M]").astype("M8[D]").astype(np.int64) + 1
        anchor = in_month if day is None else day
        fits = in_month == np.minimum(anchor, _days_in_month(month))
        phase = (month % self.step) * 64 + np.where(fits, anchor, 32 + in_month)
        return month // self.step, phase * DAY_US + of_day

    def anchor_days(self, stamps: Int64, codes: Int64, n_series: int) -> Int64 | None:
        """Return the day of the month on which each stamp's series falls; 31 = the last day."""
        if self.kind != "month":
            return None
        days = np.floor_divide(stamps, DAY_US)
        month = days.astype("M8[D]").astype("M8[M]").astype(np.int64)
        in_month = days - month.astype("M8[M]").astype("M8[D]").astype(np.int64) + 1
        anchor = np.zeros(n_series, np.int64)
        np.maximum.at(anchor, codes, in_month)
        always_last = np.ones(n_series, bool)
        np.logical_and.at(always_last, codes, in_month == _days_in_month(month))
        return np.where(always_last, 31, anchor)[codes]

    def stamps(self, ticks: Int64, phase: Int64 | int) -> Int64:
        """Turn ticks and phases back into integer stamps."""
        if self.kind in ("fixed", "integer"):
            return ticks * self.step + phase
        rest, of_day = np.divmod(np.asarray(phase, np.int64), DAY_US)
        if self.kind == "business":
            first = np.datetime64("1970-01-01")
            date = np.busday_offset(first, ticks * self.step + rest % 7, roll="forward")
            return np.asarray(date.astype("M8[D]").astype(np.int64) * DAY_US + of_day)
        in_step, day = np.divmod(rest, 64)
        month = ticks * self.step + in_step
        start = month.astype("M8[M]").astype("M8[D]").astype(np.int64)
        return (start + np.minimum(day, _days_in_month(month)) - 1) * DAY_US + of_day

    def wall_clock(self, stamps: Int64) -> Int64:
        """Return integer stamps as microseconds of the local wall clock."""
        if self.time_zone is None or self.is_local:
            return stamps
        local = (
            pl.Series(stamps).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(self.time_zone)
        )
        return _int64(local.dt.replace_time_zone(None).to_physical())

    def series(self, stamps: Int64, dtype: Any) -> pl.Series:
        """Return integer stamps as a column of the user's own time type."""
        if self.kind == "integer":
            return pl.Series(stamps).cast(dtype)
        column = pl.Series(stamps).cast(pl.Datetime("us"))
        if self.time_zone is not None and self.is_local:
            column = column.dt.replace_time_zone(
                self.time_zone, ambiguous="earliest", non_existent="null"
            )
        elif self.time_zone is not None:
            column = column.dt.replace_time_zone("UTC").dt.convert_time_zone(self.time_zone)
        return column.cast(dtype)


def _int64(stamps: pl.Series) -> Int64:
    integers: Int64 = stamps.to_numpy().astype(np.int64, copy=False)
    return integers


def _days_in_month(month: Int64) -> Int64:
    first = month.astype("M8[M]").astype("M8[D]").astype(np.int64)
    return (month + 1).astype("M8[M]").astype("M8[D]").astype(np.int64) - first
