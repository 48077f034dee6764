"""Windows of item sequences, gathered into whole batches by index arithmetic."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray

from seqmamba.datasets.samples import Batch, Info
from seqmamba.tasks.recommend.splits import Queries

__all__ = ["RECENT", "History", "SequenceSamples", "Targets", "query_samples", "train_samples"]

RECENT = 50  # newest items that the cheap models read
ITEMS_AT_ONCE = 12_800  # of all windows in a batch: more of them cost more in fresh memory
WINDOWS_AT_ONCE = (32, 1024)
Ints = NDArray[np.int64]
Targets = Literal["last", "tail", "all"]


@dataclass(frozen=True)
class History:
    """All users' items, flat, and how much of each user trains.

    Parameters
    ----------
    sequence : array (n,) int32
        Items from 1, user by user.
    offsets : array (U + 1,) int64
    trained : array (U,) int64
        Number of leading events of each user that may be learned from.
    n_items : int
        V.
    times : array (n,) or None
    """

    sequence: NDArray[np.int32]
    offsets: Ints
    trained: Ints
    n_items: int
    times: NDArray[Any] | None = None

    @property
    def counts(self) -> Ints:
        """Number of events of each user: (U,)."""
        return np.diff(self.offsets)

    def training_rows(self) -> tuple[Ints, Ints]:
        """Return the events that train, as rows of ``sequence``, and their users."""
        owner = np.repeat(np.arange(len(self.trained)), self.counts)
        place = np.arange(len(self.sequence)) - self.offsets[:-1][owner]
        rows = np.flatnonzero(place < self.trained[owner])
        return rows, owner[rows]

    def training_counts(self) -> Ints:
        """Return how often each item occurs in the training part: (V,)."""
        items = self.sequence[self.training_rows()[0]]
        return np.bincount(items, minlength=self.n_items + 1)[1:]


@dataclass(frozen=True)
class SequenceSamples:
    """Windows of a flat sequence, each with the successors of its last items as targets.

    Parameters
    ----------
    history : History
    starts, lengths : array (n,) int64
        The window is ``sequence[start:start + length]``.
    n_targets : array (n,) int64
        So many last positions of the window have their successor as target; 0 = prediction only.
    origins : array (n,) int64 or None
        Where the user's events begin; given for questions, whose batches then carry the newest
        items ``recent`` (B, 50), newest first, whatever the length of the window.
    info : Info
    valid : SequenceSamples or None
        The validation part that belongs to a training part.
    """

    history: History
    starts: Ints
    lengths: Ints
    n_targets: Ints
    info: Info
    origins: Ints | None = None
    valid: "SequenceSamples | None" = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.starts)

    def batch(self, indices: Ints) -> Batch:
        """Gather windows at once.

        ``x`` (B, L) item numbers, zeros behind; ``y`` (B, T) targets at positions ``extra["at"]``
        (B, T), 0 = none; ``extra["lengths"]`` (B,).
        """
        sequence = self.history.sequence
        starts, lengths = self.starts[indices], self.lengths[indices]
        place = np.arange(int(lengths.max(initial=1)))
        x = _gather(sequence, starts[:, None] + place, place < lengths[:, None])
        wanted = self.n_targets[indices]
        back = np.arange(max(int(wanted.max(initial=1)), 1))[::-1]
        at = lengths[:, None] - 1 - back
        y = _gather(sequence, starts[:, None] + at + 1, back < wanted[:, None])
        extra = {"lengths": torch.from_numpy(lengths), "at": torch.from_numpy(at.clip(0))}
        if self.origins is not None:
            ends = (starts + lengths)[:, None]
            newest = ends - 1 - np.arange(RECENT)
            recent = _gather(sequence, newest, newest >= self.origins[indices][:, None])
            extra["recent"] = torch.from_numpy(recent)
        return Batch(torch.from_numpy(x), y=torch.from_numpy(y), extra=extra)

    def walk(self) -> Iterator[tuple[Ints, Batch]]:
        """Give all windows once, with their indices: longest first, so that few are padded."""
        order = np.argsort(-self.lengths, kind="stable")
        start = 0
        while start < len(order):
            count = ITEMS_AT_ONCE // max(int(self.lengths[order[start]]), 1)
            indices = order[start : start + int(np.clip(count, *WINDOWS_AT_ONCE))]
            yield indices, self.batch(indices)
            start += len(indices)

    def rows(self, indices: Ints) -> Self:
        """Return some of the windows."""
        origins = None if self.origins is None else self.origins[indices]
        return replace(
            self,
            starts=self.starts[indices],
            lengths=self.lengths[indices],
            n_targets=self.n_targets[indices],
            origins=origins,
            valid=None,
        )

    def split(self, held_out: float | int) -> tuple[Self, Self]:
        """Cut off the last windows: a fraction or a count."""
        n = len(self)
        count = round(n * held_out) if isinstance(held_out, float) else held_out
        count = min(max(count, 1), n - 1)
        return self.rows(np.arange(n - count)), self.rows(np.arange(n - count, n))


def train_samples(
    history: History,
    max_len: int,
    *,
    targets: Targets,
    keep_last: int,
    info: Info,
    valid: SequenceSamples | None = None,
) -> SequenceSamples:
    """Cut the training part of each user into windows that serve every successor once.

    ``"last"``: one window per target. ``"tail"``: the last ``keep_last + 1`` positions of a window
    see no later item, whatever its flip (recommendation specification, 4.3), so windows end every
    so many items. ``"all"``: windows of ``max_len`` that end every half of it.
    """
    step, oldest = {
        "last": (1, 1),
        "tail": (min(keep_last + 1, max_len),) * 2,
        "all": (max(max_len // 2, 1), max_len),
    }[targets]
    n_pairs = np.maximum(history.trained - 1, 0)
    n_windows = np.where(n_pairs > 0, 1 + np.maximum(-(-(n_pairs - oldest) // step), 0), 0)
    owner = np.repeat(np.arange(len(n_pairs)), n_windows)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(n_windows) - n_windows, n_windows)
    ends = n_pairs[owner] - number * step
    lengths = np.minimum(ends, max_len)
    is_oldest = number == n_windows[owner] - 1
    return SequenceSamples(
        history=history,
        starts=history.offsets[:-1][owner] + ends - lengths,
        lengths=lengths,
        n_targets=np.where(is_oldest, ends, step),
        info=info,
        valid=valid,
    )


def query_samples(
    history: History, queries: Queries, max_len: int, *, info: Info, has_targets: bool = True
) -> SequenceSamples:
    """Return the newest items before each question, with the first answer as target."""
    origins = history.offsets[:-1][queries.users]
    lengths = np.minimum(queries.cuts, max_len)
    return SequenceSamples(
        history=history,
        starts=origins + queries.cuts - lengths,
        lengths=lengths,
        n_targets=np.full(len(queries), int(has_targets)),
        info=info,
        origins=origins,
    )


def _gather(sequence: NDArray[Any], index: Ints, real: NDArray[np.bool_]) -> Ints:
    """Return ``sequence[index]`` as int64 where real, else 0."""
    found: Ints = np.where(real, sequence[index.clip(0, len(sequence) - 1)], 0).astype(np.int64)
    return found
