"""From windows to records: logits, calibrated probabilities, decisions, the validation's score."""

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax
from torch import nn

from seqmamba.datasets.samples import Samples
from seqmamba.metrics.multilabel import auprc
from seqmamba.tasks.ecg.answers.calibration import Calibrator
from seqmamba.tasks.ecg.baselines import FeatureRegression, simple_features
from seqmamba.tasks.ecg.building import rate_of
from seqmamba.tasks.ecg.samples import RecordSamples
from seqmamba.train.loop import Objective, mean_loss

__all__ = ["baseline_features", "baseline_probabilities", "calibrator_of", "combined", "decide"]
__all__ += ["objective_of"]

Floats = NDArray[np.float64]
CHUNK = 256


def combined(model: Any, logits: NDArray[Any], samples: RecordSamples) -> Floats:
    """Return logits of records (n, K) from those of their windows: the mean, or the largest."""
    logits = logits.astype(np.float64)
    if len(samples.records) == len(samples.names):
        return logits
    if model.combine == "mean":
        return np.asarray(samples.by_record(logits))
    largest = np.full((len(samples.names), logits.shape[1]), -np.inf)
    np.maximum.at(largest, samples.records, logits)
    return largest


def calibrator_of(model: Any) -> Calibrator:
    """Return the fitted calibration."""
    return Calibrator(
        model.slopes_,
        model.offsets_,
        model.steps_,
        tuple(model.calibrators_),
        not model.is_multilabel_,
    )


def decide(model: Any, probabilities: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which classes are answered: (n, K); exactly one where classes exclude each other."""
    if model.is_multilabel_:
        return np.asarray(probabilities >= model.thresholds_)
    best = np.nan_to_num(probabilities, nan=-1.0).argmax(-1)
    return np.asarray(best[:, None] == np.arange(probabilities.shape[1]))


def baseline_features(model: Any, samples: RecordSamples) -> Floats:
    """Return the features that the baseline reads."""
    return simple_features(samples, None if model.is_plain_ else rate_of(model))


def baseline_probabilities(model: Any, samples: RecordSamples) -> Floats:
    """Return the probabilities of logistic regression on simple features: (n, K)."""
    center, spread = model.baseline_scaling_
    baseline = FeatureRegression(model.baseline_weights_, center, spread)
    logits = baseline.logits(baseline_features(model, samples))
    return np.asarray(expit(logits) if model.is_multilabel_ else softmax(logits, axis=1))


def objective_of(model: Any) -> Objective:
    """Return 1 - macro AUPRC of the records; the loss where no class has both labels."""

    def measure(net: nn.Module, samples: Samples) -> float:
        assert isinstance(samples, RecordSamples)
        assert samples.y is not None
        if isinstance(model.class_weight, Mapping):  # costs were given: they decide
            return mean_loss(model._loss, model.device_, 256)(net, samples)
        value = auprc(samples.y, _record_logits(model, net, replace(samples, training=False)))
        if math.isnan(value):
            return mean_loss(model._loss, model.device_, 256)(net, samples)
        return 1 - value

    return torch.inference_mode()(measure)


def _record_logits(model: Any, net: nn.Module, samples: RecordSamples) -> Floats:
    """Return logits (n, K) of a network that need not be the model's own, such as an anchor."""
    device = next(chain(net.parameters(), net.buffers())).device
    parts = [
        net(samples.batch(np.arange(start, min(start + CHUNK, len(samples)))).to(device)).cpu()
        for start in range(0, len(samples), CHUNK)
    ]
    return combined(model, torch.cat(parts).double().numpy(), samples)
