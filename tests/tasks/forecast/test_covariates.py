"""Historical, known-future and static covariates."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from seqmamba import SMambaForecaster
from seqmamba.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def rich(table: pd.DataFrame) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return table.assign(
        heat=table["ds"].dt.hour * 1.0, promo=random.normal(size=len(table)), level=table["y"] * 2
    )


@pytest.fixture(scope="module")
def shops() -> pd.DataFrame:
    ids = ["s00", "s01", "s02"]
    return pd.DataFrame({"unique_id": ids, "size": [1.0, 2.0, 9.0], "kind": ["a", "b", "a"]})


def cut(rich: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    border = rich["ds"].max() - pd.Timedelta("4h")
    return rich[rich["ds"] <= border], rich[rich["ds"] > border].drop(columns="y")


@pytest.mark.parametrize("grouping", ["all", "each"])
def test_all_kinds_together(
    grouping: str,
    small: SMambaForecaster,
    rich: pd.DataFrame,
    shops: pd.DataFrame,
    tmp_path: Path,
) -> None:
    past, ahead = cut(rich)
    model = small.set_params(
        grouping=grouping,
        hist_exog=("level",),
        futr_exog=("promo", "heat"),
        stat_exog=("size", "kind"),
    ).fit(past, static_df=shops)

    answer = model.predict(futr_df=ahead)

    assert answer["unique_id"].value_counts().tolist() == [4, 4, 4]
    loaded = SMambaForecaster.load(model.save(tmp_path))
    pd.testing.assert_frame_equal(loaded.predict(past, futr_df=ahead), answer)


def test_a_trained_network_reads_what_is_known_ahead(
    small: SMambaForecaster, rich: pd.DataFrame
) -> None:
    past, ahead = cut(rich)
    model = small.set_params(futr_exog=("promo",), max_epochs=2, anchor=None).fit(past)

    other = model.predict(futr_df=ahead.assign(promo=ahead["promo"] + 3))

    assert not np.allclose(other["SMamba"], model.predict(futr_df=ahead)["SMamba"])


@pytest.mark.slow
def test_what_is_known_ahead_decides_where_it_alone_can(small: SMambaForecaster) -> None:
    random = np.random.default_rng(0)
    promo = random.integers(0, 2, 600).astype(float)
    stamps = pd.date_range("2024-01-01", periods=600, freq="h")
    data = pd.DataFrame({"unique_id": "a", "ds": stamps, "promo": promo})
    data["y"] = 10 * promo + random.normal(size=600)
    model = small.set_params(
        futr_exog=("promo",),
        d_model=32,
        max_epochs=12,
        learning_rate=3e-3,
        patience=None,
        lr_schedule="constant",
    ).fit(data.iloc[:596])

    answer = model.predict(futr_df=data.iloc[596:].drop(columns="y"))

    error = np.abs(answer["SMamba"] - data["y"].iloc[596:].to_numpy()).mean()
    assert error < 2.5  # 5 is the error of any forecast that does not know promo


def test_future_rows_must_cover_the_horizon(small: SMambaForecaster, rich: pd.DataFrame) -> None:
    past, ahead = cut(rich)
    model = small.set_params(futr_exog=("promo",)).fit(past)

    with pytest.raises(DataError, match=r"lacks 1 values; first: column 'promo' of 's02' at 2024"):
        model.predict(futr_df=ahead.iloc[:-1])
    with pytest.raises(DataError, match="pass futr_df"):
        model.predict()


def test_a_longer_horizon_needs_no_historical_covariates(
    small: SMambaForecaster, rich: pd.DataFrame
) -> None:
    model = small.set_params(hist_exog=("level",)).fit(rich)

    with pytest.raises(ConfigError, match="lack the historical covariates"):
        model.predict(h=9)


def test_a_longer_horizon_reads_longer_known_rows(
    small: SMambaForecaster, rich: pd.DataFrame
) -> None:
    border = rich["ds"].max() - pd.Timedelta("10h")
    past, ahead = rich[rich["ds"] <= border], rich[rich["ds"] > border].drop(columns="y")
    model = small.set_params(futr_exog=("heat",)).fit(past)

    assert len(model.predict(h=10, futr_df=ahead)) == 30


def test_static_features_need_their_table(small: SMambaForecaster, rich: pd.DataFrame) -> None:
    small.set_params(stat_exog=("size",))

    with pytest.raises(DataError, match="needs static_df"):
        small.fit(rich)


STATIC: dict[str, tuple[Any, str]] = {
    "column": (pd.DataFrame({"unique_id": ["s00"], "sise": [1.0]}), "Did you mean 'sise'"),
    "row": (pd.DataFrame({"unique_id": ["s00", "s01"], "size": [1.0, 2]}), "no row for 1 series"),
    "twice": (pd.DataFrame({"unique_id": ["s00"] * 2, "size": [1.0, 2]}), "repeats series 's00'"),
}


@pytest.mark.parametrize("name", STATIC)
def test_faults_of_the_static_table_are_named(
    name: str, small: SMambaForecaster, rich: pd.DataFrame
) -> None:
    table, message = STATIC[name]

    with pytest.raises(DataError, match=message):
        small.set_params(stat_exog=("size",)).fit(rich, static_df=table)


def test_a_missing_covariate_column_is_named(small: SMambaForecaster, table: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="no column 'heat'"):
        small.set_params(hist_exog=("heat",)).fit(table)
