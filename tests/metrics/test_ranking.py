"""Ranking metrics are the means over all orders of tied scores."""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.metrics import ndcg_score

from seqmamba.errors import DataError
from seqmamba.metrics import ranking

K = 3
Order = tuple[int, ...]
tied_scores = st.lists(st.integers(0, 3), min_size=4, max_size=6)


def orders(scores: list[int]) -> Iterator[Order]:
    """Give every ranking of the items that the scores allow."""
    for order in itertools.permutations(range(len(scores))):
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order)):
            yield order


def mean_over_orders(scores: list[int], measure: Callable[[Order], float]) -> float:
    return float(np.mean([measure(order) for order in orders(scores)]))


@given(tied_scores, st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_one_target_equals_the_mean_over_all_orders(scores: list[int], target: int) -> None:
    bounds = ranking.rank_bounds(np.array([scores], dtype=float), np.array([target]))

    def rank(order: Order) -> int:
        return order.index(target)

    expected: dict[Any, Callable[[Order], float]] = {
        ranking.hit_rate: lambda o: rank(o) < K,
        ranking.ndcg: lambda o: 1 / math.log2(rank(o) + 2) if rank(o) < K else 0,
        ranking.mrr: lambda o: 1 / (rank(o) + 1) if rank(o) < K else 0,
    }
    for metric, one in expected.items():
        assert_allclose(metric(*bounds, K)[0], mean_over_orders(scores, one), atol=1e-12)


@given(tied_scores, st.sets(st.integers(0, 3), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_several_targets_equal_the_mean_over_all_orders(
    scores: list[int], wanted: set[int]
) -> None:
    targets = sorted(wanted)
    table = np.repeat(np.array([scores], dtype=float), len(targets), axis=0)
    bounds = ranking.rank_bounds(table, np.array(targets))
    owner = np.zeros(len(targets), dtype=np.int64)
    best = sum(1 / math.log2(i + 2) for i in range(min(len(targets), K)))

    def hits(order: Order) -> list[bool]:
        return [item in targets for item in order[:K]]

    def precision(order: Order) -> float:
        found = hits(order)
        points = [sum(found[: i + 1]) / (i + 1) for i in range(K) if found[i]]
        return sum(points) / min(len(targets), K)

    expected: dict[Any, Callable[[Order], float]] = {
        ranking.several_hit_rate: lambda o: any(hits(o)),
        ranking.recall: lambda o: sum(hits(o)) / len(targets),
        ranking.several_ndcg: lambda o: sum(
            hit / math.log2(i + 2) / best for i, hit in enumerate(hits(o))
        ),
        ranking.average_precision: precision,
    }
    for metric, one in expected.items():
        assert_allclose(metric(owner, *bounds, K)[0], mean_over_orders(scores, one), atol=1e-12)


def test_several_owners_do_not_mix() -> None:
    owner = np.array([1, 0, 1, 2])
    greater, equal = np.array([0, 2, 5, 1]), np.array([0, 3, 1, 0])
    for metric in (ranking.several_hit_rate, ranking.recall, ranking.average_precision):
        together = metric(owner, greater, equal, 4)
        for user in range(3):
            rows = owner == user
            alone = metric(np.zeros(rows.sum(), int), greater[rows], equal[rows], 4)
            assert_allclose(together[user], alone[0])


def test_a_perfect_scorer_gets_one() -> None:
    bounds = ranking.rank_bounds(np.eye(5), np.arange(5))
    for metric in (ranking.hit_rate, ranking.ndcg, ranking.mrr):
        assert_allclose(metric(*bounds, 10), 1.0)


@pytest.mark.parametrize("n_items", [1, 7, 300])
def test_a_constant_scorer_gets_k_over_v(n_items: int) -> None:
    bounds = ranking.rank_bounds(np.zeros((2, n_items)), np.array([0, n_items - 1]))

    assert_allclose(ranking.hit_rate(*bounds, 10), min(10 / n_items, 1.0))


def test_monotone_transforms_change_nothing() -> None:
    scores = np.random.default_rng(0).normal(size=(50, 40))
    targets = np.arange(50) % 40

    assert_allclose(
        ranking.rank_bounds(scores, targets), ranking.rank_bounds(np.exp(3 * scores), targets)
    )


def test_ndcg_agrees_with_scikit_learn() -> None:
    scores = np.random.default_rng(1).normal(size=(20, 30))
    truth = np.random.default_rng(2).random((20, 30)) < 0.2
    truth[:, 0] = True
    owner, target = np.nonzero(truth)
    bounds = ranking.rank_bounds(scores[owner], target)

    assert_allclose(
        ranking.several_ndcg(owner, *bounds, 10).mean(), ndcg_score(truth, scores, k=10)
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_scores_raise(bad: float) -> None:
    with pytest.raises(DataError, match="NaN or infinity"):
        ranking.rank_bounds(np.array([[0.0, bad, 1.0]]), np.array([2]))


def test_an_excluded_item_does_not_count() -> None:
    greater, equal = ranking.rank_bounds(np.array([[3.0, -np.inf, 1.0, 1.0]]), np.array([2]))

    assert (greater[0], equal[0]) == (1, 1)


def test_the_bootstrap_interval_holds_the_difference() -> None:
    ours = np.random.default_rng(0).random(400)
    theirs = ours - 0.1 + np.random.default_rng(1).normal(scale=0.2, size=400)

    mean, low, high = ranking.paired_bootstrap(ours, theirs)

    assert low < mean < high
    assert low > 0.05
    assert ranking.paired_bootstrap(ours, ours) == (0.0, 0.0, 0.0)


def test_list_measures_ignore_missing_places() -> None:
    lists = np.array([[1, 2], [2, 0]])
    counts = np.array([0, 4, 8, 1])

    assert ranking.coverage(lists, 3) == pytest.approx(2 / 3)
    assert ranking.novelty(lists, counts, 8) == pytest.approx(1 / 3)
    assert ranking.popularity_bias(lists, counts) == pytest.approx(
        (math.log(5) + 2 * math.log(9)) / 3
    )
