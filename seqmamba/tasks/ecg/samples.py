"""Prepared recordings as samples: random windows to learn from, overlapping ones to answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqmamba.datasets.samples import Batch, Info
from seqmamba.tasks.ecg.answers.folds import stratified_group_folds

__all__ = ["RecordSamples", "window_starts"]

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class RecordSamples:
    """Recordings end to end in one array, read through windows.

    While training, a sample is a record and its window lies at random; else it is one window, and
    a record has as many as cover it, half overlapping.

    Parameters
    ----------
    names : tuple of str
        Records.
    signal : array (total, C) float32
    first, lengths : array (n,)
        Row of each record's first sample, and its length.
    present : array (n, C) of bool
        Leads that a record has.
    level : array (n,)
        Logarithm of each record's standard deviation.
    rhythm : array (n, 3)
        How fast and how evenly the heart beats.
    window : int
        Samples of a window.
    y : array (n, K) of 0, 1 or NaN, or None
    groups : array (n,) or None
        Records of one group never stand on both sides of a split.
    info : Info
    records, starts : array (w,)
        Record and start of each window.
    training : bool
    shift : int
        Samples by which a training window may reach over the ends of its record.
    """

    names: tuple[str, ...]
    signal: Floats
    first: Indices
    lengths: Indices
    present: NDArray[np.bool_]
    level: Floats
    rhythm: Floats
    window: int
    y: NDArray[np.float64] | None
    groups: NDArray[Any] | None
    info: Info
    records: Indices
    starts: Indices
    training: bool = False
    shift: int = 0

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        signals: Sequence[Floats],
        present: NDArray[np.bool_],
        level: NDArray[Any],
        rhythm: NDArray[Any],
        *,
        window: int,
        info: Info,
        y: NDArray[np.float64] | None = None,
        groups: NDArray[Any] | None = None,
    ) -> "RecordSamples":
        """Put signals (T, C) end to end and lay windows over them."""
        lengths = np.array([len(signal) for signal in signals], dtype=np.int64)
        whole = np.concatenate(signals) if len(signals) else np.zeros((0, info.channels))
        records, starts = window_starts(lengths, window)
        return cls(
            names=tuple(names),
            signal=whole.astype(np.float32, copy=False),
            first=np.cumsum(lengths) - lengths,
            lengths=lengths,
            present=present,
            level=np.asarray(level, dtype=np.float32),
            rhythm=np.asarray(rhythm, dtype=np.float32),
            window=window,
            y=y,
            groups=groups,
            info=info,
            records=records,
            starts=starts,
        )

    def __len__(self) -> int:
        return len(self.names) if self.training else len(self.records)

    def batch(self, indices: Indices) -> Batch:
        """Gather windows by array indexing."""
        if self.training:
            records, starts = indices, self._random_starts(indices)
        else:
            records, starts = self.records[indices], self.starts[indices]
        place = starts[:, None] + np.arange(self.window)
        inside = (place >= 0) & (place < self.lengths[records, None])
        rows = self.first[records, None] + np.clip(place, 0, self.lengths[records, None] - 1)
        x = self.signal[rows]
        whole = bool(inside.all())
        if not whole:
            x[~inside] = 0
        y = None if self.y is None else torch.from_numpy(self.y[records]).float()
        extra = {
            "present": torch.from_numpy(self.present[records]).float(),
            "level": torch.from_numpy(self.level[records]),
            "rhythm": torch.from_numpy(self.rhythm[records]),
        }
        # While training, the zeros of a shifted window are a lead that fell off, not padding.
        padded = np.arange(self.window) < self.lengths[records, None]
        mask = padded if self.training else inside
        return Batch(
            x=torch.from_numpy(x),
            mask=None if mask.all() else torch.from_numpy(mask),
            y=y,
            extra=extra,
        )

    def split(self, held_out: float | int) -> tuple["RecordSamples", "RecordSamples"]:
        """Hold out records of the same mixture of labels; groups stay together."""
        share = held_out if isinstance(held_out, float) else held_out / max(len(self.names), 1)
        labels = np.zeros((len(self.names), 1)) if self.y is None else self.y
        n_folds = min(max(round(1 / max(share, 1e-9)), 2), max(len(self.names), 2))
        fold = stratified_group_folds(labels, self.groups, n_folds)
        kept, cut = np.flatnonzero(fold != 0), np.flatnonzero(fold == 0)
        return self.take(kept), replace(self.take(cut), training=False)

    def take(self, rows: Indices) -> "RecordSamples":
        """Return some records; the signals are shared, not copied."""
        records, starts = window_starts(self.lengths[rows], self.window)
        return replace(
            self,
            names=tuple(self.names[row] for row in rows),
            first=self.first[rows],
            lengths=self.lengths[rows],
            present=self.present[rows],
            level=self.level[rows],
            rhythm=self.rhythm[rows],
            y=None if self.y is None else self.y[rows],
            groups=None if self.groups is None else self.groups[rows],
            records=records,
            starts=starts,
        )

    def by_record(self, values: NDArray[Any]) -> NDArray[Any]:
        """Average values (w, ...) of the windows over each record: (n, ...)."""
        total = np.zeros((len(self.names), *values.shape[1:]), dtype=values.dtype)
        np.add.at(total, self.records, values)
        count = np.bincount(self.records, minlength=len(self.names))
        return np.asarray(total / count.reshape(-1, *[1] * (values.ndim - 1)).astype(values.dtype))

    def _random_starts(self, records: Indices) -> Indices:
        """Draw from torch's generator, which the training loop has seeded."""
        room = np.maximum(self.lengths[records] - self.window, 0)
        shift = np.where(self.lengths[records] < self.window, 0, self.shift)
        drawn = torch.rand(len(records), dtype=torch.float64).numpy()
        return np.asarray(np.floor(drawn * (room + 2 * shift + 1)).astype(np.int64) - shift)


def window_starts(lengths: Indices, window: int) -> tuple[Indices, Indices]:
    """Return record and start of half-overlapping windows that cover each record.

    Examples
    --------
    >>> window_starts(np.array([10, 25]), 10)[1].tolist()
    [0, 0, 5, 10, 15]
    """
    room = np.maximum(lengths - window, 0)
    hop = max(window // 2, 1)
    counts = -(-room // hop) + 1
    records = np.repeat(np.arange(len(lengths)), counts)
    rank = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return records, np.minimum(rank * hop, room[records])
