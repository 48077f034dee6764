"""A small log and models trained on it once."""

from typing import Any

import pandas as pd
import pytest

from seqmamba.datasets.simulate.shopping import interactions
from seqmamba.tasks.recommend.estimator import SIGMARecommender

SMALL: dict[str, Any] = {
    "d_model": 16,
    "d_state": 4,
    "max_len": 20,
    "random_state": 0,
    "num_threads": 1,
}


@pytest.fixture(scope="session")
def log() -> pd.DataFrame:
    return interactions(60, 50, seed=1)


@pytest.fixture(scope="session")
def model(log: pd.DataFrame) -> SIGMARecommender:
    return SIGMARecommender(max_epochs=2, anchor="markov", **SMALL).fit(log)


@pytest.fixture(scope="session")
def causal(log: pd.DataFrame) -> SIGMARecommender:
    return SIGMARecommender(preset="mamba4rec", max_epochs=1, **SMALL).fit(log)
