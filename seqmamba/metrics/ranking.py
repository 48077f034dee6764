r"""Metrics of full rankings, as expected values when scores are tied.

With :math:`g` candidates above the target and :math:`e` others level with it, its rank (from 0) is
uniform on :math:`g..g+e`; every metric is the mean over these ranks. A constant scorer therefore
has HR@k = k / V exactly. Source: recommendation specification, 6. Without ties the values agree
with RecBole 1.2.1 and with the NDCG of scikit-learn.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqmamba.errors import DataError

__all__ = [
    "average_precision",
    "coverage",
    "hit_rate",
    "mrr",
    "ndcg",
    "novelty",
    "paired_bootstrap",
    "popularity_bias",
    "rank_bounds",
    "recall",
    "several_hit_rate",
    "several_ndcg",
]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def rank_bounds(scores: NDArray[Any], targets: NDArray[Any]) -> tuple[Ints, Ints]:
    """Count the candidates above and level with each target.

    Parameters
    ----------
    scores : array (n, V)
        Greater is better; -inf takes an item out of the ranking.
    targets : array (n,) int
        Column of the target.

    Returns
    -------
    greater, equal : array (n,) int64
        ``equal`` does not count the target itself.

    Raises
    ------
    DataError
        A score is NaN or +inf, or a target's score is not finite.
    """
    own = np.take_along_axis(scores, targets[:, None], axis=1)
    if not bool(np.isfinite(own).all()) or not bool((scores < np.inf).all()):
        raise DataError("scores hold NaN or infinity; the model that made them is broken.")
    return (scores > own).sum(axis=1), (scores == own).sum(axis=1) - 1


def hit_rate(greater: Ints, equal: Ints, k: int) -> Floats:
    """Return the probability that the target is among the first k; in [0, 1], greater is better."""
    return np.clip(k - greater, 0, equal + 1) / (equal + 1)


def ndcg(greater: Ints, equal: Ints, k: int) -> Floats:
    """Return the expected 1 / log2(rank + 2) within the first k, ranks from 0; in [0, 1]."""
    return _mean_gain(1 / np.log2(np.arange(k) + 2), greater, equal, k)


def mrr(greater: Ints, equal: Ints, k: int) -> Floats:
    """Return the expected 1 / (rank + 1) within the first k, ranks from 0; in [0, 1]."""
    return _mean_gain(1 / (np.arange(k) + 1.0), greater, equal, k)


def recall(owner: Ints, greater: Ints, equal: Ints, k: int) -> Floats:
    """Return the expected share of each owner's targets among the first k: (U,).

    ``owner`` (n,) numbers the users 0..U-1 of the targets, each with at least one.
    """
    return np.bincount(owner, hit_rate(greater, equal, k)) / np.bincount(owner)


def several_hit_rate(owner: Ints, greater: Ints, equal: Ints, k: int) -> Floats:
    """Return the probability that any of an owner's targets is among the first k: (U,)."""
    certain = np.bincount(owner, greater + equal < k) > 0
    # Ranks of tie groups do not overlap, so at most one group straddles the border k.
    missed = np.ones(len(certain))
    cut = np.flatnonzero((greater < k) & (greater + equal >= k))
    if len(cut):
        who, first, targets = np.unique(owner[cut], return_index=True, return_counts=True)
        rows = cut[first]
        missed[who] = _all_outside(equal[rows] + 1, targets, k - greater[rows])
    return np.where(certain, 1.0, 1.0 - missed)


def several_ndcg(owner: Ints, greater: Ints, equal: Ints, k: int) -> Floats:
    """Return the expected DCG of each owner's targets over the best possible one: (U,)."""
    gains = 1 / np.log2(np.arange(k) + 2)
    dcg = np.bincount(owner, _mean_gain(gains, greater, equal, k))
    best = np.concatenate([[0.0], np.cumsum(gains)])
    scores: Floats = dcg / best[np.minimum(np.bincount(owner), k)]
    return scores


