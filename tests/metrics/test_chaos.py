"""Metrics of chaotic forecasts: hand-made values, zeros where nothing differs, known dimensions."""

import numpy as np
import pytest

from seqmamba.datasets.simulate.chaotic.orbits import orbits
from seqmamba.errors import DataError
from seqmamba.metrics import chaos_climate as climate
from seqmamba.metrics.chaos import (
    METRICS,
    nrmse_by_lead,
    smape_by_lead,
    valid_prediction_time,
    valid_steps,
    valid_steps_smape,
)
from seqmamba.metrics.chaos_dimension import (
    correlation_dimension,
    dfrac_paper,
    lyapunov_rosenstein,
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
    assert climate.dstsp_gmm_paper(TRUTH, np.full_like(TRUTH, np.nan)) > 100


def test_one_forecast_has_a_valid_time() -> None:
    truth = np.sin(np.linspace(0, 6.28, 100))[:, None]

    assert valid_prediction_time(truth, truth, dt=0.1, lyapunov_time=2.0) == pytest.approx(5.0)
    with pytest.raises(DataError, match="channel 0 of the truth is constant"):
        valid_prediction_time(truth * 0, truth)


def test_shapes_must_agree() -> None:
    with pytest.raises(DataError, match="must both be"):
        valid_steps(TRUTH, TRUTH[:, :2], [1.0, 1.0])


def test_equal_orbits_have_no_distance() -> None:
    x = orbits("lorenz63", 3_000, seed=0)[0]

    assert climate.dstsp_gmm(x, x) == pytest.approx(0, abs=1e-12)
    assert climate.dstsp_hist(x, x) == pytest.approx(0, abs=1e-12)
    assert climate.spectral_distance(x, x) == pytest.approx(0, abs=1e-6)
    assert climate.dstsp_gmm_paper(x[None, :300], x[None, :300]) == pytest.approx(0, abs=1e-12)
    assert dfrac_paper(x[None, :300], x[None, :300]) == 0
    # sic: the paper's spectral distance is not 0 for equal orbits
    assert climate.dh_paper(x[None, :300], x[None, :300]) > 0.1


def test_a_fixed_point_is_far_from_the_attractor() -> None:
    x, y = orbits("lorenz63", 3_000, n=2, seed=0)
    still = np.repeat(x[:1], 3_000, axis=0)

    assert climate.dstsp_gmm(x, still) > 50 * climate.dstsp_gmm(x, y)
    assert climate.spectral_distance(x, still) > 5 * climate.spectral_distance(x, y)


def test_a_circle_has_dimension_one() -> None:
    angle = np.arange(3_000) * 2.399963  # golden: evenly spread
    points = np.column_stack([np.cos(angle), np.sin(angle)])

    found = correlation_dimension(points, theiler=1, max_points=2_000)

    assert found == pytest.approx(1.0, abs=0.05)


@pytest.mark.slow
def test_lorenz_has_its_correlation_dimension() -> None:
    x = orbits("lorenz63", 5_000, dt=0.1, seed=0)[0]

    assert correlation_dimension(x, theiler=10, low=0.1, high=5.0) == pytest.approx(2.05, abs=0.1)


@pytest.mark.parametrize("system", ["lorenz63", "rossler"])
def test_the_exponent_is_estimated_from_data(system: str) -> None:
    from seqmamba.datasets.simulate.chaotic.systems import get_system

    x = orbits(system, 3_000, seed=0)[0]

    found = lyapunov_rosenstein(x, dt=get_system(system).dt)

    assert found == pytest.approx(get_system(system).lyapunov, rel=0.35)  # an estimate only


def test_too_few_rows_give_no_exponent() -> None:
    with pytest.raises(DataError, match="too few"):
        lyapunov_rosenstein(np.random.default_rng(0).random((80, 2)))
