"""Conformal intervals and learned quantiles."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seqmamba import SMambaForecaster
from seqmamba.datasets import simulate
from seqmamba.errors import ConfigError, SeqmambaWarning
from seqmamba.tasks.forecast.answers.intervals import conformal_settings, signed_offset, widths

ONE = np.zeros(1, np.int64)


def test_the_rank_is_the_conformal_one() -> None:
    residuals = np.arange(1.0, 10.0, dtype=np.float32)[:, None, None]  # nine windows: 1 .. 9

    width, pooled = signed_offset(residuals, 0.8, ONE, 1)

    assert width.tolist() == [[8.0]]  # ceil(10 * 0.8)
    assert not pooled


def test_too_few_windows_pool_steps_then_series() -> None:
    residuals = np.ones((3, 2, 4), np.float32)
    residuals[:, 0] = np.arange(12, dtype=np.float32).reshape(3, 4)

    steps, over_steps = signed_offset(residuals, 0.9, np.array([0]), 4)
    series, over_series = signed_offset(residuals, 0.95, np.array([1]), 4)

    assert steps.tolist() == [[11.0] * 4]  # ceil(13 * 0.9) = 12th of twelve
    assert over_steps
    assert over_series
    assert series.max() >= 1


def test_unseen_series_take_the_pool_of_all() -> None:
    residuals = np.random.default_rng(0).normal(size=(99, 5, 2)).astype(np.float32)

    width, _ = signed_offset(np.abs(residuals), 0.9, np.array([-1]), 2)

    np.testing.assert_allclose(width, 1.645, atol=0.15)  # two-sided normal quantile


def test_steps_behind_the_horizon_take_the_last_width() -> None:
    residuals = np.random.default_rng(0).normal(size=(50, 1, 2)).astype(np.float32)

    width, _ = signed_offset(residuals, 0.8, ONE, 5)

    assert (width[0, 2:] == width[0, 1]).all()


def test_the_distribution_method_follows_skewed_errors() -> None:
    skewed = np.random.default_rng(0).exponential(size=(400, 1, 1)).astype(np.float32)

    low, high, _ = widths(skewed, 0.8, "distribution", ONE, 1)

    np.testing.assert_allclose(low, np.quantile(skewed, 0.1), atol=0.05)
    np.testing.assert_allclose(high, np.quantile(skewed, 0.9), atol=0.15)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"n_window": 3}, "Did you mean 'n_windows'"),
        ({"n_windows": 0}, "at least 1"),
        ({"method": "magic"}, "one of scaled, error, distribution"),
    ],
)
def test_wrong_settings_are_named(wanted: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        conformal_settings(wanted)


def test_wider_levels_are_wider(fitted: SMambaForecaster) -> None:
    answer = fitted.predict(level=[50, 90])

    narrow = answer["SMamba-hi-50"] - answer["SMamba-lo-50"]
    wide = answer["SMamba-hi-90"] - answer["SMamba-lo-90"]
    assert (wide >= narrow).all()
    assert ((answer["SMamba"] > answer["SMamba-lo-50"]) & (narrow > 0)).all()


def test_learned_quantiles_do_not_cross(small: SMambaForecaster, table: pd.DataFrame) -> None:
    model = small.set_params(quantiles=(0.1, 0.5, 0.9)).fit(table)

    answer = model.predict(level=[80], quantiles=[0.1, 0.5, 0.9])

    assert (answer["SMamba_ql0.1"] <= answer["SMamba_ql0.5"]).all()
    assert (answer["SMamba_ql0.5"] <= answer["SMamba_ql0.9"]).all()
    np.testing.assert_array_equal(answer["SMamba-lo-80"], answer["SMamba_ql0.1"])
    np.testing.assert_array_equal(answer["SMamba"], answer["SMamba_ql0.5"])


def test_a_level_without_enough_windows_is_said(
    small: SMambaForecaster, table: pd.DataFrame
) -> None:
    model = small.set_params(conformal={"n_windows": 4, "step_size": 4}).fit(table)

    with pytest.warns(SeqmambaWarning, match="fewer than the windows that the level needs"):
        model.predict(level=[95])


@pytest.mark.parametrize("method", ["scaled", "error", "distribution"])
def test_intervals_cover_what_they_promise(method: str) -> None:
    # Stationary series, so that earlier errors tell of later ones.
    random = np.random.default_rng(0)
    values = random.normal(size=(1500, 4))
    stamps = pd.date_range("2024-01-01", periods=1500, freq="h")
    wide = pd.DataFrame(values, columns=list("abcd")).assign(ds=stamps)
    model = SMambaForecaster(
        h=4, input_size=16, d_model=8, max_epochs=0, val_size=500, conformal={"method": method}
    )

    found = model.cross_validation(wide, test_size=500, step_size=4, level=[80, 90])

    for level in (80, 90):
        low, high = found[f"SMamba-lo-{level}"], found[f"SMamba-hi-{level}"]
        covered = ((found["y"] >= low) & (found["y"] <= high)).mean()
        assert covered == pytest.approx(level / 100, abs=0.03)


def test_scaled_intervals_follow_a_series_that_grows_calmer() -> None:
    random = np.random.default_rng(0)
    size = np.where(np.arange(1500) < 1000, 1.0, 0.3)[:, None]
    stamps = pd.date_range("2024-01-01", periods=1500, freq="h")
    wide = pd.DataFrame(random.normal(size=(1500, 4)) * size, columns=list("abcd"))
    model = SMambaForecaster(h=4, input_size=32, d_model=8, max_epochs=0, val_size=300)

    covered = {}
    for method in ("scaled", "error"):
        model.set_params(conformal={"method": method})
        found = model.cross_validation(
            wide.assign(ds=stamps), test_size=400, step_size=4, level=[80]
        )
        inside = (found["y"] >= found["SMamba-lo-80"]) & (found["y"] <= found["SMamba-hi-80"])
        covered[method] = inside.mean()

    assert covered["scaled"] == pytest.approx(0.8, abs=0.05)
    assert covered["error"] > 0.95


@pytest.mark.data
def test_intervals_cover_real_exchange_rates(data_dir: Path) -> None:
    table = pd.read_csv(data_dir / "forecasting" / "exchange_rate.csv")
    model = SMambaForecaster(h=96, input_size=96, max_epochs=0, val_size=760, time_col="date")

    found = model.cross_validation(table, test_size=1517, step_size=3, level=[80, 90])

    for level in (80, 90):
        low, high = found[f"SMamba-lo-{level}"], found[f"SMamba-hi-{level}"]
        covered = ((found["y"] >= low) & (found["y"] <= high)).mean()
        assert covered == pytest.approx(level / 100, abs=0.03)


@pytest.mark.slow
def test_learned_quantiles_cover_what_they_promise() -> None:
    table = simulate.panel(n_series=4, n_steps=1500, seed=0)
    model = SMambaForecaster(
        h=12, input_size=48, d_model=32, max_epochs=3, learning_rate=1e-3,
        quantiles=(0.05, 0.1, 0.5, 0.9, 0.95), random_state=0,
    )  # fmt: skip

    found = model.cross_validation(table, test_size=240, step_size=4, level=[80, 90])

    for level in (80, 90):
        low, high = found[f"SMamba-lo-{level}"], found[f"SMamba-hi-{level}"]
        covered = ((found["y"] >= low) & (found["y"] <= high)).mean()
        assert covered == pytest.approx(level / 100, abs=0.08)  # the series drift
