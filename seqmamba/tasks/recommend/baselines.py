"""Cheap recommenders: popularity, item-kNN and a window Markov chain.

Each learns from the training part, reads the newest items of a history and scores all items. They
stand beside the network in every report and may carry it as an anchor. Source: recommendation
specification, 6 and 11.2.
"""

from typing import Any, Self

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from seqmamba.datasets.samples import Batch, Samples
from seqmamba.tasks.recommend.data import RECENT, History, SequenceSamples
from seqmamba.train.anchor import Anchor

__all__ = ["Baseline", "ItemKNN", "Markov", "Popularity", "make_baselines"]

FLOOR = 1e-9  # score of an item that the cheap model knows nothing of, as a share of the row's sum


class Baseline(Anchor):
    """A cheap model whose item table can grow."""

    def grow(self, n_items: int) -> None:
        """Make room for items behind the known ones, of which nothing is known."""
        raise TypeError(f"{type(self).__name__} must define grow(n_items)")


class Popularity(Baseline):
    """Number of training events of each item, of the newest ones only with ``recent`` < 1."""

    counts: Tensor  # (V,)

    def __init__(self, recent: float = 1.0) -> None:
        super().__init__()
        self.recent = recent
        self.register_buffer("counts", torch.zeros(0))

    def fit(self, samples: Samples) -> Self:
        """Count; the newest events are the last by time, or by place in their history."""
        history = _history(samples)
        rows, owner = history.training_rows()
        if self.recent < 1 and len(rows):
            ends = history.offsets[:-1] + history.trained
            newness = rows - ends[owner] if history.times is None else history.times[rows]
            rows = rows[newness >= np.quantile(newness, 1 - self.recent)]
        counts = np.bincount(history.sequence[rows], minlength=history.n_items + 1)[1:]
        self.counts = torch.from_numpy(counts.astype(np.float32))
        return self

    def grow(self, n_items: int) -> None:
        """Count new items as never seen."""
        self.counts = functional.pad(self.counts, (0, n_items - len(self.counts)))

    def forward(self, batch: Batch) -> Tensor:
        """Return log shares, the same for every row: (B, V)."""
        return _log_shares(self.counts.expand(len(batch), -1))


class _Transitions(Baseline):
    """Scores that flow from the newest items of a history through one sparse matrix."""

    indptr: Tensor
    indices: Tensor
    values: Tensor
    weights: Tensor

    def __init__(self, n_newest: int, decay: float) -> None:
        super().__init__()
        self.register_buffer("indptr", torch.zeros(1, dtype=torch.int64))
        self.register_buffer("indices", torch.zeros(0, dtype=torch.int32))
        self.register_buffer("values", torch.zeros(0))
        self.register_buffer("weights", decay ** torch.arange(n_newest), persistent=False)

    def _keep(self, matrix: Any) -> None:
        matrix = sp.csr_array(matrix, dtype=np.float32)
        self.indptr = torch.from_numpy(matrix.indptr.astype(np.int64))
        self.indices = torch.from_numpy(matrix.indices.astype(np.int32))
        self.values = torch.from_numpy(matrix.data)

    def grow(self, n_items: int) -> None:
        """Let nothing flow to or from new items."""
        self.indptr = functional.pad(
            self.indptr, (0, n_items + 1 - len(self.indptr)), value=int(self.indptr[-1])
        )

    def forward(self, batch: Batch) -> Tensor:
        """Return log shares of what flows from the newest items: (B, V)."""
        recent = batch.extra["recent"].cpu().numpy()[:, : len(self.weights)]
        scores = self.flow(recent).toarray()
        return _log_shares(torch.from_numpy(scores).to(batch.x.device))

    def flow(self, recent: NDArray[Any]) -> Any:
        """Return the scores that newest items (B, k), 0 = none, send on: sparse (B, V)."""
        n_items = len(self.indptr) - 1
        matrix = sp.csr_array(
            (self.values.cpu().numpy(), self.indices.cpu().numpy(), self.indptr.cpu().numpy()),
            shape=(n_items, n_items),
        )
        rows, ages = np.nonzero(recent)
        weights = self.weights.cpu().numpy()[ages]
        who = sp.coo_array((weights, (rows, recent[rows, ages] - 1)), shape=(len(recent), n_items))
        return who.tocsr() @ matrix


