"""A small panel and a small forecaster."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from seqmamba import SMambaForecaster
from seqmamba.datasets import simulate

SMALL: dict[str, Any] = {
    "h": 4,
    "input_size": 16,
    "d_model": 8,
    "max_epochs": 1,
    "learning_rate": 1e-3,
    "random_state": 0,
}


@pytest.fixture(scope="session")
def table() -> pd.DataFrame:
    """Three hourly series of 120 rows, long."""
    found: pd.DataFrame = simulate.panel(n_series=3, n_steps=120, seed=0)
    return found


@pytest.fixture(scope="session")
def wide(table: pd.DataFrame) -> pd.DataFrame:
    """Return the same, one column per series."""
    return table.pivot(index="ds", columns="unique_id", values="y").reset_index()


@pytest.fixture
def small() -> SMambaForecaster:
    """Return an unfitted forecaster that trains in a fraction of a second."""
    return SMambaForecaster(**SMALL)


@pytest.fixture(scope="session")
def fitted(table: pd.DataFrame) -> SMambaForecaster:
    """Return a forecaster fitted on the table; do not change it."""
    return SMambaForecaster(**SMALL).fit(table)


@pytest.fixture(scope="session")
def holes(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with a tenth of its cells missing."""
    random = np.random.default_rng(1)
    return table.assign(y=table["y"].where(random.random(len(table)) > 0.1))
