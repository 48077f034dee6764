"""Scores of recommendations from the ranks of the answers, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from seqmamba.metrics import ranking
from seqmamba.metrics.metric import Metric

__all__ = ["LIST_METRICS", "METRICS", "Ranks", "describe", "measure"]

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
    lists : array (Q, k) int64 or None
        Item numbers 1..V that each question is shown, best first; 0 = none.
    """

    owner: Ints
    greater: Ints
    equal: Ints
    lists: Ints | None = None


def measure(name: str, ranks: Ranks) -> Floats:
    """Return a metric such as ``"ndcg@10"`` for each question: (Q,)."""
    kind, k = name.split("@")
    return _KINDS[kind](ranks.owner, ranks.greater, ranks.equal, int(k))


def describe(name: str, lists: Ints, counts: Ints, n_users: int) -> float:
    """Return what a metric such as ``"coverage@10"`` says of the lists themselves.

    Parameters
    ----------
    name : str
        ``coverage`` (share of all items in any list), ``popularity`` (mean log(1 + count)) or
        ``novelty`` (mean -log2(count / n_users)), and the length of the lists.
    lists : array (Q, k) int64
        Item numbers 1..V, best first; 0 = none.
    counts : array (V,) int64
        Training events of each item.
    n_users : int
    """
    kind, k = name.split("@")
    shown, of_item = lists[:, : int(k)], np.concatenate([[0], counts])
    if kind == "coverage":
        return ranking.coverage(shown, len(counts))
    if kind == "popularity":
        return ranking.popularity_bias(shown, of_item)
    return ranking.novelty(shown, of_item, n_users)


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


LIST_METRICS: Mapping[str, Metric] = {
    f"{kind}@{k}": Metric(partial(describe, f"{kind}@{k}"), kind != "popularity")
    for k in CUTS
    for kind in ("coverage", "novelty", "popularity")
}
METRICS: Mapping[str, Metric] = {
    name: Metric(partial(_mean, name), greater_is_better=True)
    for name in (f"{kind}@{k}" for k in CUTS for kind in _KINDS)
}
