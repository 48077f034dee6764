"""The k best items of each row, exactly, in blocks of items."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["BLOCK", "Forbidden", "Ranked", "first_best", "top_items"]

BLOCK = 65_536


class Ranked(NamedTuple):
    """The best items of each row, best first; ties in the order of columns."""

    scores: Tensor  # (B, k), -inf where a row has no more items
    columns: Tensor  # (B, k) int64
    log_total: Tensor  # (B,): logsumexp over all items that were possible


class Forbidden(NamedTuple):
    """Pairs (row, column) that are never shown, sorted by column."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]

    @classmethod
    def of(cls, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> "Forbidden":
        """Sort pairs by column, so that each block of items finds its own at once."""
        order = np.argsort(columns, kind="stable")
        return cls(rows[order], columns[order])

    def within(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return rows and columns, from ``start``, of the pairs in a block."""
        low, high = np.searchsorted(self.columns, [start, stop])
        return torch.from_numpy(self.rows[low:high]), torch.from_numpy(
            self.columns[low:high] - start
        )


def top_items(
    h: Tensor,
    items: Tensor,
    k: int,
    *,
    extra: Tensor | None = None,
    forbidden: Forbidden | None = None,
    block: int = BLOCK,
) -> Ranked:
    """Rank ``h @ items.T + extra`` without holding more than a block of it.

    Parameters
    ----------
    h : Tensor (B, D)
    items : Tensor (C, D)
    k : int
        At most C items come back.
    extra : Tensor (B, C) or None
        Added to the scores.
    forbidden : Forbidden or None
    block : int
        Columns at a time; the answer does not depend on it.
    """
    k = min(k, len(items))
    best = Ranked(
        h.new_empty(len(h), 0),
        torch.empty(len(h), 0, dtype=torch.int64, device=h.device),
        h.new_full((len(h),), -torch.inf),
    )
    for start in range(0, len(items), block):
        stop = min(start + block, len(items))
        scores = h @ items[start:stop].T  # (B, block)
        if extra is not None:
            scores += extra[:, start:stop]
        if forbidden is not None:
            rows, columns = forbidden.within(start, stop)
            scores[rows.to(h.device), columns.to(h.device)] = -torch.inf
        best = _merge(best, scores, start, k)
    return best


def _merge(best: Ranked, scores: Tensor, start: int, k: int) -> Ranked:
    """Join the best so far, whose columns lie before ``start``, with a block."""
    values, columns = first_best(scores, min(k, scores.shape[1]))
    values = torch.cat([best.scores, values], 1)
    columns = torch.cat([best.columns, columns + start], 1)
    # Both halves hold ties in the order of columns and the left half has the smaller ones, so a
    # stable sort keeps that order.
    values, order = values.sort(dim=1, descending=True, stable=True)
    total = torch.logaddexp(best.log_total, scores.logsumexp(1))
    return Ranked(values[:, :k], columns.gather(1, order)[:, :k], total)


def first_best(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k best of each row; of equal ones the first columns, in their order."""
    values, columns = scores.topk(k, dim=1)
    columns, order = columns.sort(dim=1)
    values, order = values.gather(1, order).sort(dim=1, descending=True, stable=True)
    columns = columns.gather(1, order)
    # topk takes any of the items that are level with the last one: mend the rows where it matters.
    for row in ((scores >= values[:, -1:]).sum(1) > k).nonzero()[:, 0].tolist():
        sorted_values, order = scores[row].sort(descending=True, stable=True)
        values[row], columns[row] = sorted_values[:k], order[:k]
    return values, columns
