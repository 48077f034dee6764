"""Cheap models to stand beside: they see statistics of a bag and no order."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from seqmamba.tasks.mil.data import BagSamples
from seqmamba.tasks.mil.net.blend import FARTHEST

__all__ = ["BagStatistics", "bag_statistics", "boosted_statistics", "regressed_statistics"]

Floats = NDArray[np.float64]


class BagStatistics(NamedTuple):
    """Logistic regression on the statistics of a bag.

    Parameters
    ----------
    weights : array (K + 2, P + 1)
        Mean and spread of the P statistics, then the coefficients of each class; the intercepts
        stand in the last column.
    """

    weights: Floats

    @classmethod
    def fit(
        cls, samples: BagSamples, n_classes: int, weight: NDArray[np.float32] | None = None
    ) -> Self:
        """Fit on labelled bags; classes that do not occur get no probability."""
        assert samples.y is not None
        table = bag_statistics(samples)
        mean, spread = table.mean(0), table.std(0)
        spread = np.where(spread > 1e-9, spread, 1.0)
        weights = np.zeros((n_classes + 2, table.shape[1] + 1))
        weights[0, :-1], weights[1, :-1] = mean, spread
        weights[2:, -1] = -1e3
        z, present = _standard(table, mean, spread), np.unique(samples.y)
        if len(present) == 1:  # the only class known is certain
            weights[2 + present, -1] = 0
            return cls(weights)
        model = LogisticRegression(C=0.1, max_iter=1_000).fit(z, samples.y, sample_weight=weight)
        coefficients = np.column_stack([model.coef_, model.intercept_])
        if len(coefficients) == 1:
            coefficients = np.concatenate([np.zeros_like(coefficients), coefficients])
        weights[2 + present] = coefficients
        return cls(weights)

    def predict(self, samples: BagSamples) -> Floats:
        """Return the probability of each class: (n, K)."""
        logits = self.logits(samples)
        odds = np.exp(logits - logits.max(1, keepdims=True))
        probability: Floats = odds / odds.sum(1, keepdims=True)
        return probability

    def logits(self, samples: BagSamples) -> Floats:
        """Return the logit of each class: (n, K)."""
        mean, spread = self.weights[:2, :-1]
        z = _standard(bag_statistics(samples), mean, spread)
        logits: Floats = z @ self.weights[2:, :-1].T + self.weights[2:, -1]
        return logits


def _standard(table: Floats, mean: Floats, spread: Floats) -> Floats:
    return np.clip((table - mean) / spread, -FARTHEST, FARTHEST)


def bag_statistics(samples: BagSamples) -> Floats:
    """Return mean, least, greatest, deviation of each feature, log of the size: (n, 4 F + 1)."""
    parts = []
    for _, rows, lengths in samples.blocks():
        x, starts = rows.astype(np.float64), np.cumsum(lengths) - lengths
        mean = np.add.reduceat(x, starts) / lengths[:, None]
        least, greatest = np.minimum.reduceat(x, starts), np.maximum.reduceat(x, starts)
        square = np.add.reduceat((x - np.repeat(mean, lengths, axis=0)) ** 2, starts)
        spread = np.sqrt(square / lengths[:, None])
        parts.append(np.column_stack([mean, least, greatest, spread, np.log(lengths)]))
    return np.concatenate(parts)


def regressed_statistics(train: BagSamples, test: BagSamples, n_classes: int) -> Floats:
    """Return class probabilities by logistic regression on bag statistics: (n, K)."""
    return BagStatistics.fit(train, n_classes).predict(test)


def boosted_statistics(train: BagSamples, test: BagSamples, n_classes: int) -> Floats:
    """Return class probabilities by gradient boosting on bag statistics: (n, K).

    A strong rival on the classic sets (multiple-instance specification, 3); too large to be kept
    in a model file.
    """
    model = GradientBoostingClassifier(random_state=0)
    model.fit(bag_statistics(train), train.y)
    probability = np.zeros((len(test), n_classes))
    probability[:, model.classes_] = model.predict_proba(bag_statistics(test))
    return probability
