"""The defaults learn what can be learned from the simulator, and nothing from noise."""

from typing import Any

import numpy as np
import pytest

from seqmamba.datasets.simulate.shopping import interactions
from seqmamba.tasks.recommend.estimator import SIGMARecommender

SHORT: dict[str, Any] = {"max_len": 30, "keep_last": 15, "num_threads": 1}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_network_comes_near_the_oracle_and_beats_the_markov_chain(seed: int) -> None:
    log, oracle = interactions(500, 300, seed, oracle=True)

    model = SIGMARecommender(max_epochs=12, random_state=seed, **SHORT).fit(log)

    row = model.evaluate(seen="keep", metrics=["ndcg@10"]).row(0, named=True)
    assert row["network"] >= 0.85 * oracle["ndcg@10"]
    assert row["gain_low"] > 0
    assert row["network"] > row["markov"] + 0.05


@pytest.mark.slow
def test_nothing_is_learned_from_shuffled_items() -> None:
    log = interactions(500, 300, 0)
    log["item_id"] = log.item_id.sample(frac=1, random_state=0).to_numpy()

    model = SIGMARecommender(max_epochs=5, anchor=None, random_state=0, **SHORT).fit(log)

    row = model.evaluate(seen="keep", metrics=["hr@10"]).row(0, named=True)
    error = np.sqrt(row["popularity"] * (1 - row["popularity"]) / row["users"])
    assert abs(row["value"] - row["popularity"]) < 3 * error
