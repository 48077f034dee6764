"""Promises of the forecaster: fitting, storing, determinism, anchors."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import seqmamba
from seqmamba import SMambaForecaster
from seqmamba.errors import ConfigError, DataError, SeqmambaWarning


def test_fit_returns_the_estimator_and_leaves_the_table(
    small: SMambaForecaster, table: pd.DataFrame
) -> None:
    before = table.copy()

    assert small.fit(table) is small
    pd.testing.assert_frame_equal(table, before)


def test_an_unfitted_forecaster_says_so(small: SMambaForecaster, table: pd.DataFrame) -> None:
    for call in (small.predict, small.evaluate, small.update, small.plot):
        with pytest.raises(NotFittedError):
            call(table)


def test_a_seed_fixes_every_bit(
    small: SMambaForecaster, fitted: SMambaForecaster, table: pd.DataFrame
) -> None:
    again = clone(small).fit(table)

    pd.testing.assert_frame_equal(again.predict(level=[80]), fitted.predict(level=[80]))


def test_a_saved_model_gives_equal_bits(
    fitted: SMambaForecaster, table: pd.DataFrame, tmp_path: Path
) -> None:
    path = fitted.save(tmp_path)

    loaded = seqmamba.load(path)

    assert isinstance(loaded, SMambaForecaster)
    pd.testing.assert_frame_equal(loaded.predict(level=[90]), fitted.predict(level=[90]))
    pd.testing.assert_frame_equal(loaded.predict(table), fitted.predict(table))
    with pytest.warns(SeqmambaWarning, match="were in the data of fit"):
        assert loaded.evaluate(table).equals(fitted.evaluate(table))


def test_pickle_keeps_the_fitted_model(fitted: SMambaForecaster) -> None:
    copied = pickle.loads(pickle.dumps(fitted))

    pd.testing.assert_frame_equal(copied.predict(), fitted.predict())


def test_predict_starts_at_the_end_of_fit(fitted: SMambaForecaster, table: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(fitted.predict(), fitted.predict(table))


def test_forecasts_follow_the_last_stamp(fitted: SMambaForecaster, table: pd.DataFrame) -> None:
    first = fitted.predict().groupby("unique_id")["ds"].min()

    assert (first == table["ds"].max() + pd.Timedelta("1h")).all()


def test_without_anchor_nothing_is_added(small: SMambaForecaster, table: pd.DataFrame) -> None:
    model = small.set_params(anchor=None).fit(table)

    assert model.anchor_ is None
    assert type(model.net_).__name__ == "SMamba"


@pytest.mark.parametrize("anchor", ["auto", "ridge", "last"])
def test_epoch_zero_is_the_anchor_alone(anchor: Any, wide: pd.DataFrame) -> None:
    options: dict[str, Any] = {"h": 4, "input_size": 16, "d_model": 8, "random_state": 0}
    model = SMambaForecaster(**options, anchor=anchor, max_epochs=0).fit(wide)

    assert anchor in ("auto", model.anchor_)
    last = wide.iloc[-1, 1:].to_numpy(float)
    if anchor == "last":
        np.testing.assert_allclose(model.predict()["SMamba"], np.repeat(last, 4), rtol=1e-5)
    assert model.anchor_ is not None
    assert model.anchor_scores_[model.anchor_] == model.history_.best


def test_training_never_ends_behind_the_anchor(table: pd.DataFrame) -> None:
    model = SMambaForecaster(
        h=4, input_size=16, d_model=8, learning_rate=10.0, max_epochs=2, random_state=0
    ).fit(table)

    assert model.history_.best <= min(model.anchor_scores_.values()) + 1e-9


def test_a_cycle_that_fits_gives_a_seasonal_anchor(table: pd.DataFrame) -> None:
    model = SMambaForecaster(h=4, input_size=48, d_model=8, max_epochs=0).fit(table)

    assert set(model.anchor_scores_) == {"ridge", "last", "seasonal_naive"}
    with pytest.raises(ConfigError, match="anchor must be"):
        SMambaForecaster(h=4, input_size=16, anchor="seasonal_naive").fit(table)


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_every_loss_trains(loss: str, small: SMambaForecaster, table: pd.DataFrame) -> None:
    model = small.set_params(loss=loss, max_epochs=2).fit(table)

    assert np.isfinite(model.history_.best)


@pytest.mark.parametrize("scaler", ["standard", "robust", "minmax", "log1p", "none"])
def test_every_scaler_answers_in_the_users_units(
    scaler: str, small: SMambaForecaster, table: pd.DataFrame
) -> None:
    model = small.set_params(scaler=scaler, anchor="last", max_epochs=0).fit(table)

    last = table.groupby("unique_id")["y"].last()
    np.testing.assert_allclose(model.predict()["SMamba"], np.repeat(last, 4), rtol=1e-4)


def test_an_eval_set_takes_the_place_of_the_last_rows(
    small: SMambaForecaster, table: pd.DataFrame
) -> None:
    border = table["ds"].min() + pd.Timedelta("80h")
    model = small.fit(table[table["ds"] < border], eval_set=table[table["ds"] >= border])

    assert len(model.history_.rows) == 2
    np.testing.assert_allclose(
        model.center_, table[table["ds"] < border].groupby("unique_id")["y"].mean()
    )


def test_no_validation_keeps_the_last_weights(small: SMambaForecaster, table: pd.DataFrame) -> None:
    model = small.set_params(val_size=0).fit(table)

    assert model.history_.best_epoch == 1


def test_too_short_for_validation_is_said(small: SMambaForecaster, table: pd.DataFrame) -> None:
    with pytest.warns(SeqmambaWarning, match="leaves no whole window for validation"):
        small.fit(table[table["ds"] < table["ds"].min() + pd.Timedelta("22h")])


def test_windows_per_epoch_bounds_an_epoch(small: SMambaForecaster, table: pd.DataFrame) -> None:
    model = small.set_params(windows_per_epoch=32, batch_size=8).fit(table)

    assert model.history_.rows[-1]["step"] == 4


SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "h": ({"h": 0}, r"h must lie in \[1, inf\], got 0"),
    "loss": ({"loss": "rmse"}, "loss must be one of 'mse', 'mae', 'huber'"),
    "quantile": ({"quantiles": (0.5, 1.5)}, "quantiles must lie between 0 and 1, got 1.5"),
    "order": ({"quantiles": (0.9, 0.1)}, "quantiles must rise"),
    "conformal": ({"conformal": {"windows": 3}}, "Did you mean 'n_windows'"),
    "freq": ({"freq": "fortnight"}, "freq must be a period"),
    "covariate": ({"hist_exog": ("a",), "futr_exog": ("a",)}, "'a' stands in hist_exog and"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_wrong_settings_are_named(name: str, table: pd.DataFrame) -> None:
    params, message = SETTINGS[name]

    with pytest.raises(ConfigError, match=message):
        SMambaForecaster(**params).fit(table.assign(a=1.0))


def test_too_few_rows_name_the_number_that_is_needed(table: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"too short: the longest has 20 rows, and h=24.*needs 36"):
        SMambaForecaster(h=24, input_size=96).fit(table.groupby("unique_id").head(20))
