"""The metrics by name, as a sweep and ``evaluate`` know them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqmamba.metrics.chaos.valid_time import (
    nrmse_by_lead,
    paired,
    smape_by_lead,
    valid_steps,
    valid_steps_smape,
)
from seqmamba.metrics.metric import Metric

__all__ = ["METRICS"]


def _unscaled(truth: Any) -> NDArray[np.float64]:
    spread: NDArray[np.float64] = np.asarray(truth, np.float64).std(axis=(0, 1))
    return spread


def _mean_steps(truth: Any, forecast: Any) -> float:
    return float(valid_steps(truth, forecast, _unscaled(truth)).mean())


def _median_steps(truth: Any, forecast: Any) -> float:
    return float(np.median(valid_steps(truth, forecast, _unscaled(truth))))


def _low_steps(truth: Any, forecast: Any) -> float:
    return float(np.quantile(valid_steps(truth, forecast, _unscaled(truth)), 0.1))


def _smape_steps(truth: Any, forecast: Any) -> float:
    return float(valid_steps_smape(truth, forecast).mean())


def _smape(truth: Any, forecast: Any) -> float:
    return float(smape_by_lead(truth, forecast)[:, -1].mean())


def _nrmse(truth: Any, forecast: Any) -> float:
    return float(nrmse_by_lead(truth, forecast, _unscaled(truth)).mean())


def _one_step(truth: Any, forecast: Any) -> float:
    true, guess = paired(truth, forecast)
    return float(np.abs(true[:, 0] - guess[:, 0]).mean())


def _diverged(truth: Any, forecast: Any) -> float:
    return float((~np.isfinite(np.asarray(forecast))).any(axis=(1, 2)).sum())


# Without the estimator, valid times are counted in steps and the truth itself gives the scale;
# ``evaluate`` reports Lyapunov times, with the scale of the training part.
METRICS: Mapping[str, Metric] = {
    "vpt": Metric(_mean_steps, greater_is_better=True, unit="Lyapunov times"),
    "vpt_median": Metric(_median_steps, greater_is_better=True, unit="Lyapunov times"),
    "vpt_p10": Metric(_low_steps, greater_is_better=True, unit="Lyapunov times"),
    "vpt_smape": Metric(_smape_steps, greater_is_better=True, unit="Lyapunov times"),
    "one_step": Metric(_one_step, unit="user's"),
    "nrmse": Metric(_nrmse, unit="standard deviations"),
    "smape": Metric(_smape, unit="%"),
    "diverged": Metric(_diverged, unit="rollouts"),
}
