"""Windows on a panel: look-back and horizon by index arithmetic, whole batches at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqmamba.datasets.samples import Batch, Info
from seqmamba.datasets.series.calendar import calendar_features
from seqmamba.datasets.series.frequency import Int64
from seqmamba.datasets.series.panel import Panel
from seqmamba.errors import DataError

__all__ = ["WindowSamples"]


@dataclass(frozen=True)
class WindowSamples:
    """Windows whose cut (first row of the horizon) runs over a range of rows of each group.

    Parameters
    ----------
    panel : Panel
        Scaled values, float32.
    input_size, h : int
        Rows of look-back L and horizon H.
    first, count : (G,)
        First cut of each group, counted from its first row, and number of cuts.
    stride : int
        Rows between cuts.
    features : tuple of str
        Calendar features of the look-back window.
    has_missing : bool
        True = batches carry masks of observed cells; the network was built for them.
    has_targets : bool
        False = the horizon lies beyond the panel: batches have no ``y``.
    static : (len(ids), S) float32 or None
    series : (len(ids),) or None
        Row of each series in the learned embedding.
    fill : {"forward", "linear"}
        "forward" repeats the last value and masks the cell; "linear" interpolates inside the
        window (never beyond its cut) and masks nothing.
    facts : mapping
        Further entries of ``info.extra``.
    """

    panel: Panel
    input_size: int
    h: int
    first: Int64
    count: Int64
    stride: int = 1
    features: tuple[str, ...] = ()
    has_missing: bool = False
    has_targets: bool = True
    static: NDArray[np.float32] | None = None
    series: Int64 | None = None
    fill: Literal["forward", "linear"] = "forward"
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "_ends", np.cumsum(self.count))
        set_(self, "_lengths", self.panel.lengths)
        marks, start = _marks(self.panel, self.features, self.h)
        set_(self, "_marks", marks)
        set_(self, "_mark_start", start)

    _ends: Int64 = field(init=False, repr=False)
    _lengths: Int64 = field(init=False, repr=False)
    _marks: NDArray[np.float32] = field(init=False, repr=False)
    _mark_start: Int64 = field(init=False, repr=False)

    @property
    def info(self) -> Info:
        """Sizes that the network is built from."""
        panel = self.panel
        n_covariates = panel.values.shape[1] - panel.n_targets
        return Info(
            channels=self.input_size,
            length=(self.input_size, self.input_size),
            n_outputs=self.h,
            feature_names=self.features,
            extra={
                "n_hist": n_covariates,
                "n_futr": 0 if panel.future is None else panel.future.shape[1],
                "n_static": 0 if self.static is None else self.static.shape[1],
                "n_series": len(panel.ids),
                "has_missing": self.has_missing,
                **self.facts,
            },
        )

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def place(self, indices: Int64) -> tuple[Int64, Int64]:
        """Return the group and the cut of each window: (B,), (B,)."""
        if len(self._ends) == 1:
            return np.zeros(len(indices), np.int64), self.first[0] + indices * self.stride
        group = np.searchsorted(self._ends, indices, side="right")
        within = indices - (self._ends[group] - self.count[group])
        return group, self.first[group] + within * self.stride

    def batch(self, indices: Int64) -> Batch:
        """Build a batch: x (B, L, C), y (B, H, N), and in ``extra`` what the network needs besides.

        ``extra``: ``marks`` (B, L, M); ``future`` (B, L + H, F); ``static`` (B, N, S); ``series``
        (B, N); ``tokens`` (B, N) bool, real series of a ragged group; with missing cells
        ``observed`` (B, L, C) and ``y_observed`` (B, H, N), bool.
        """
        group, cut = self.place(np.asarray(indices, np.int64))
        extra: dict[str, Tensor] = {}
        y = self._targets(group, cut, extra) if self.has_targets else None
        x = self._look_back(group, cut, extra)
        if self.features:
            row = np.maximum(cut[:, None] + np.arange(-self.input_size, 0), 0)
            extra["marks"] = torch.from_numpy(self._marks[self._mark_start[group][:, None] + row])
        panel = self.panel
        if panel.future is not None:
            steps = np.arange(-self.input_size, self.h)
            ahead = _gather(panel.future, *self._rows(group, cut, steps))
            extra["future"] = torch.from_numpy(np.nan_to_num(ahead, copy=False))
        if panel.is_ragged:
            extra["tokens"] = torch.from_numpy(panel.targets[group] >= 0)
        if self.static is not None:
            extra["static"] = torch.from_numpy(self.static[panel.targets[group]])
        if self.series is not None:
            extra["series"] = torch.from_numpy(self.series[panel.targets[group]])
        return Batch(torch.from_numpy(x), None, None if y is None else torch.from_numpy(y), extra)

    def _look_back(self, group: Int64, cut: Int64, extra: dict[str, Tensor]) -> NDArray[np.float32]:
        """Return the look-back windows, missing cells filled: (B, L, C)."""
        steps = np.arange(-self.input_size, 0)
        x = _gather(self.panel.values, *self._rows(group, cut, steps))
        if self.has_missing:
            x, observed = fill_forward(x) if self.fill == "forward" else fill_linear(x)
            extra["observed"] = torch.from_numpy(observed)
        return x

    def _targets(self, group: Int64, cut: Int64, extra: dict[str, Tensor]) -> NDArray[np.float32]:
        """Return the values of the horizon, missing ones as zero: (B, H, N)."""
        rows, outside = self._rows(group, cut, np.arange(self.h))
        y = _gather(self.panel.values, rows, outside)[:, :, : self.panel.n_targets]
        if self.has_missing:
            observed = ~np.isnan(y)
            extra["y_observed"] = torch.from_numpy(observed)
            y = np.where(observed, y, np.float32(0))
        return y

    def _rows(
        self, group: Int64, cut: Int64, steps: Int64
    ) -> tuple[Int64, NDArray[np.bool_] | None]:
        """Return rows of the panel (B, len(steps)) and where they lie outside their group."""
        start, length = self.panel.offsets[group], self._lengths[group]
        rows = (start + cut)[:, None] + steps
        if (cut + steps[0] >= 0).all() and (cut + steps[-1] < length).all():
            return rows, None
        row = cut[:, None] + steps
        outside = (row < 0) | (row >= length[:, None])
        return np.where(outside, start[:, None], rows), outside

    def split(self, held_out: float | int) -> tuple[Self, Self]:
        """Cut by time: the windows of the last rows of each group are held out.

        A held-out window may look back into the training part; no training window reaches into the
        held-out rows. See :func:`held_out_rows`.
        """
        border = self.panel.lengths - held_out_rows(
            self.panel.lengths, held_out, self.h, self.first + self.h
        )
        n_train = np.minimum(
            np.maximum((border - self.h - self.first) // self.stride + 1, 0), self.count
        )
        skipped = np.maximum(-((self.first - border) // self.stride), 0)
        n_valid = np.maximum(self.count - skipped, 0)
        train = replace(self, count=n_train)
        valid = replace(self, first=self.first + skipped * self.stride, count=n_valid)
        if not len(train):
            raise DataError(
                f"no training window: with input_size={self.input_size}, h={self.h} and "
                f"{held_out} held out, the longest series has {int(self.panel.lengths.max())} "
                "rows. Pass a smaller val_size, input_size or h."
            )
        return train, valid


def held_out_rows(lengths: Int64, held_out: float | int, h: int, needed: Int64) -> Int64:
    """Return how many rows of each group are held out: (G,).

    Parameters
    ----------
    held_out : float or int
        A fraction holds out at least h rows, and none of a group that would keep fewer than
        ``needed`` rows; a count holds out that many rows of every group.
    needed : (G,)
        Rows of one training window.
    """
    if isinstance(held_out, int) and held_out >= 1:
        return np.asarray(np.minimum(held_out, lengths))
    if not held_out:
        return np.zeros_like(lengths)
    rows = np.maximum(np.floor(lengths * float(held_out)).astype(np.int64), h)
    return np.asarray(np.where(lengths - rows >= needed, rows, 0))


def fill_forward(x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Replace missing cells by the last value seen before, or the first one after.

    Parameters
    ----------
    x : (B, L, C)
        NaN = missing.

    Returns
    -------
    filled : (B, L, C)
        Zero where a column has no value at all.
    observed : (B, L, C) bool
    """
    observed = ~np.isnan(x)
    if observed.all():
        return x, observed
    steps = np.arange(x.shape[1])[None, :, None]
    before = np.maximum.accumulate(np.where(observed, steps, -1), axis=1)
    first = np.where(observed.any(axis=1), observed.argmax(axis=1), 0)[:, None]
    source = np.where(before < 0, first, before)
    return np.nan_to_num(np.take_along_axis(x, source, axis=1), nan=0.0), observed


