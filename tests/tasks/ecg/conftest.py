"""A small fitted classifier and the recordings that it learned from."""

from typing import Any

import pytest

from seqmamba.datasets import simulate
from seqmamba.tasks.ecg.estimator import ECGClassifier


@pytest.fixture(scope="session")
def recordings() -> tuple[Any, Any]:
    """Signals (60, 12, 1000) at 100 Hz and a table of 11 labels."""
    x, y = simulate.ecg(n=60, seed=0)
    return x, y


@pytest.fixture(scope="session")
def small_model(recordings: tuple[Any, Any]) -> ECGClassifier:
    """A network of few weights; nothing is asked of its scores."""
    x, y = recordings
    model = ECGClassifier(d_model=16, n_layers=1, max_epochs=3, random_state=0)
    return model.fit(x[:48], y[:48])
