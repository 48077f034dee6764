"""What the classifier learns: more than the cheap model."""

import pytest

from seqmamba.datasets.simulate.heart import ecg
from seqmamba.tasks.ecg.estimator import ECGClassifier

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained() -> ECGClassifier:
    x, y = ecg(n=400, seed=10)
    return ECGClassifier(max_epochs=15, patience=None, random_state=0).fit(x, y)


def test_network_beats_logistic_regression(trained: ECGClassifier) -> None:
    x, y = ecg(n=200, seed=11)

    scores = trained.evaluate(x, y, metrics=["auroc", "auprc"])

    assert (scores["value"] > scores["baseline"] + 0.05).all()
