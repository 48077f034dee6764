"""Scores beside the baselines."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

from seqmamba import SMambaForecaster
from seqmamba.errors import ConfigError, SeqmambaWarning


@pytest.fixture(scope="module")
def model(table: pd.DataFrame) -> SMambaForecaster:
    """Return a forecaster that has not seen the last twelve hours."""
    past = table[table["ds"] <= table["ds"].max() - pd.Timedelta("12h")]
    options = {"h": 4, "input_size": 24, "d_model": 8, "max_epochs": 1, "random_state": 0}
    return SMambaForecaster(**options).fit(past)  # type: ignore[arg-type]  # a plain dict


def test_the_last_rows_are_forecast_from_those_before(
    model: SMambaForecaster, table: pd.DataFrame
) -> None:
    end = table["ds"].max() - pd.Timedelta("4h")
    answer = model.predict(table[table["ds"] <= end])
    truth = table[table["ds"] > end]["y"].to_numpy()

    scores = model.evaluate(table, metrics=["mae", "rmse"])

    error = answer["SMamba"].to_numpy() - truth
    expected = [np.abs(error).mean(), np.sqrt((error**2).mean())]
    np.testing.assert_allclose(scores["value"], expected, rtol=1e-6)


def test_skill_is_against_the_best_baseline(model: SMambaForecaster, table: pd.DataFrame) -> None:
    scores = model.evaluate(table, n_windows=3)

    others = scores.select("ridge", "last", "window_mean", "seasonal_naive").to_numpy()
    np.testing.assert_allclose(scores["baseline"], others.min(axis=1))
    np.testing.assert_allclose(scores["skill"], 1 - scores["value"] / scores["baseline"])
    assert scores["metric"].to_list() == ["mae", "rmse", "smape", "mase"]


def test_the_naive_row_is_the_naive_forecast(model: SMambaForecaster, table: pd.DataFrame) -> None:
    scores = model.evaluate(table, metrics=["mae"])

    wide = table.pivot(index="ds", columns="unique_id", values="y").to_numpy()
    expected = np.abs(wide[-4:] - wide[-5]).mean()
    assert scores["last"][0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("by", "labels"),
    [("unique_id", ["s00", "s01", "s02"]), ("horizon", [1, 2, 3, 4]), ("cutoff", None)],
)
def test_scores_can_be_split(
    by: str, labels: list[object] | None, model: SMambaForecaster, table: pd.DataFrame
) -> None:
    parts = model.evaluate(table, metrics=["mae"], by=by, n_windows=3)  # type: ignore[arg-type]
    whole = model.evaluate(table, metrics=["mae"], n_windows=3)

    assert labels is None or parts[by].to_list() == labels
    assert parts["value"].mean() == pytest.approx(whole["value"][0])


def test_mase_uses_the_rows_before_the_cutoff(model: SMambaForecaster, table: pd.DataFrame) -> None:
    scores = model.evaluate(table, metrics=["mae", "mase"], by="unique_id")

    wide = table.pivot(index="ds", columns="unique_id", values="y").to_numpy()[:-4]
    naive = np.abs(wide[24:] - wide[:-24]).mean(axis=0)
    mae = scores.filter(pl.col("metric") == "mae")["value"].to_numpy()
    mase = scores.filter(pl.col("metric") == "mase")["value"].to_numpy()
    np.testing.assert_allclose(mase, mae / naive)


def test_rows_of_fit_are_noted(model: SMambaForecaster, table: pd.DataFrame) -> None:
    with pytest.warns(SeqmambaWarning, match="of the rows that are scored were in the data of fit"):
        model.evaluate(table, n_windows=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.evaluate(table, n_windows=3)


def test_unknown_wishes_are_named(model: SMambaForecaster, table: pd.DataFrame) -> None:
    with pytest.raises(ConfigError, match=r"no metric 'maee'.*Did you mean 'mae'"):
        model.evaluate(table, metrics=["maee"])
    with pytest.raises(ConfigError, match="by must be None or one of"):
        model.evaluate(table, by="series")  # type: ignore[arg-type]


def test_constant_series_have_no_mase(model: SMambaForecaster, table: pd.DataFrame) -> None:
    flat = table.assign(y=table["y"].where(table["unique_id"] != "s01", 5.0))

    with pytest.warns(SeqmambaWarning, match="1 of 3 series"):
        scores = model.evaluate(flat, metrics=["mase"], by="unique_id")

    assert np.isnan(scores["value"].to_numpy()).tolist() == [False, True, False]
