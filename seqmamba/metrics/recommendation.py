"""Scores of recommendations from the ranks of the answers, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from seqmamba.metrics import ranking
from seqmamba.metrics.metric import Metric

__all__ = ["METRICS", "Ranks", "measure"]

CUTS = (5, 10, 20)
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ranks:
    """Where the answers to questions rank among all items.

    Parameters
    ----------
    owner : array (n,) int64
        Question of each answer, 0..Q-1, each with at least one.
    greater, equal : array (n,) int64
        Items above and level with it.
    """

    owner: Ints
    greater: Ints
    equal: Ints


def measure(name: str, ranks: Ranks) -> Floats:
    """Return a metric such as ``"ndcg@10"`` for each question: (Q,)."""
    kind, k = name.split("@")
    return _KINDS[kind](ranks.owner, ranks.greater, ranks.equal, int(k))


def _first_hit_mrr(owner: Ints, greater: Ints, equal: Ints, k: int) -> Floats:
    """Return the expected reciprocal rank of each owner's best answer, others left out."""
    order = np.lexsort((greater, owner))
    first = order[np.unique(owner[order], return_index=True)[1]]
    return ranking.mrr(greater[first], equal[first], k)


_KINDS: Mapping[str, Callable[[Ints, Ints, Ints, int], Floats]] = {
    "hr": ranking.several_hit_rate,
    "ndcg": ranking.several_ndcg,
    "mrr": _first_hit_mrr,
    "recall": ranking.recall,
    "map": ranking.average_precision,
}


def _mean(name: str, ranks: Ranks) -> float:
    return float(measure(name, ranks).mean())


METRICS: Mapping[str, Metric] = {
    name: Metric(partial(_mean, name), greater_is_better=True)
    for name in (f"{kind}@{k}" for k in CUTS for kind in _KINDS)
}
