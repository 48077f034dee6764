"""Errors of chaotic forecasts by lead time: hand-made values, and what diverged counts."""

import numpy as np
import pytest

from seqmamba.errors import DataError
from seqmamba.metrics.chaos import (
    METRICS,
    dstsp_gmm_paper,
    nrmse_by_lead,
    smape_by_lead,
    valid_prediction_time,
    valid_steps,
    valid_steps_smape,
)

TRUTH = np.array([[[1.0, 2.0], [2.0, 4.0], [1.0, 2.0], [2.0, 4.0]]])


def test_the_running_percentage_error_is_as_by_hand() -> None:
    forecast = TRUTH * np.array([1.0, 3.0, 1.0, 1.0])[None, :, None]

    # 2|y - p| / (|y| + |p|) is 0, 1, 0, 0
    np.testing.assert_allclose(smape_by_lead(TRUTH, forecast), [[0, 50, 100 / 3, 25]], rtol=1e-12)


def test_the_normalised_error_is_as_by_hand() -> None:
    forecast = TRUTH + np.array([0.3, 0.4])

    error = nrmse_by_lead(TRUTH, forecast, [1.0, 2.0])

    np.testing.assert_allclose(error, np.sqrt((0.09 + 0.04) / 2), rtol=1e-12)


def test_valid_steps_end_at_the_first_failure() -> None:
    forecast = TRUTH.copy()
    forecast[0, 2] += 5.0

    assert valid_steps(TRUTH, forecast, [1.0, 1.0]).tolist() == [2]
    assert valid_steps(TRUTH, TRUTH, [1.0, 1.0]).tolist() == [4]


def test_the_papers_valid_steps_lag_behind() -> None:
    truth = np.ones((1, 10, 1))
    forecast = np.where(np.arange(10)[None, :, None] < 5, 1.0, 2.0)  # sMAPE of a failure: 200 / 3

    assert valid_steps(truth, forecast, [1.0]).tolist() == [5]
    assert valid_steps_smape(truth, forecast).tolist() == [9]  # 4/9 of 66.7 is 29.6


def test_a_diverged_forecast_counts_in_every_metric() -> None:
    forecast = TRUTH.copy()
    forecast[0, 1:] = np.nan

    assert valid_steps(TRUTH, forecast, [1.0, 1.0]).tolist() == [1]
    assert smape_by_lead(TRUTH, forecast)[0, -1] == 150.0
    assert METRICS["diverged"].function(TRUTH, forecast) == 1
    assert dstsp_gmm_paper(TRUTH, np.full_like(TRUTH, np.nan)) > 100


def test_one_forecast_has_a_valid_time() -> None:
    truth = np.sin(np.linspace(0, 6.28, 100))[:, None]

    assert valid_prediction_time(truth, truth, dt=0.1, lyapunov_time=2.0) == pytest.approx(5.0)
    with pytest.raises(DataError, match="channel 0 of the truth is constant"):
        valid_prediction_time(truth * 0, truth)


def test_shapes_must_agree() -> None:
    with pytest.raises(DataError, match="must both be"):
        valid_steps(TRUTH, TRUTH[:, :2], [1.0, 1.0])
