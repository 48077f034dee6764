"""Many series on regular grids as one array: groups below each other, series side by side."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.datasets.series.frequency import Frequency, Int64

__all__ = ["Panel"]


@dataclass(frozen=True)
class Panel:
    """Series in groups; a group is one multivariate problem on its own grid without holes.

    The rows of group g are ``values[offsets[g]:offsets[g + 1]]``; its first row stands at
    ``first_tick[g]``. Columns are the group's targets (padded with NaN columns to the widest
    group), then the historical covariates.

    Parameters
    ----------
    values : (R, C) float64 or float32
        NaN = missing.
    offsets : (G + 1,)
    first_tick, phase : (G,)
        Place of the first row in time; see :class:`Frequency`.
    targets : (G, N)
        Index into ``ids`` of each target column, -1 for padding.
    ids : tuple of str
        All series, sorted: the order in which the network reads them.
    appearance : (len(ids),)
        Series in the order of the user's table.
    names : tuple of str
        Historical covariates, in the order of the columns behind the targets.
    future_names : tuple of str
        Covariates that are known ahead, in the order of ``future``.
    shared : (bool, bool)
        Whether a covariate has one column for all series of a group or one for each: historical
        ones, those known ahead.
    future : (R, F) or None
        Covariates that are known ahead.
    grouping : {"all", "each", "column"}
        How the groups were made.
    """

    values: NDArray[Any]
    offsets: Int64
    first_tick: Int64
    phase: Int64
    targets: Int64
    ids: tuple[str, ...]
    frequency: Frequency
    time_dtype: Any
    appearance: Int64
    names: tuple[str, ...] = ()
    future_names: tuple[str, ...] = ()
    shared: tuple[bool, bool] = (True, True)
    future: NDArray[Any] | None = None
    grouping: Literal["all", "each", "column"] = "all"

    @property
    def n_groups(self) -> int:
        """Number of groups G."""
        return len(self.first_tick)

    @property
    def n_targets(self) -> int:
        """Target columns N of the widest group."""
        return int(self.targets.shape[1])

    @property
    def lengths(self) -> Int64:
        """Rows of each group: (G,)."""
        return np.diff(self.offsets)

    @property
    def is_ragged(self) -> bool:
        """True if some group has fewer series than the widest."""
        return bool((self.targets < 0).any())

    def stamps(self, group: Int64, row: Int64) -> Int64:
        """Return the integer stamps of rows counted from each group's first: (n,)."""
        return self.frequency.stamps(self.first_tick[group] + row, self.phase[group])

    def column(self, group: Int64, row: Int64) -> pl.Series:
        """Return the same stamps in the user's time type."""
        return self.frequency.series(self.stamps(group, row), self.time_dtype)

    def chunks(self, rows: int = 2_000_000) -> Iterator[tuple[slice, "Panel"]]:
        """Yield runs of groups of about so many rows: their place, and a panel without copies."""
        first = 0
        while first < self.n_groups:
            end = int(np.searchsorted(self.offsets, self.offsets[first] + rows, side="right")) - 1
            groups = slice(first, max(end, first + 1))
            span = slice(int(self.offsets[groups.start]), int(self.offsets[groups.stop]))
            yield (
                groups,
                replace(
                    self,
                    values=self.values[span],
                    future=None if self.future is None else self.future[span],
                    offsets=self.offsets[groups.start : groups.stop + 1]
                    - self.offsets[groups.start],
                    first_tick=self.first_tick[groups],
                    phase=self.phase[groups],
                    targets=self.targets[groups],
                ),
            )
            first = groups.stop

    def rows(self, start: Int64, stop: Int64) -> "Panel":
        """Keep the rows ``start[g]:stop[g]`` of each group, counted from its first row."""
        if (start == 0).all() and (stop == self.lengths).all():
            return self
        lengths = stop - start
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        if self.n_groups == 1:
            index: Any = slice(int(start[0]), int(stop[0]))
        else:
            shift = np.repeat(self.offsets[:-1] + start - offsets[:-1], lengths)
            index = np.arange(int(offsets[-1])) + shift
        return replace(
            self,
            values=self.values[index],
            future=None if self.future is None else self.future[index],
            offsets=offsets,
            first_tick=self.first_tick + start,
        )

    def tail(self, n: int) -> "Panel":
        """Keep the last n rows of each group (all, where it is shorter)."""
        return self.rows(np.maximum(self.lengths - n, 0), self.lengths)

    def extend(self, n: int) -> "Panel":
        """Append n empty rows to each group."""
        lengths = self.lengths + n
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        index = np.arange(len(self.values)) + np.repeat(np.arange(self.n_groups) * n, self.lengths)

        def grow(array: NDArray[Any]) -> NDArray[Any]:
            out = np.full((int(offsets[-1]), array.shape[1]), np.nan, array.dtype)
            out[index] = array
            return out

        return replace(
            self,
            values=grow(self.values),
            future=None if self.future is None else grow(self.future),
            offsets=offsets,
        )

    def select(self, groups: Int64) -> "Panel":
        """Keep some groups."""
        lengths = self.lengths[groups]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        index = np.arange(int(offsets[-1])) + np.repeat(
            self.offsets[:-1][groups] - offsets[:-1], lengths
        )
        return replace(
            self,
            values=self.values[index],
            future=None if self.future is None else self.future[index],
            offsets=offsets,
            first_tick=self.first_tick[groups],
            phase=self.phase[groups],
            targets=self.targets[groups],
        )
