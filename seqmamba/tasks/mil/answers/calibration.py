"""Temperature scaling of logits on held-out bags."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from seqmamba.metrics.classification import calibration_error

__all__ = ["best_temperature"]

WIDEST = float(np.log(20.0))


def best_temperature(
    logits: NDArray[np.float64], codes: NDArray[np.int64]
) -> tuple[float, dict[str, float]]:
    """Return the temperature of least log-loss, and the calibration before and after.

    Source: Guo et al., arXiv 1706.04599; the temperature stays within [1/20, 20].

    Parameters
    ----------
    logits : array (n, K)
    codes : int array (n,)

    Returns
    -------
    temperature : float
    report : dict
        ``bags, error_before, error_after``: the expected calibration error of 15 bins.
    """

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return float(-np.take_along_axis(scaled, codes[:, None], 1).mean())

    found = minimize_scalar(loss, bounds=(-WIDEST, WIDEST), method="bounded")
    temperature = float(np.exp(found.x))
    before = calibration_error(codes, softmax(logits, axis=1))
    after = calibration_error(codes, softmax(logits / temperature, axis=1))
    report = {"bags": float(len(codes)), "error_before": before, "error_after": after}
    return temperature, report