class Markov(_Transitions):
    """Transitions within distance 1..5, weight 1/distance, from the last ten items, 0.7^age.

    Parameters
    ----------
    rarity : float
        Scores are divided by (count of the next item + 1) to this power.
    """

    def __init__(self, rarity: float = 0.0, *, reach: int = 5) -> None:
        super().__init__(n_newest=10, decay=0.7)
        self.rarity = rarity
        self.reach = reach

    def fit(self, samples: Samples) -> Self:
        """Count transitions inside the training part."""
        history = _history(samples)
        rows, owner = history.training_rows()
        items = history.sequence[rows]
        n = history.n_items
        total = sp.csr_array((n, n), dtype=np.float32)
        for distance in range(1, self.reach + 1):
            same = owner[distance:] == owner[:-distance]
            source, target = items[:-distance][same] - 1, items[distance:][same] - 1
            weight = np.full(len(source), 1 / distance, dtype=np.float32)
            total = total + sp.coo_array((weight, (source, target)), shape=(n, n)).tocsr()
        if self.rarity:
            total = total @ sp.diags_array((history.training_counts() + 1.0) ** -self.rarity)
        self._keep(total)
        return self


class ItemKNN(_Transitions):
    """Cosine of binary item vectors, 200 nearest items, from the last 50 items with 0.8^age."""

    def __init__(self, n_neighbours: int = 200) -> None:
        super().__init__(n_newest=RECENT, decay=0.8)
        self.n_neighbours = n_neighbours

    def fit(self, samples: Samples) -> Self:
        """Find the nearest items of each item, blocks of items at a time."""
        history = _history(samples)
        rows, owner = history.training_rows()
        items = history.sequence[rows]
        shape = (len(history.trained), history.n_items)
        seen = sp.coo_array((np.ones(len(items), np.float32), (owner, items - 1)), shape=shape)
        seen = seen.tocsr()
        seen.data[:] = 1  # repeats count once
        norms = np.sqrt(np.asarray(seen.sum(axis=0)))
        unit = (seen @ sp.diags_array(1 / np.maximum(norms, 1))).tocsc().astype(np.float32)
        block = max(1, min(512, 2**26 // max(history.n_items, 1)))
        parts = [
            self._nearest(unit, start, min(start + block, history.n_items))
            for start in range(0, history.n_items, block)
        ]
        self._keep(sp.vstack(parts))
        return self

    def _nearest(self, unit: Any, start: int, stop: int) -> Any:
        """Return the strongest similarities of some items to all: sparse (stop - start, V)."""
        similar = (unit[:, start:stop].T @ unit).toarray()
        rows = np.arange(stop - start)
        similar[rows, rows + start] = 0
        k = min(self.n_neighbours, similar.shape[1])
        nearest = np.argpartition(-similar, k - 1, axis=1)[:, :k]
        values = np.take_along_axis(similar, nearest, 1)
        row, place = np.nonzero(values)
        found = (values[row, place], (row, nearest[row, place]))
        return sp.coo_array(found, shape=similar.shape).tocsr()


def make_baselines() -> dict[str, Baseline]:
    """Return the cheap models by name, unfitted, in the order of reports."""
    return {
        "popularity": Popularity(),
        "recent_popularity": Popularity(recent=0.1),
        "itemknn": ItemKNN(),
        "markov": Markov(),
        "markov_rare": Markov(rarity=0.5),
    }


def _history(samples: Samples) -> History:
    assert isinstance(samples, SequenceSamples)
    return samples.history


def _log_shares(scores: Tensor) -> Tensor:
    """Return log(floor + share of the row's sum); order and ties stay as they are."""
    total = scores.sum(1, keepdim=True).clamp(min=torch.finfo(scores.dtype).tiny)
    return torch.log(scores / total + FLOOR)
