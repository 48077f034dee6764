"""A temporal split never learns from what comes after its answers."""

import numpy as np
import pytest

from seqmamba.datasets.interactions.table import Interactions, read_interactions
from seqmamba.errors import DataError
from seqmamba.tasks.recommend.splits import Queries, temporal


@pytest.fixture(scope="module")
def data() -> Interactions:
    generator = np.random.default_rng(0)
    table = {
        "user_id": generator.integers(0, 30, 600),
        "item_id": generator.integers(0, 20, 600),
        "timestamp": generator.permutation(600),
    }
    return read_interactions(table)


def times_of(data: Interactions, queries: Queries, answers: bool) -> np.ndarray:
    assert data.times is not None
    rows = [
        data.times[data.offsets[u] + (cut if answers else 0) : data.offsets[u] + end]
        for u, cut, end in zip(
            queries.users, queries.cuts, queries.stops if answers else queries.cuts, strict=True
        )
    ]
    return np.concatenate(rows)


@pytest.mark.parametrize("first_only", [True, False])
def test_training_ends_before_every_answer(data: Interactions, first_only: bool) -> None:
    split = temporal(data, valid_size=0.2, test_size=0.1, first_only=first_only)
    assert data.times is not None
    assert split.valid is not None
    assert split.test is not None

    place = np.arange(600) - np.repeat(data.offsets[:-1], data.counts)
    trains = place < np.repeat(split.trained, data.counts)

    assert data.times[trains].max() < times_of(data, split.valid, answers=True).min()
    assert times_of(data, split.valid, True).max() < times_of(data, split.test, True).min()
    assert times_of(data, split.test, False).max() < times_of(data, split.test, True).min()
    counts = split.test.stops - split.test.cuts
    assert (counts == 1).all() if first_only else counts.sum() == 60


def test_without_times_the_cure_is_named() -> None:
    data = read_interactions({"user_id": [1, 1], "item_id": [1, 2]})

    with pytest.raises(DataError, match="time_col"):
        temporal(data)
