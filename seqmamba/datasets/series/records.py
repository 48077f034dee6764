"""Rows of a long table as arrays, checked: no missing keys, no repeats, stamps on the grid."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.datasets.series.frequency import Frequency, Int64
from seqmamba.errors import DataError

__all__ = ["Duplicates", "Records"]

Duplicates = Literal["error", "first", "last", "mean"]


@dataclass(frozen=True)
class Records:
    """One row per series and time.

    Parameters
    ----------
    codes : (n,)
        Index into ``ids``.
    stamps : Series (n,)
        Integers, dates or date-times.
    values : (n, 1 + E) float64
        Target, then covariates; NaN = missing.
    ids : tuple of str
        Sorted.
    appearance : (len(ids),)
        Series in the order of the table.
    rows : (n,)
        Row of the user's table, from 0, for messages.
    """

    codes: Int64
    stamps: pl.Series
    values: NDArray[np.float64]
    ids: tuple[str, ...]
    appearance: Int64
    rows: Int64

    def grid(
        self, frequency: Frequency, duplicates: Duplicates, column: str
    ) -> tuple["Records", Int64, Int64]:
        """Sort by series and time, settle repeats; return records, ticks (n,), phase (ids,).

        Raises
        ------
        DataError
            A stamp lies off its series' grid, or rows repeat a key and ``duplicates="error"``.
        """
        integers = frequency.integers(self.stamps)
        day = frequency.anchor_days(integers, self.codes, len(self.ids))
        ticks, phases = frequency.ticks(integers, day)
        order = np.lexsort((ticks, self.codes))  # stable: repeats stay in the order of the table
        records, ticks, phases = self._take(order), ticks[order], phases[order]
        first = np.searchsorted(records.codes, np.arange(len(self.ids)))
        phase = phases[first]
        off = np.flatnonzero(phases != phase[records.codes])
        if len(off):
            raise DataError(records._off_grid(off, frequency), column=column)
        repeated = (np.diff(ticks) == 0) & (np.diff(records.codes) == 0)
        if repeated.any():
            if duplicates == "error":
                raise DataError(records._repeats(repeated, column), column=column)
            keep, values = _settle(repeated, records.values, duplicates)
            records, ticks = replace(records._take(keep), values=values), ticks[keep]
        return records, ticks, phase

    def _take(self, index: Int64) -> "Records":
        return replace(
            self,
            codes=self.codes[index],
            stamps=self.stamps[index],
            values=self.values[index],
            rows=self.rows[index],
        )

    def _off_grid(self, off: Int64, frequency: Frequency) -> str:
        name, stamp = self.ids[int(self.codes[off[0]])], self.stamps[int(off[0])]
        return (
            f"{len(off)} stamps lie off the grid of period {frequency.label}; first: "
            f"({name!r}, {stamp}), row {int(self.rows[off[0]]) + 1}. Series need equally spaced "
            "stamps; resample them, or pass the period as freq."
        )

    def _repeats(self, repeated: NDArray[np.bool_], column: str) -> str:
        where = np.flatnonzero(repeated)
        shown = ", ".join(
            f"({self.ids[int(self.codes[k])]!r}, {self.stamps[int(k)]}), rows "
            f"{int(self.rows[k]) + 1} and {int(self.rows[k + 1]) + 1}"
            for k in where[:5]
        )
        return (
            f"{len(where)} rows repeat the same (series, {column}); first: {shown}. Each series "
            "needs one row per time. Drop them or pass duplicates='last'."
        )


def _settle(
    repeated: NDArray[np.bool_], values: NDArray[np.float64], rule: Duplicates
) -> tuple[Int64, NDArray[Any]]:
    """Return the rows to keep and their values."""
    starts = np.flatnonzero(np.concatenate([[True], ~repeated]))
    if rule == "mean":
        seen = np.isfinite(values)
        total = np.add.reduceat(np.where(seen, values, 0.0), starts, axis=0)
        count = np.add.reduceat(seen.astype(np.float64), starts, axis=0)
        return starts, np.where(count > 0, total / np.maximum(count, 1), np.nan)
    ends = np.concatenate([starts[1:], [len(values)]]) - 1
    keep = starts if rule == "first" else ends
    return keep, values[keep]
