"""The cheap models count what they say they count."""

import numpy as np
import pytest
import torch

from seqmamba.datasets.samples import Batch, Info
from seqmamba.tasks.recommend.baselines import ItemKNN, Markov, Popularity, make_baselines
from seqmamba.tasks.recommend.data import RECENT, History, SequenceSamples, train_samples


def samples_of(*rows: list[int], trained: list[int] | None = None) -> SequenceSamples:
    counts = np.array([len(row) for row in rows])
    history = History(
        np.concatenate(rows).astype(np.int32),
        np.concatenate([[0], np.cumsum(counts)]),
        counts if trained is None else np.array(trained),
        max(max(row) for row in rows),
    )
    return train_samples(history, 10, targets="last", keep_last=5, info=Info(channels=1))


def question(*newest_first: int) -> Batch:
    recent = torch.zeros(1, RECENT, dtype=torch.int64)
    recent[0, : len(newest_first)] = torch.tensor(newest_first)
    return Batch(torch.tensor([[newest_first[0]]]), extra={"recent": recent})


def shares(scores: torch.Tensor) -> np.ndarray:
    return scores.exp()[0].numpy()


def test_popularity_counts_the_training_part_only() -> None:
    model = Popularity().fit(samples_of([1, 1, 2, 3], [2, 3, 3], trained=[3, 1]))

    assert shares(model(question(1))) == pytest.approx([0.5, 0.5, 0], abs=1e-6)


def test_markov_weighs_distance_age_and_nothing_else() -> None:
    model = Markov().fit(samples_of([1, 2, 3], [1, 3]))
    flow = model.flow(question(2, 1).extra["recent"].numpy()[:, :10]).toarray()[0]

    # 1 -> 2: 1; 1 -> 3: 1/2 + 1; 2 -> 3: 1; item 1 is one step older.
    assert flow == pytest.approx([0, 0.7 * 1, 1 + 0.7 * 1.5])


def test_rarity_divides_by_the_root_of_the_count() -> None:
    samples = samples_of([1, 2, 3], [1, 3])
    plain, rare = Markov().fit(samples), Markov(rarity=0.5).fit(samples)
    recent = question(1).extra["recent"].numpy()[:, :10]

    expected = plain.flow(recent).toarray()[0] / np.sqrt(np.array([2, 1, 2]) + 1)
    assert rare.flow(recent).toarray()[0] == pytest.approx(expected)


def test_item_knn_is_the_cosine_of_who_had_what() -> None:
    model = ItemKNN().fit(samples_of([1, 2], [1, 2, 2], [1, 3]))
    flow = model.flow(question(1).extra["recent"].numpy()).toarray()[0]

    assert flow == pytest.approx([0, 2 / np.sqrt(3 * 2), 1 / np.sqrt(3)])


def test_item_knn_keeps_the_nearest_only() -> None:
    rows = [[1, 2], [1, 2], [1, 3]]
    flow = ItemKNN(n_neighbours=1).fit(samples_of(*rows)).flow(np.array([[1]])).toarray()[0]

    assert (flow > 0).tolist() == [False, True, False]


@pytest.mark.parametrize("name", make_baselines())
def test_new_items_change_no_old_score(name: str) -> None:
    model = make_baselines()[name].fit(samples_of([1, 2, 3, 1], [2, 1, 3]))
    before = model(question(1, 2))

    model.grow(5)

    after = model(question(1, 2))
    assert after.shape == (1, 5)
    assert torch.equal(after[:, :3], before)
    assert after[0, 3] < before.max()
