"""The simulated shop follows its law, and its oracle is the best that can be done."""

import numpy as np

from seqmamba.datasets.simulate import interactions


def test_the_same_seed_gives_the_same_log() -> None:
    first, second = interactions(40, 50, seed=3), interactions(40, 50, seed=3)

    assert first.equals(second)
    assert not first.equals(interactions(40, 50, seed=4))


def test_histories_have_the_promised_lengths_and_times() -> None:
    log = interactions(200, 100, seed=0)
    counts = log.groupby("user_id").size()

    assert counts.min() >= 5
    assert counts.max() <= 60
    assert log.timestamp.is_monotonic_increasing
    assert set(log.item_id) <= {f"i{n}" for n in range(1, 101)}


def test_no_fixed_list_beats_the_oracle() -> None:
    log, oracle = interactions(3000, 300, seed=0, oracle=True)
    last = log.groupby("user_id").item_id.last()

    popular = log.item_id.value_counts().index[:10]
    hit_rate = np.isin(last, popular).mean()

    assert hit_rate + 0.1 < oracle["hr@10"] < 1
    assert oracle["ndcg@10"] < oracle["hr@10"]
