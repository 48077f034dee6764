"""Multi-label scores against the official code's numbers."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from seqmamba.errors import DataError
from seqmamba.metrics import multilabel
from seqmamba.metrics.metric import bootstrap
from seqmamba.metrics.multilabel import METRICS, challenge

CINC, PTBXL = 1e-9, 1e-6  # the bounds


@pytest.fixture(scope="module")
def golden(data_dir: Path) -> tuple[Any, dict[str, Any]]:
    folder = data_dir / "ecg"
    values = json.loads((folder / "metric_golden_cinc2021.json").read_text())
    return np.load(folder / "metric_golden_cinc2021.npz"), values


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "function", "answer"),
    [
        ("macro_auroc", multilabel.auroc, "scores"),
        ("macro_auprc", multilabel.auprc, "scores"),
        ("accuracy", multilabel.accuracy, "binary"),
        ("macro_f", multilabel.macro_f1, "binary"),
        ("auroc_per_class", multilabel.class_auroc, "scores"),
        ("auprc_per_class", multilabel.class_auprc, "scores"),
        ("f_per_class", multilabel.class_f1, "binary"),
    ],
)
def test_official_evaluation_gives_the_same(
    golden: tuple[Any, dict[str, Any]], name: str, function: Any, answer: str
) -> None:
    arrays, values = golden

    found = function(arrays["labels"], arrays[answer])

    expected = np.array(values[name], dtype=float)
    np.testing.assert_allclose(found, expected, rtol=0, atol=CINC)


@pytest.mark.data
def test_challenge_metric_equals_the_official(
    golden: tuple[Any, dict[str, Any]], data_dir: Path
) -> None:
    arrays, values = golden
    with open(data_dir / "ecg" / "cinc2021_weights.csv") as file:
        header, *rows = csv.reader(file)
    weights = np.array([row[1:] for row in rows], dtype=float)
    normal = header[1:].index("426783006")

    found = challenge(arrays["labels"], arrays["binary"], weights, normal=normal)

    assert header[1:] == [row[0] for row in rows]
    assert abs(found - values["challenge_metric"]) < CINC


@pytest.mark.data
def test_published_ptbxl_scores_are_reproduced(data_dir: Path) -> None:
    arrays = np.load(data_dir / "ecg" / "ptbxl_xresnet1d101_test.npz")

    assert abs(multilabel.auroc(arrays["labels"], arrays["scores"]) - 0.925436) < PTBXL
    assert abs(multilabel.auprc(arrays["labels"], arrays["scores"]) - 0.370583) < PTBXL


@pytest.mark.data
def test_bootstrap_interval_of_ptbxl_agrees(data_dir: Path) -> None:
    arrays = np.load(data_dir / "ecg" / "ptbxl_xresnet1d101_test.npz")

    mean, low, high = bootstrap(
        multilabel.auroc,
        arrays["labels"],
        arrays["scores"],
        level=0.9,
        n_resamples=100,
        usable=lambda truth: bool((truth == 1).any(0).all()),
    )

    assert mean == pytest.approx(0.92487, abs=1.5e-3)  # other draws than the benchmark's
    assert low == pytest.approx(0.91852, abs=2.5e-3)
    assert high == pytest.approx(0.93148, abs=2.5e-3)


@pytest.mark.parametrize("levels", [3, 1000])
def test_ties_count_as_in_scikit_learn(levels: int) -> None:
    random = np.random.default_rng(0)
    truth = (random.random((60, 4)) < 0.3).astype(float)
    scores = random.integers(0, levels, (60, 4)) / levels

    found = multilabel.class_auroc(truth, scores), multilabel.class_auprc(truth, scores)

    np.testing.assert_allclose(found[0], roc_auc_score(truth, scores, average=None), rtol=1e-12)
    expected = average_precision_score(truth, scores, average=None)
    np.testing.assert_allclose(found[1], expected, rtol=1e-12)


def test_class_without_positives_is_left_out() -> None:
    truth = np.array([[1, 0], [0, 0], [1, 0], [0, 0]])
    scores = np.array([[0.9, 0.5], [0.1, 0.2], [0.8, 0.1], [0.3, 0.7]])

    assert multilabel.auroc(truth, scores) == 1.0
    assert np.isnan(multilabel.class_auroc(truth, scores)[1])


def test_unknown_labels_count_nowhere() -> None:
    truth = np.array([[1.0, 0], [0, 1], [1, np.nan], [0, 0]])
    scores = np.array([[0.9, 0.5], [0.1, 0.6], [0.8, 0.99], [0.3, 0.1]])

    assert multilabel.auprc(truth, scores) == 1.0
    assert multilabel.accuracy(truth, (scores > 0.55).astype(float)) == 1.0


def test_perfect_and_normal_answers_bound_the_challenge_metric() -> None:
    truth, weights = np.eye(3)[[0, 1, 2, 1, 1]], np.eye(3)
    normal = np.tile([1.0, 0, 0], (5, 1))

    assert challenge(truth, truth, weights, normal=0) == 1.0
    assert challenge(truth, normal, weights, normal=0) == 0.0


def test_sure_and_right_is_perfectly_calibrated() -> None:
    truth = np.array([[1.0], [0], [1]])

    assert METRICS["ece"].function(truth, truth) == 0
    assert METRICS["brier"].function(truth, truth) == 0
    assert METRICS["ece"].function(truth, np.full((3, 1), 0.9)) == pytest.approx(0.9 - 2 / 3)


def test_shapes_that_differ_are_named() -> None:
    with pytest.raises(DataError, match=r"\(3, 2\).*\(3, 1\)"):
        multilabel.auroc(np.zeros((3, 2)), np.zeros((3, 1)))