def average_precision(owner: Ints, greater: Ints, equal: Ints, k: int) -> Floats:
    """Return the expected average precision at k of each owner: (U,).

    Precision at the ranks of the targets within the first k, summed, over min(targets, k).
    """
    order = np.lexsort((greater, owner))
    owner, greater, equal = owner[order], greater[order], equal[order]
    fresh = np.ones(len(owner), dtype=bool)
    fresh[1:] = (owner[1:] != owner[:-1]) | (greater[1:] != greater[:-1])
    start = np.flatnonzero(fresh)  # one row per tie group that holds targets
    inside = np.diff(np.append(start, len(owner)))
    group_owner, above = owner[start], greater[start]
    size = equal[start] + 1
    n_targets = np.bincount(owner)
    before = start - (np.cumsum(n_targets) - n_targets)[group_owner]  # targets in groups above
    slots = np.clip(k - above, 0, size)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / (np.arange(k) + 1.0))])
    near = np.minimum(above, k)
    inverse = harmonic[np.minimum(above + slots, k)] - harmonic[near]  # sum of 1 / (rank + 1)
    rise = (inside - 1) / np.maximum(size - 1, 1)
    # Slot i of a group holds a target with probability inside/size, after i * rise others of it.
    later = slots - (above + 1) * inverse  # sum of i / (above + 1 + i)
    gain = inside / size * ((before + 1) * inverse + rise * later)
    return np.bincount(group_owner, gain) / np.minimum(n_targets, k)


def coverage(lists: NDArray[Any], n_items: int) -> float:
    """Return the share of items (numbers 1..n_items, 0 = none) that occur in any list (U, k)."""
    return float(len(np.setdiff1d(lists, [0])) / n_items)


def novelty(lists: NDArray[Any], counts: NDArray[Any], n_users: int) -> float:
    """Return the mean -log2(count / n_users) of recommended items; items without count as one."""
    shown = lists[lists > 0]
    return float(-np.log2(np.maximum(counts[shown], 1) / n_users).mean()) if len(shown) else 0.0


def popularity_bias(lists: NDArray[Any], counts: NDArray[Any]) -> float:
    """Return the mean log(1 + count) of recommended items."""
    shown = lists[lists > 0]
    return float(np.log1p(counts[shown]).mean()) if len(shown) else 0.0


def paired_bootstrap(
    ours: Floats, theirs: Floats, *, n_resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    """Return mean difference and its bootstrap interval over users: (mean, low, high)."""
    difference = np.asarray(ours) - np.asarray(theirs)
    generator, n = np.random.default_rng(seed), len(difference)
    block = max(1, 10_000_000 // n)  # resamples at once: 80 MB of indices
    means = []
    for start in range(0, n_resamples, block):
        rows = generator.integers(0, n, size=(min(block, n_resamples - start), n))
        means.append(difference[rows].mean(axis=1))
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(difference.mean()), float(low), float(high)


def _mean_gain(gains: Floats, greater: Ints, equal: Ints, k: int) -> Floats:
    """Return the mean of ``gains[rank]`` over the tied ranks; ranks from k on gain nothing."""
    total = np.concatenate([[0.0], np.cumsum(gains)])
    result: Floats = total[np.minimum(greater + equal + 1, k)] - total[np.minimum(greater, k)]
    return result / (equal + 1)


def _all_outside(size: Ints, targets: Ints, slots: Ints) -> Floats:
    """Return the probability that none of the targets in a tie group falls in its first slots."""
    # scikit-learn brings scipy; only tied groups of several targets need it
    from scipy.special import gammaln

    free = size - slots
    possible = free >= targets
    safe = np.where(possible, free, targets)
    log = gammaln(safe + 1) - gammaln(safe - targets + 1)
    log -= gammaln(size + 1) - gammaln(size - targets + 1)
    return np.where(possible, np.exp(log), 0.0)
