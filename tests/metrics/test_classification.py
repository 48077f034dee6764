"""Classification metrics agree with scikit-learn's, and know their limits."""

import math
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as theirs

from seqmamba.errors import DataError
from seqmamba.metrics import classification as ours
from seqmamba.metrics.metric import bootstrap


def answers(n_classes: int, n: int = 80, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    probability = rng.dirichlet(np.ones(n_classes), n).round(2)
    return rng.integers(0, n_classes, n), probability / probability.sum(1, keepdims=True)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_scores_are_those_of_scikit_learn(n_classes: int) -> None:
    truth, p = answers(n_classes)
    best = p.argmax(1)
    score = p[:, 1] if n_classes == 2 else p

    assert ours.auroc(truth, p) == pytest.approx(
        theirs.roc_auc_score(truth, score, multi_class="ovr")
    )
    assert ours.accuracy(truth, p) == pytest.approx(theirs.accuracy_score(truth, best))
    assert ours.balanced_accuracy(truth, p) == pytest.approx(
        theirs.balanced_accuracy_score(truth, best)
    )
    assert ours.macro_f1(truth, p) == pytest.approx(theirs.f1_score(truth, best, average="macro"))
    assert ours.log_loss(truth, p.clip(1e-9)) == pytest.approx(
        theirs.log_loss(truth, p.clip(1e-9)), rel=1e-6
    )
    assert ours.confusion(truth, p).tolist() == theirs.confusion_matrix(truth, best).tolist()


def test_a_class_that_is_absent_counts_nowhere() -> None:
    truth, p = answers(3)
    kept = truth != 2

    found = ours.auroc(truth[kept], p[kept])

    one = theirs.roc_auc_score(truth[kept] == 0, p[kept, 0])
    other = theirs.roc_auc_score(truth[kept] == 1, p[kept, 1])
    assert found == pytest.approx((one + other) / 2)


def test_one_class_has_no_ranking() -> None:
    assert math.isnan(ours.auroc([1, 1], [[0.2, 0.8], [0.5, 0.5]]))


def test_calibration_error_of_a_hand_made_table() -> None:
    # four answers of 0.8, three of them right: |0.75 - 0.8|; one of 1.0, right: 0
    truth = [1, 1, 1, 0, 0]
    p = [[0.2, 0.8]] * 4 + [[1.0, 0.0]]

    assert ours.calibration_error(truth, p) == pytest.approx(4 / 5 * 0.05)


def test_the_interval_holds_the_score_and_narrows() -> None:
    truth, p = answers(2, n=40)
    _, low, high = bootstrap(ours.auroc, truth, p, n_resamples=200)
    many = bootstrap(ours.auroc, np.tile(truth, 8), np.tile(p, (8, 1)), n_resamples=200)

    assert low < ours.auroc(truth, p) < high
    assert many[2] - many[1] < high - low


def test_shapes_and_codes_are_checked() -> None:
    with pytest.raises(DataError, match="do not fit"):
        ours.accuracy([0, 1], [[1.0, 0.0]])
    with pytest.raises(DataError, match="code 2"):
        ours.accuracy([2], [[1.0, 0.0]])
