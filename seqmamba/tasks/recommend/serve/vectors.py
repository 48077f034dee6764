"""Vectors of histories, and how well an approximate index finds what they ask for."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seqmamba.errors import DataError
from seqmamba.tasks.recommend.data import SequenceSamples
from seqmamba.tasks.recommend.net.anchored import BlendedRanker
from seqmamba.tasks.recommend.net.model import SIGMANet
from seqmamba.tasks.recommend.serve.topk import top_items

__all__ = ["Index", "history_vectors", "index_recall"]

Index = Callable[[NDArray[np.float32], int], Any]
QUESTIONS_AT_ONCE = 1024


def history_vectors(net: SIGMANet | BlendedRanker, samples: SequenceSamples, device: str) -> Tensor:
    """Return the network's vectors of whole windows, in their order: (n, D)."""
    items = net.item_vectors()
    h = items.new_empty(len(samples), items.shape[1])
    for indices, gathered in samples.walk():
        batch = gathered.to(device)
        lengths = batch.extra["lengths"]
        h[indices] = net.hidden(batch.x, lengths, (lengths - 1)[:, None])[:, 0]
    return h


def index_recall(index: Index, h: Tensor, items: Tensor, cuts: Sequence[int]) -> dict[int, float]:
    """Return the share of the exact k best items that an index finds, for each k.

    Parameters
    ----------
    index : callable (vectors (Q, D) float32, k) -> array (Q, k) of places in ``items``
        A place below 0 stands for nothing found.
    h : Tensor (Q, D)
    items : Tensor (V, D)
    cuts : sequence of int
        Values of k.

    Raises
    ------
    DataError
        The index answers in another shape.
    """
    most = min(max(cuts), len(items))
    hits = dict.fromkeys(cuts, 0.0)
    for start in range(0, len(h), QUESTIONS_AT_ONCE):
        asked = h[start : start + QUESTIONS_AT_ONCE]
        exact = top_items(asked, items, most).columns.cpu().numpy()
        found = np.asarray(index(asked.float().cpu().numpy(), most))
        if found.shape != exact.shape:
            raise DataError(
                f"the index answered with shape {found.shape} where {exact.shape} was asked for: "
                "one row per vector, one place in embed('items') per neighbour."
            )
        for k in cuts:
            same = exact[:, :k, None] == found[:, None, :k]
            hits[k] += float(same.any(2).mean(1).sum())
    return {k: total / max(len(h), 1) for k, total in hits.items()}