def fill_linear(x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Replace missing cells by the line between their neighbours, the nearest value at the ends.

    Returns the filled windows (B, L, C) and which columns have any value (B, L, C).
    """
    filled, observed = fill_forward(x)
    known = np.broadcast_to(observed.any(axis=1, keepdims=True), x.shape)
    if observed.all():
        return filled, known
    steps = np.arange(x.shape[1])[None, :, None]
    before = np.maximum.accumulate(np.where(observed, steps, -1), axis=1)
    backward = np.where(observed, steps, x.shape[1])[:, ::-1]
    after = np.minimum.accumulate(backward, axis=1)[:, ::-1]
    inside = (before >= 0) & (after < x.shape[1])
    high = np.take_along_axis(filled, np.where(inside, after, 0), axis=1)
    share = (steps - before) / np.maximum(after - before, 1)
    line = filled + share.astype(np.float32) * (high - filled)
    return np.where(inside, line, filled), known.copy()


def _gather(
    values: NDArray[Any], rows: Int64, outside: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    window = np.asarray(values[rows], np.float32)
    if outside is not None:
        window[outside] = np.nan
    return window


def _marks(panel: Panel, names: tuple[str, ...], h: int) -> tuple[NDArray[np.float32], Int64]:
    """Return one table of features over time and each group's first row in it.

    Groups of one phase share a stretch of the table: 10 000 series need the memory of one.
    """
    if not names or not panel.n_groups:
        return np.zeros((0, 0), np.float32), panel.first_tick
    start = np.empty(panel.n_groups, np.int64)
    parts, filled = [], 0
    for phase in np.unique(panel.phase):
        members = np.flatnonzero(panel.phase == phase)
        low = int(panel.first_tick[members].min())
        high = int((panel.first_tick + panel.lengths)[members].max()) + h
        stamps = panel.frequency.stamps(np.arange(low, high), int(phase))
        parts.append(calendar_features(panel.frequency.wall_clock(stamps), names))
        start[members] = filled + panel.first_tick[members] - low
        filled += high - low
    return np.concatenate(parts), start
