"""Logits become probabilities that can be believed: Platt, temperature, isotonic."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, softmax

__all__ = ["CalibrationName", "Calibrator", "fit_calibrator"]

CalibrationName = Literal["platt", "isotonic", "none"]
Floats = NDArray[np.float64]
PLATT_POSITIVES, ISOTONIC_POSITIVES = 20, 200
NEWTON_STEPS = 50


@dataclass(frozen=True)
class Calibrator:
    """Maps logits (n, K) to probabilities (n, K).

    Parameters
    ----------
    slope, offset : array (K,)
        The calibrated logit is ``slope * logit + offset``.
    steps : array (m, 3)
        Class, logit and probability of isotonic knots; they replace the line for their classes.
    methods : tuple of str
        Of each class: platt, temperature, isotonic or none.
    exclusive : bool
        Classes exclude each other: softmax in place of the sigmoid.
    """

    slope: Floats
    offset: Floats
    steps: Floats
    methods: tuple[str, ...]
    exclusive: bool

    def __call__(self, logits: NDArray[Any]) -> Floats:
        """Return probabilities."""
        z = logits.astype(np.float64) * self.slope + self.offset
        if self.exclusive:
            return np.asarray(softmax(z, axis=-1))
        out = np.asarray(expit(z))
        for k in np.unique(self.steps[:, 0]).astype(int):
            knots = self.steps[self.steps[:, 0] == k]
            out[:, k] = np.interp(logits[:, k], knots[:, 1], knots[:, 2])
        return out


def fit_calibrator(
    logits: NDArray[Any], truth: NDArray[Any], method: CalibrationName, *, exclusive: bool
) -> Calibrator:
    """Fit on validation logits (n, K) and labels (n, K) of 0, 1 or NaN.

    Platt's line per class from 20 positives (and negatives) on, isotonic steps from 200 on; a class
    with fewer takes the temperature that is common to all.
    """
    n_classes = truth.shape[1]
    slope, offset = np.ones(n_classes), np.zeros(n_classes)
    methods = ["none"] * n_classes
    steps = np.zeros((0, 3))
    if method == "none" or len(logits) < 2:
        return Calibrator(slope, offset, steps, tuple(methods), exclusive)
    z = logits.astype(np.float64)
    slope[:] = 1 / _temperature(z, truth, exclusive)
    methods = ["temperature"] * n_classes
    for k in range(n_classes if not exclusive else 0):
        known = ~np.isnan(truth[:, k])
        y = truth[known, k]
        rarer = min(int(y.sum()), int(len(y) - y.sum()))
        if method == "isotonic" and rarer >= ISOTONIC_POSITIVES:
            steps = np.vstack([steps, _isotonic(k, z[known, k], y)])
            methods[k] = "isotonic"
        elif rarer >= PLATT_POSITIVES:
            slope[k], offset[k] = _platt(z[known, k], y)
            methods[k] = "platt"
    return Calibrator(slope, offset, steps, tuple(methods), exclusive)


def _temperature(z: Floats, truth: NDArray[Any], exclusive: bool) -> float:
    """Return the divisor of all logits under which the labels are most likely."""
    known = ~np.isnan(truth)
    target = np.where(known, truth, 0.0)

    def cost(log_temperature: float) -> float:
        scaled = z / np.exp(log_temperature)
        if exclusive:
            return -float(np.log(softmax(scaled, axis=-1)[target == 1] + 1e-12).mean())
        loss = np.logaddexp(0, scaled) - target * scaled
        return float(loss[known].mean()) if known.any() else 0.0

    found = minimize_scalar(cost, bounds=(-1.5, 1.5), method="bounded")
    return float(np.exp(found.x))


def _platt(z: Floats, y: Floats) -> tuple[float, float]:
    """Fit slope and offset by Newton's method on Platt's softened targets."""
    positive, negative = y.sum(), len(y) - y.sum()
    target = np.where(y == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))
    inputs = np.column_stack([z, np.ones_like(z)])
    weights = np.array([1.0, 0.0])
    for _ in range(NEWTON_STEPS):
        p = expit(inputs @ weights)
        gradient = inputs.T @ (p - target)
        curvature = (inputs * (p * (1 - p))[:, None]).T @ inputs + 1e-6 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        weights = weights - np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-9:
            break
    if weights[0] <= 0:  # never turn the order of the scores over
        return 1.0, 0.0
    return float(weights[0]), float(weights[1])


def _isotonic(k: int, z: Floats, y: Floats) -> Floats:
    from sklearn.isotonic import IsotonicRegression  # only where asked for

    model = IsotonicRegression(out_of_bounds="clip", y_min=0.0, y_max=1.0).fit(z, y)
    knots, values = model.X_thresholds_, model.y_thresholds_
    return np.column_stack([np.full(len(knots), float(k)), knots, values])
