"""Calibration, thresholds and losses."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from seqmamba.metrics.multilabel import expected_calibration_error
from seqmamba.tasks.ecg.answers.calibration import fit_calibrator
from seqmamba.tasks.ecg.answers.thresholds import tune_thresholds
from seqmamba.tasks.ecg.net.losses import asymmetric_loss, class_weights, masked_bce


def _overconfident(n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    logit = random.normal(-0.5, 1.5, (n, 2))
    truth = (random.random((n, 2)) < expit(logit)).astype(float)
    return 3 * logit + 1, truth


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_calibration_lowers_the_error_and_keeps_the_order(method: str) -> None:
    logits, truth = _overconfident()

    calibrated = fit_calibrator(logits, truth, method, exclusive=False)(logits)  # type: ignore[arg-type]  # parametrised

    before = expected_calibration_error(truth, expit(logits))
    assert expected_calibration_error(truth, calibrated) < 0.5 * before
    order = np.argsort(logits[:, 0])
    assert (np.diff(calibrated[order, 0]) >= -1e-12).all()


def test_few_positives_take_the_common_temperature() -> None:
    logits, truth = _overconfident()
    truth[:, 1] = 0
    truth[:5, 1] = 1

    found = fit_calibrator(logits, truth, "platt", exclusive=False)

    assert found.methods == ("platt", "temperature")


@pytest.mark.parametrize(("rule", "expected"), [("f1", 0.35), ("youden", 0.35), ("half", 0.5)])
def test_threshold_parts_what_can_be_parted(rule: str, expected: float) -> None:
    p = np.array([0.9, 0.8, 0.7, 0.6, 0.4, 0.3, 0.2, 0.1])[:, None]
    truth = np.array([1.0, 1, 1, 1, 1, 0, 0, 0])[:, None]

    thresholds, few = tune_thresholds(truth, p, rule, ["A"])

    assert thresholds[0] == pytest.approx(expected)
    assert few == []


def test_wanted_sensitivity_is_reached() -> None:
    logits, truth = _overconfident()
    p = expit(logits)

    thresholds, _ = tune_thresholds(truth, p, {"A": ("sens", 0.95)}, ["A", "B"])

    reached = (p[truth[:, 0] == 1, 0] >= thresholds[0]).mean()
    assert 0.95 <= reached < 0.97


def test_rare_class_is_flagged() -> None:
    logits, truth = _overconfident()
    truth[:, 1] = 0
    truth[:4, 1] = 1

    assert tune_thresholds(truth, expit(logits), "f1", ["A", "B"])[1] == ["B"]


def test_unknown_labels_have_no_gradient() -> None:
    logits = torch.zeros(2, 2, requires_grad=True)
    truth = torch.tensor([[1.0, float("nan")], [0.0, 1.0]])

    for loss in (masked_bce(logits, truth), asymmetric_loss(logits, truth)):
        (gradient,) = torch.autograd.grad(loss, logits)
        assert gradient[0, 1] == 0
        assert (gradient[truth == 1] < 0).all()


def test_balanced_weights_are_bounded() -> None:
    y = np.zeros((1000, 2))
    y[:500, 0], y[0, 1] = 1, 1

    found = class_weights(y, ["A", "B"], "balanced")

    assert found is not None
    assert found.tolist() == [1.0, 10.0]
