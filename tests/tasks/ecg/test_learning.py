"""What the classifier learns: more than the cheap model, and from the right place."""

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import uniform_filter1d

from seqmamba.datasets.simulate.heart import CLASSES, ecg, make_ecg
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


def test_premature_beats_carry_their_own_saliency(trained: ECGClassifier) -> None:
    made = make_ecg(120, seed=12, difficulty=0.5)
    place = CLASSES.index("PVC")
    sure = trained.predict_proba(made.x)[:, place] > 0.5
    rows = np.flatnonzero((made.y[:, place] == 1) & sure)
    shares = []
    values: Any = trained.saliency(made.x[rows], target="PVC")
    for row, value in zip(rows, values, strict=True):
        # what speaks for the class, over all leads, in tokens of eight samples
        mass = np.clip(uniform_filter1d(value.sum(0), 8), 0, None)
        strongest = mass >= np.quantile(mass, 0.9)
        beats = made.meta[row]["beats"][np.array(made.meta[row]["kinds"]) == "V"]
        near = (np.abs(np.arange(1000)[:, None] / 100 - beats) <= 0.15).any(1)
        shares.append(mass[strongest & near].sum() / mass[strongest].sum())

    assert len(shares) >= 8
    assert np.mean(shares) >= 0.6  # ECG specification, 7
