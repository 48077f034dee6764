"""Simulated shopping: categories that follow each other, popular items, favourite categories."""

from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["demo", "interactions"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SHORTEST, LONGEST = 5, 60  # events of a user
ITEMS_PER_CATEGORY = 25
FOLLOWS, FOLLOWS_LESS, FAVOURITE = 0.55, 0.15, 0.30  # where the next category comes from
ZIPF = 1.2  # exponent of popularity inside a category
MEAN_GAP_S = 36_000.0
START = 1_600_000_000


@overload
def interactions(
    n_users: int = ..., n_items: int = ..., seed: int = ..., *, oracle: Literal[False] = ...
) -> pd.DataFrame: ...


@overload
def interactions(
    n_users: int = ..., n_items: int = ..., seed: int = ..., *, oracle: Literal[True]
) -> tuple[pd.DataFrame, dict[str, float]]: ...


def interactions(
    n_users: int = 500, n_items: int = 300, seed: int = 0, *, oracle: bool = False
) -> pd.DataFrame | tuple[pd.DataFrame, dict[str, float]]:
    """Simulate histories of 5 to 60 events whose next-item law is known.

    The next category is the usual successor of the last one (55 %), a second successor (15 %) or
    one of the user's two favourites (30 %); inside a category items are Zipf popular.

    Parameters
    ----------
    oracle : bool
        Also return what the best possible recommender reaches.

    Returns
    -------
    DataFrame
        ``user_id`` ("u1", ...), ``item_id`` ("i1", ...), ``timestamp``; sorted by time.
    dict of float
        With ``oracle``: expected ``hr@10`` and ``ndcg@10`` on the last event of each user for a
        ranking by the true probabilities, favourites known.

    Examples
    --------
    >>> log, best = interactions(50, 60, seed=0, oracle=True)
    >>> list(log.columns), 0 < best["ndcg@10"] < best["hr@10"] < 1
    (['user_id', 'item_id', 'timestamp'], True)
    """
    generator = np.random.default_rng(seed)
    law = _Law.draw(n_items, generator)
    favourites = np.argsort(generator.random((n_users, law.n_categories)), axis=1)[:, :2]
    counts = generator.integers(SHORTEST, LONGEST + 1, size=n_users)
    category = generator.integers(0, law.n_categories, size=n_users)
    items = np.zeros((n_users, LONGEST), dtype=np.int64)
    before_last = category
    for step in range(LONGEST):
        before_last = np.where(step == counts - 1, category, before_last)
        category = law.next_category(category, favourites, generator)
        items[:, step] = law.item(category, generator)
    owner, place = np.nonzero(np.arange(LONGEST) < counts[:, None])
    gaps = generator.exponential(MEAN_GAP_S, size=(n_users, LONGEST))
    seconds = START + (generator.random((n_users, 1)) * 1e6 + gaps.cumsum(1)).astype(np.int64)
    log = pd.DataFrame(
        {
            "user_id": [f"u{user + 1}" for user in owner],
            "item_id": [f"i{item + 1}" for item in items[owner, place]],
            "timestamp": pd.to_datetime(seconds[owner, place], unit="s"),
        }
    ).sort_values("timestamp", kind="stable", ignore_index=True)
    return (log, law.best_scores(before_last, favourites)) if oracle else log


def demo(seed: int) -> tuple[pd.DataFrame, None]:
    """Return histories for ``fit``; ``evaluate`` asks for the events that it held out."""
    return interactions(n_users=400, n_items=200, seed=seed), None


@dataclass(frozen=True)
class _Law:
    """The true next-item law."""

    chain: Floats  # (K, K): category -> next, favourites apart; rows sum to 1
    share: Floats  # (V,): probability of an item inside its category
    category: Ints  # (V,)

    @property
    def n_categories(self) -> int:
        return len(self.chain)

    @classmethod
    def draw(cls, n_items: int, generator: np.random.Generator) -> "_Law":
        k = max(2, n_items // ITEMS_PER_CATEGORY)
        chain = np.zeros((k, k))
        usual = FOLLOWS / (FOLLOWS + FOLLOWS_LESS)
        ring = generator.permutation(k)
        np.add.at(chain, (ring, np.roll(ring, -1)), usual)
        np.add.at(chain, (ring, np.roll(ring, -2)), 1 - usual)
        category = generator.permutation(np.arange(n_items) % k)
        rank = np.zeros(n_items, dtype=np.int64)
        for group in range(k):
            mine = np.flatnonzero(category == group)
            rank[mine] = np.arange(len(mine))
        weight = (rank + 1.0) ** -ZIPF
        total = np.bincount(category, weight, minlength=k)
        return cls(chain, weight / total[category], category)

    def next_category(self, now: Ints, favourites: Ints, generator: np.random.Generator) -> Ints:
        """Draw the next category of each user: (U,)."""
        followed = _draw(self.chain[now].cumsum(1), generator)
        liked = favourites[np.arange(len(now)), generator.integers(0, 2, size=len(now))]
        return np.where(generator.random(len(now)) < FAVOURITE, liked, followed)

    def item(self, category: Ints, generator: np.random.Generator) -> Ints:
        """Draw an item of each category: (U,)."""
        table = np.where(self.category == np.arange(self.n_categories)[:, None], self.share, 0)
        return _draw(table.cumsum(1)[category], generator)

    def best_scores(self, now: Ints, favourites: Ints) -> dict[str, float]:
        """Return the expected scores of ranking by the true probabilities."""
        categories = (1 - FAVOURITE) * self.chain[now]
        users = np.arange(len(now))
        for place in range(2):
            np.add.at(categories, (users, favourites[:, place]), FAVOURITE / 2)
        law = categories[:, self.category] * self.share  # (U, V), rows sum to 1
        top = -np.sort(-law, axis=1)[:, :10]
        gain = 1 / np.log2(np.arange(top.shape[1]) + 2)
        return {
            "hr@10": float(top.sum(1).mean()),
            "ndcg@10": float((top * gain).sum(1).mean()),
        }


def _draw(cumulative: Floats, generator: np.random.Generator) -> Ints:
    """Draw one column per row by cumulative probabilities (U, K)."""
    level = generator.random((len(cumulative), 1)) * cumulative[:, -1:]
    column: Ints = (cumulative <= level).sum(1)
    return column
