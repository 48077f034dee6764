"""Cheap models: logistic regression on simple features, and the anchor that reads the rhythm."""

import warnings
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from seqmamba.datasets.samples import Batch, Samples
from seqmamba.tasks.ecg.samples import RecordSamples
from seqmamba.train.anchor import Anchor

__all__ = ["FeatureRegression", "RhythmAnchor", "simple_features"]

Floats = NDArray[np.float64]
BANDS_HZ = ((0.5, 3.0), (3.0, 8.0), (8.0, 20.0), (20.0, 45.0))
BEAT_S = (0.35, 1.7)  # intervals between beats that are looked for
CHUNK = 256
REGULARISATION = 0.1
MOST_STEPS = 300
FARTHEST = 5.0  # usual sizes; farther out a rhythm says no more


@dataclass(frozen=True)
class FeatureRegression:
    """One logistic regression per class on standardised features.

    Parameters
    ----------
    weights : array (K, F + 1)
        Last column: intercept.
    center, spread : array (F,)
    """

    weights: Floats
    center: Floats
    spread: Floats

    @classmethod
    def fit(cls, features: Floats, y: NDArray[Any]) -> "FeatureRegression":
        """Fit on features (n, F) and labels (n, K) of 0, 1 or NaN."""
        center, spread = features.mean(0), np.maximum(features.std(0), 1e-9)
        scaled = (features - center) / spread
        weights = np.zeros((y.shape[1], features.shape[1] + 1))
        for k, target in enumerate(y.T):
            known = ~np.isnan(target)
            share = target[known].mean() if known.any() else 0.0
            if not 0 < share < 1:
                weights[k, -1] = np.clip(np.log((share + 1e-3) / (1 - share + 1e-3)), -7, 7)
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # not converged is good enough for a yardstick
                model = LogisticRegression(C=REGULARISATION, max_iter=MOST_STEPS)
                model.fit(scaled[known], target[known])
            weights[k] = [*model.coef_[0], model.intercept_[0]]
        return cls(weights, center, spread)

    def logits(self, features: Floats) -> Floats:
        """Return (n, K)."""
        scaled = (features - self.center) / self.spread
        return np.asarray(scaled @ self.weights[:, :-1].T + self.weights[:, -1])


class RhythmAnchor(Anchor):
    """Logistic regression on heart rate, unevenness of the beats and level: Batch -> (B, K).

    Seven numbers: the three of :func:`seqmamba.tasks.ecg.signal.rhythm.rhythm_of`, their squares
    and the record's level. A network of few records learns the shape of waves sooner than their
    rate, and then has no error left to learn the rate from.
    """

    def __init__(self, n_outputs: int) -> None:
        super().__init__()
        self.register_buffer("weights", torch.zeros(n_outputs, 7))
        self.register_buffer("bias", torch.zeros(n_outputs))
        self.weights: Tensor
        self.bias: Tensor

    def fit(self, samples: Samples) -> Self:
        """Fit on the records' own numbers."""
        assert isinstance(samples, RecordSamples)
        assert samples.y is not None
        features = _rhythm_features(
            torch.from_numpy(samples.rhythm), torch.from_numpy(samples.level)
        )
        found = FeatureRegression.fit(features.double().numpy(), samples.y)
        slopes = found.weights[:, :-1] / found.spread
        self.weights = torch.from_numpy(slopes).float()
        self.bias = torch.from_numpy(found.weights[:, -1] - slopes @ found.center).float()
        return self

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B, K)."""
        features = _rhythm_features(batch.extra["rhythm"], batch.extra["level"])
        return nn.functional.linear(features, self.weights, self.bias)


def _rhythm_features(rhythm: Tensor, level: Tensor) -> Tensor:
    """Return the seven numbers of :class:`RhythmAnchor`: (B, 7)."""
    limited = rhythm.clamp(-FARTHEST, FARTHEST)
    return torch.cat([limited, limited.square(), level.unsqueeze(-1)], -1)


def simple_features(samples: RecordSamples, fs: float | None) -> Floats:
    """Return size, extremes, shape and bands of each lead, and the rhythm: (records, F).

    Parameters
    ----------
    fs : float or None
        None: the sequences have no rate, and are their own features.
    """
    parts = []
    still = RecordSamples(**{**vars(samples), "training": False})
    for start in range(0, len(still), CHUNK):
        batch = still.batch(np.arange(start, min(start + CHUNK, len(still))))
        x = batch.x.numpy().astype(np.float64)  # (B, T, C)
        if fs is None:
            parts.append(x.reshape(len(x), -1))
            continue
        level = batch.extra["level"].numpy()[:, None]
        parts.append(np.concatenate([_shape(x), _spectrum(x, fs), _rhythm(x, fs), level], axis=1))
    return still.by_record(np.concatenate(parts))


def _shape(x: Floats) -> Floats:
    spread = x.std(1)
    skew = np.mean((x - x.mean(1, keepdims=True)) ** 3, axis=1) / np.maximum(spread, 1e-3) ** 3
    return np.concatenate([spread, x.min(1), x.max(1), skew], axis=1)


def _spectrum(x: Floats, fs: float) -> Floats:
    power = np.abs(np.fft.rfft(x, axis=1)) ** 2
    rate = np.fft.rfftfreq(x.shape[1], 1 / fs)
    bands = [power[:, (rate >= low) & (rate < high)].sum(1) for low, high in BANDS_HZ]
    return np.log(np.concatenate(bands, axis=1) + 1e-6)


def _rhythm(x: Floats, fs: float) -> Floats:
    """Return the lag and height of the highest peak of the envelope's autocorrelation.

    Beats are not looked for: the yardstick stays what any spectrum would give.
    """
    envelope = np.sqrt(np.square(np.diff(x, axis=1)).sum(2))
    envelope = envelope - envelope.mean(1, keepdims=True)
    spectrum = np.abs(np.fft.rfft(envelope, 2 * envelope.shape[1], axis=1)) ** 2
    correlation = np.fft.irfft(spectrum, axis=1)
    low, high = (min(round(s * fs), envelope.shape[1] - 1) for s in BEAT_S)
    part = correlation[:, low : high + 1] / np.maximum(correlation[:, :1], 1e-9)
    lag = part.argmax(1)
    return np.column_stack([(lag + low) / fs, part.max(1)])
