"""Tables of every form give the same forecasts; faults are named."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from seqmamba import SMambaForecaster
from seqmamba.errors import ConfigError, DataError


def sorted_forecast(answer: Any) -> np.ndarray[Any, Any]:
    answer = answer.collect() if isinstance(answer, pl.LazyFrame) else answer
    frame = answer if isinstance(answer, pl.DataFrame) else pl.from_pandas(answer)
    ordered = frame.sort("unique_id", "ds")["SMamba"].to_numpy()
    return np.asarray(ordered)


@pytest.fixture
def expected(fitted: SMambaForecaster, table: pd.DataFrame) -> np.ndarray[Any, Any]:
    return sorted_forecast(fitted.predict(table))


def test_wide_long_shuffled_pandas_and_polars_agree(
    fitted: SMambaForecaster,
    table: pd.DataFrame,
    wide: pd.DataFrame,
    expected: np.ndarray[Any, Any],
) -> None:
    shuffled = table.sample(frac=1, random_state=0)
    for form in (wide, shuffled, pl.from_pandas(table), pl.from_pandas(wide).lazy()):
        np.testing.assert_array_equal(sorted_forecast(fitted.predict(form)), expected)


def test_fitting_on_any_form_gives_the_same_model(
    small: SMambaForecaster, wide: pd.DataFrame, expected: np.ndarray[Any, Any]
) -> None:
    np.testing.assert_array_equal(sorted_forecast(small.fit(wide).predict()), expected)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_files_agree_with_frames(
    suffix: str,
    fitted: SMambaForecaster,
    table: pd.DataFrame,
    expected: np.ndarray[Any, Any],
    tmp_path: Path,
) -> None:
    path = tmp_path / f"table.{suffix}"
    frame = pl.from_pandas(table)
    if suffix == "csv":
        frame.write_csv(path)
    else:
        frame.write_parquet(path)

    np.testing.assert_allclose(sorted_forecast(fitted.predict(path)), expected, rtol=1e-6)


def test_the_answer_is_a_table_of_the_callers_library(
    fitted: SMambaForecaster, table: pd.DataFrame
) -> None:
    assert isinstance(fitted.predict(table), pd.DataFrame)
    assert isinstance(fitted.predict(pl.from_pandas(table)), pl.DataFrame)
    assert isinstance(fitted.predict(), pd.DataFrame)


def test_answers_stand_in_the_order_of_the_table(
    fitted: SMambaForecaster, table: pd.DataFrame
) -> None:
    turned = table.sort_values(["unique_id", "ds"], ascending=[False, True])

    assert fitted.predict(turned)["unique_id"].unique().tolist() == ["s02", "s01", "s00"]


def test_arrays_in_arrays_out(small: SMambaForecaster, wide: pd.DataFrame) -> None:
    array = wide.iloc[:, 1:].to_numpy()
    model = small.set_params(time_features=None).fit(array)

    assert model.predict(array).shape == (4, 3)
    np.testing.assert_array_equal(model.predict(), model.predict(array))


def test_integer_ids_come_back_as_integers(
    small: SMambaForecaster, table: pd.DataFrame, tmp_path: Path
) -> None:
    numbered = table.assign(unique_id=table["unique_id"].str[1:].astype(int))
    model = small.fit(numbered)

    assert model.predict(numbered)["unique_id"].dtype == np.int64
    loaded = SMambaForecaster.load(model.save(tmp_path))
    assert loaded.predict()["unique_id"].dtype == np.int64


def test_names_of_columns_are_the_users(small: SMambaForecaster, table: pd.DataFrame) -> None:
    other = table.rename(columns={"unique_id": "shop", "ds": "hour", "y": "sales"})
    model = small.set_params(id_col="shop", time_col="hour", target_col="sales", alias="net")

    assert model.fit(other).predict().columns.tolist() == ["shop", "hour", "net"]


@pytest.mark.parametrize("grouping", ["all", "each", "plant"])
def test_every_grouping_forecasts_every_series(
    grouping: str, small: SMambaForecaster, table: pd.DataFrame
) -> None:
    plants = table.assign(plant=np.where(table["unique_id"] == "s02", "b", "a"))
    model = small.set_params(grouping=grouping).fit(plants)

    answer = model.predict(plants)
    assert answer.groupby("unique_id").size().tolist() == [4, 4, 4]
    assert np.isfinite(answer["SMamba"]).all()


def test_unseen_series_are_welcome(fitted: SMambaForecaster, table: pd.DataFrame) -> None:
    other = table.assign(unique_id="new-" + table["unique_id"], y=table["y"] * 100 + 3)

    answer = fitted.predict(pd.concat([table, other]))

    assert answer["unique_id"].nunique() == 6
    new = answer[answer["unique_id"].str.startswith("new")]["SMamba"].to_numpy()
    assert new.mean() == pytest.approx(table["y"].mean() * 100 + 3, rel=0.5)


def test_a_learned_series_vector_refuses_unseen_series(
    small: SMambaForecaster, table: pd.DataFrame
) -> None:
    model = small.set_params(id_embedding=True).fit(table)

    with pytest.raises(DataError, match="series 'new' was not in fit"):
        model.predict(table.replace({"unique_id": {"s00": "new"}}))


def test_a_longer_horizon_is_rolled_and_a_shorter_one_cut(fitted: SMambaForecaster) -> None:
    trained, longer, shorter = fitted.predict(), fitted.predict(h=11), fitted.predict(h=2)

    first = longer.groupby("unique_id").head(4)["SMamba"].to_numpy()
    np.testing.assert_allclose(first, trained["SMamba"], rtol=1e-5)
    assert longer.groupby("unique_id").size().tolist() == [11] * 3
    two = trained.groupby("unique_id").head(2)["SMamba"].to_numpy()
    np.testing.assert_array_equal(shorter["SMamba"], two)


def test_rolling_equals_predicting_from_the_forecasts(
    fitted: SMambaForecaster, table: pd.DataFrame
) -> None:
    ahead = fitted.predict(table).rename(columns={"SMamba": "y"})

    second = fitted.predict(pd.concat([table, ahead]))

    rolled = fitted.predict(table, h=8).groupby("unique_id").tail(4)["SMamba"]
    np.testing.assert_allclose(second["SMamba"], rolled, rtol=1e-4)


@pytest.mark.parametrize("missing", ["mask", "interpolate"])
def test_missing_cells_do_not_stop_a_forecast(
    missing: str, small: SMambaForecaster, holes: pd.DataFrame
) -> None:
    model = small.set_params(missing=missing, grouping="all").fit(holes)

    assert np.isfinite(model.predict()["SMamba"]).all()
    assert np.isfinite(model.history_.best)


def test_missing_cells_can_be_refused(small: SMambaForecaster, holes: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"cells are missing; first: \('s0"):
        small.set_params(missing="error", grouping="all").fit(holes)


def test_a_series_without_recent_values_is_nan_and_flagged(
    fitted: SMambaForecaster, table: pd.DataFrame
) -> None:
    blank = table.copy()
    late = blank["ds"] > blank["ds"].max() - pd.Timedelta("20h")
    blank.loc[(blank["unique_id"] == "s01") & late, "y"] = np.nan

    answer = fitted.predict(blank)

    empty = answer["unique_id"] == "s01"
    assert answer[empty]["SMamba"].isna().all()
    assert set(answer[empty]["method"]) == {"none"}
    assert np.isfinite(answer[~empty]["SMamba"]).all()


@pytest.mark.parametrize(("rows", "method"), [(3, "last"), (9, "SMamba")])
def test_short_series_get_the_naive_forecast(
    rows: int, method: str, small: SMambaForecaster, table: pd.DataFrame
) -> None:
    model = small.set_params(grouping="each").fit(table)

    answer = model.predict(table.groupby("unique_id").tail(rows))

    found = set(answer["method"]) if "method" in answer else {"SMamba"}
    assert found == {method}


def test_short_and_long_series_train_together(small: SMambaForecaster, table: pd.DataFrame) -> None:
    short = table[table["unique_id"] == "s00"].tail(14).assign(unique_id="short")
    model = small.set_params(grouping="each").fit(pd.concat([table, short]))

    assert np.isfinite(model.predict()["SMamba"]).all()


FAULTS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "horizon": ({"h": 0}, ConfigError, "h must be at least 1"),
    "level": ({"level": [120]}, ConfigError, "level must lie between 0 and 100"),
    "quantile": ({"quantiles": [2]}, ConfigError, "quantiles must lie between 0 and 1"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_wrong_wishes_are_named(name: str, fitted: SMambaForecaster) -> None:
    wish, error, message = FAULTS[name]

    with pytest.raises(error, match=message):
        fitted.predict(**wish)


def test_other_periods_are_refused_at_predict(
    fitted: SMambaForecaster, table: pd.DataFrame
) -> None:
    daily = table.assign(
        ds=table["ds"] + pd.to_timedelta(table.groupby("unique_id").cumcount() * 7, "min")
    )

    with pytest.raises(DataError, match="off the grid of period h"):
        fitted.predict(daily)
