"""Adapter: windows of scaled orbits, for teacher forcing and for rollouts."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from seqmamba.datasets.samples import Batch, Info
from seqmamba.errors import DataError

__all__ = ["TrajectoryWindows", "WindowShape"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class WindowShape:
    """Rows of a window: ``lead`` before the context, the context, and what follows.

    Without a future, the window is for teacher forcing: every patch is forecast from its prefix.

    Parameters
    ----------
    lead : int
        Rows that delays and the anchor look back to, before the first token.
    context : int
        Rows of the tokens, T0.
    patch : int
        Rows per token, p.
    future : int
        Rows to forecast behind the context.
    ahead : int
        Rows behind the context in teacher forcing: ``patch``, the target of the last token, or 0 as
        released. There the last patch of the context is a target only: rollouts then read a token
        at a place where stage 1 has trained none.
    """

    lead: int
    context: int
    patch: int
    future: int = 0
    ahead: int = 0

    @property
    def rows(self) -> int:
        """Rows of a whole window."""
        return self.lead + self.context + (self.future or self.ahead)


@dataclass
class TrajectoryWindows:
    """Windows over segments of orbits, with stride 1.

    Parameters
    ----------
    segments : sequence of array (n_i, V)
        Scaled.
    shape : WindowShape
    starts : array (n,)
        First row of each window in the rows of all segments together.
    values : array (rows, V)
        All rows, segment after segment.
    anchored : array (rows, p, V) or None
        What the anchor expects behind each row; set once an anchor is chosen.
    """

    segments: tuple[Array, ...]
    shape: WindowShape
    info: Info
    starts: NDArray[np.int64]
    values: Array = field(repr=False)
    anchored: Array | None = field(default=None, repr=False)

    @classmethod
    def over(cls, segments: Sequence[Array], shape: WindowShape, info: Info) -> "TrajectoryWindows":
        """Cut segments; those that are too short give no window."""
        starts, offset = [np.zeros(0, np.int64)], 0  # there may be no segment at all
        for segment in segments:
            starts.append(offset + np.arange(max(len(segment) - shape.rows + 1, 0)))
            offset += len(segment)
        values = np.concatenate(list(segments)) if segments else np.zeros((0, info.channels))
        return cls(tuple(segments), shape, info, np.concatenate(starts), values)

    def __len__(self) -> int:
        return len(self.starts)

    def reshaped(self, shape: WindowShape) -> "TrajectoryWindows":
        """Return other windows over the same rows."""
        return TrajectoryWindows.over(self.segments, shape, self.info)

    def thinned(self, count: int) -> "TrajectoryWindows":
        """Return at most so many windows, evenly drawn."""
        stride = max(-(-len(self) // count), 1)
        return replace(self, starts=self.starts[::stride])

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Return windows: ``x`` (B, lead + context, V) and what follows as ``y``.

        Without a future, ``x`` is the window less its last patch and ``y`` (B, L, p, V) the patch
        behind each token of it.
        """
        s = self.shape
        rows = self.starts[indices][:, None] + np.arange(s.rows)
        window = torch.from_numpy(self.values[rows])
        if s.future:
            seen = s.lead + s.context
            return Batch(x=window[:, :seen], y=window[:, seen:])
        targets = window[:, s.lead + s.patch :]
        targets = targets.reshape(len(rows), -1, s.patch, targets.shape[-1])
        extra = {}
        if self.anchored is not None:
            ends = self.starts[indices][:, None] + self.token_ends()
            extra["anchored"] = torch.from_numpy(self.anchored[ends])
        return Batch(x=window[:, : -s.patch], y=targets, extra=extra)

    def token_ends(self) -> NDArray[np.int64]:
        """Return the last row of each token that is followed by a patch, within a window."""
        s = self.shape
        count = (s.context + s.ahead) // s.patch - 1
        return s.lead + s.patch * np.arange(1, count + 1) - 1

    def split(self, held_out: float | int) -> tuple["TrajectoryWindows", "TrajectoryWindows"]:
        """Hold out the last part of every segment; windows there may look back before the cut."""
        train, valid = [], []
        total = sum(len(s) for s in self.segments)
        share = held_out if isinstance(held_out, float) and held_out < 1 else held_out / total
        behind = self.shape.lead + self.shape.context
        for segment in self.segments:
            cut = len(segment) - int(np.ceil(len(segment) * share))
            train.append(segment[:cut])
            valid.append(segment[max(cut - behind, 0) :])
        return self.over(train, self.shape, self.info), self.over(valid, self.shape, self.info)

    def rollouts(self, count: int, horizon: int) -> tuple[Array, Array]:
        """Return contexts (n, lead + context, V) and truths (n, horizon, V), evenly spread.

        The horizon is shortened where no segment is long enough for it.

        Raises
        ------
        DataError
            No segment holds a context and one patch behind it.
        """
        s = self.shape
        longest = max((len(x) for x in self.segments), default=0)
        room = longest - s.lead - s.context
        if room < s.patch:
            raise DataError(
                f"the longest segment has {longest} rows; a context of {s.context} with "
                f"{s.lead} rows before it and a forecast of {s.patch} need "
                f"{s.lead + s.context + s.patch}. Pass more rows, or a smaller context."
            )
        found = self.reshaped(replace(s, future=min(horizon, room)))
        if len(found) < count:  # few rows: rather a shorter horizon than hardly a start
            found = self.reshaped(replace(s, future=min(horizon, max(room - room // 3, s.patch))))
        chosen = np.unique(np.linspace(0, len(found) - 1, count).astype(np.int64))
        batch = found.batch(chosen)
        assert batch.y is not None
        return batch.x.numpy(), batch.y.numpy()
