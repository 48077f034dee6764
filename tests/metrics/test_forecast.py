"""Errors of forecasts against independent definitions."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import (
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_pinball_loss,
    mean_squared_error,
)

from seqmamba.errors import DataError, SeqmambaWarning
from seqmamba.metrics import forecast as measures

RANDOM = np.random.default_rng(0)
TRUTH = RANDOM.normal(5, 1, (7, 4, 3))  # windows, steps, series
GIVEN = TRUTH + RANDOM.normal(0, 1, TRUTH.shape)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (measures.mae, mean_absolute_error),
        (measures.mse, mean_squared_error),
        (measures.mape, mean_absolute_percentage_error),
    ],
)
def test_scikit_learn_agrees(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(ours(TRUTH, GIVEN), theirs(TRUTH.ravel(), GIVEN.ravel()))


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
def test_pinball_is_scikit_learns(q: float) -> None:
    theirs = mean_pinball_loss(TRUTH.ravel(), GIVEN.ravel(), alpha=q)

    np.testing.assert_allclose(measures.pinball(TRUTH, GIVEN, q), theirs)


def test_an_axis_gives_one_value_per_series() -> None:
    per_series = measures.mae(TRUTH, GIVEN, axis=(0, 1))

    assert per_series.shape == (3,)
    np.testing.assert_allclose(per_series.mean(), measures.mae(TRUTH, GIVEN))


def test_missing_truth_is_left_out() -> None:
    holes = TRUTH.copy()
    holes[0] = np.nan

    np.testing.assert_allclose(measures.mae(holes, GIVEN), measures.mae(TRUTH[1:], GIVEN[1:]))


def test_nothing_observed_is_nan() -> None:
    assert np.isnan(measures.mae([np.nan], [1.0]))


def test_smape_of_a_perfect_forecast_is_zero() -> None:
    assert measures.smape([1.0, 2.0], [1.0, 2.0]) == 0


def test_smape_of_a_forecast_of_zero_is_two() -> None:
    assert measures.smape([1.0, 2.0], [0.0, 0.0]) == 2


def test_a_naive_forecast_one_season_ahead_has_mase_one() -> None:
    train = np.cumsum(RANDOM.normal(size=(200, 2)), axis=0)
    scale = measures.seasonal_scale(train, 7)

    found = measures.mase(train[7:], train[:-7], scale=scale, axis=0)

    np.testing.assert_allclose(found, 1)


def test_a_naive_forecast_has_rmsse_one() -> None:
    train = np.cumsum(RANDOM.normal(size=(200, 2)), axis=0)
    scale = measures.seasonal_scale(train, 1, power=2)

    np.testing.assert_allclose(measures.rmsse(train[1:], train[:-1], scale=scale), 1)


@pytest.mark.parametrize(
    ("measure", "options"),
    [(measures.mape, {}), (measures.mase, {"scale": np.array([0.0, 1.0])})],
)
def test_division_by_zero_leaves_the_series_out_and_is_counted(
    measure: Any, options: dict[str, Any]
) -> None:
    truth = np.array([[0.0, 2.0], [1.0, 4.0]])

    with pytest.warns(SeqmambaWarning, match="1 of 2 series"):
        found = measure(truth, truth + 1, axis=0, **options)

    assert np.isnan(found[0])
    assert np.isfinite(found[1])


def test_crps_of_quantiles_is_twice_the_mean_pinball_loss() -> None:
    levels = (0.1, 0.5, 0.9)
    quantiles = np.stack([GIVEN - 1, GIVEN, GIVEN + 1], axis=-1)

    found = measures.crps(TRUTH, quantiles, levels)

    losses = [measures.pinball(TRUTH, quantiles[..., k], q) for k, q in enumerate(levels)]
    np.testing.assert_allclose(found, 2 * np.mean(losses))


def test_crps_of_many_normal_quantiles_is_the_closed_form() -> None:
    # Gneiting and Raftery (2007): CRPS of N(0, 1) at 0 is (sqrt 2 - 1) / sqrt pi
    from scipy.stats import norm

    levels = (np.arange(999) + 0.5) / 999

    found = measures.crps(np.zeros(1), norm.ppf(levels)[None], levels.tolist())

    assert found == pytest.approx((np.sqrt(2) - 1) / np.sqrt(np.pi), rel=1e-3)


def test_weighted_quantile_loss_of_the_median_is_the_weighted_absolute_error() -> None:
    found = measures.weighted_quantile_loss(TRUTH, GIVEN[..., None], (0.5,))

    np.testing.assert_allclose(found, np.abs(TRUTH - GIVEN).sum() / np.abs(TRUTH).sum())


def test_weighted_quantile_loss_of_zeros_is_nan() -> None:
    assert np.isnan(measures.weighted_quantile_loss([0.0], [[1.0]], (0.5,)))


def test_coverage_counts_both_ends() -> None:
    assert measures.coverage([1.0, 2.0, 3.0, np.nan], [1.0] * 4, [2.0] * 4) == pytest.approx(2 / 3)
    assert measures.interval_width([1.0, 1.0], [2.0, 4.0]) == 2


def test_shapes_must_agree() -> None:
    with pytest.raises(DataError, match=r"shape \(2,\), forecast \(3,\)"):
        measures.mae([1.0, 2.0], [1.0, 2.0, 3.0])
