"""Backtests: cutoffs, refitting, the benchmark's protocol."""

import numpy as np
import pandas as pd
import pytest

from seqmamba import SMambaForecaster
from seqmamba.errors import ConfigError, DataError
from seqmamba.tasks.forecast.answers.backtest import Cutoffs


def test_cutoffs_count_back_from_the_end() -> None:
    assert Cutoffs(3).back(4).tolist() == [12, 8, 4]
    assert Cutoffs(3, step_size=1).back(4).tolist() == [6, 5, 4]
    assert Cutoffs(step_size=1, test_size=6).back(4).tolist() == [6, 5, 4]


@pytest.mark.parametrize("cutoffs", [Cutoffs(0), Cutoffs(1, 0), Cutoffs(test_size=3)])
def test_impossible_cutoffs_are_refused(cutoffs: Cutoffs) -> None:
    with pytest.raises(ConfigError, match="at least"):
        cutoffs.back(4)


def test_the_benchmarks_windows_come_from_stride_one() -> None:
    back = Cutoffs(step_size=1, test_size=2880).back(96)  # ETTh, 96 ahead

    assert len(back) == 2785
    assert back[0] == 2880


def test_each_row_holds_truth_cutoff_and_forecast(
    small: SMambaForecaster, table: pd.DataFrame
) -> None:
    found = small.cross_validation(table, n_windows=2, level=[90])

    assert found.columns.tolist() == [
        "unique_id", "ds", "cutoff", "y", "SMamba", "SMamba-lo-90", "SMamba-hi-90",
    ]  # fmt: skip
    assert len(found) == 3 * 2 * 4
    joined = found.merge(table, on=["unique_id", "ds"], suffixes=("", "_true"))
    np.testing.assert_array_equal(joined["y"], joined["y_true"])
    ahead = (found["ds"] - found["cutoff"]) / pd.Timedelta("1h")
    assert ahead.tolist() == [1, 2, 3, 4] * 6


def test_the_estimator_stays_unfitted(small: SMambaForecaster, table: pd.DataFrame) -> None:
    small.cross_validation(table)

    assert not hasattr(small, "net_")


@pytest.mark.parametrize(("refit", "fits"), [(False, 1), (True, 3), (2, 2)])
def test_refit_says_how_often_to_fit(
    refit: bool | int, fits: int, small: SMambaForecaster, table: pd.DataFrame
) -> None:
    found = small.set_params(anchor="ridge", max_epochs=0)
    once = found.cross_validation(table, n_windows=3)
    wanted = found.cross_validation(table, n_windows=3, refit=refit)

    changed = ~np.isclose(once["SMamba"], wanted["SMamba"]).reshape(3, 3, 4).all(axis=(0, 2))
    assert (
        changed.tolist() == {1: [False] * 3, 2: [False, False, True], 3: [False, True, True]}[fits]
    )


def test_a_backtest_is_a_fit_and_a_forecast(small: SMambaForecaster, table: pd.DataFrame) -> None:
    found = small.cross_validation(table)

    past = table[table["ds"] <= found["cutoff"].iloc[0]]
    by_hand = small.fit(past).predict()
    np.testing.assert_allclose(found["SMamba"], by_hand["SMamba"], rtol=1e-5)


@pytest.mark.parametrize("grouping", ["each", "plant"])
def test_groups_of_any_length_are_backtested(
    grouping: str, small: SMambaForecaster, table: pd.DataFrame
) -> None:
    late = (table["unique_id"] == "s02") & (table["ds"] < table["ds"].min() + pd.Timedelta("60h"))
    plants = table[~late].assign(plant=lambda t: np.where(t["unique_id"] == "s02", "b", "a"))

    found = small.set_params(grouping=grouping).cross_validation(plants, n_windows=2)

    assert found.groupby("unique_id").size().tolist() == [8, 8, 8]
    assert np.isfinite(found["SMamba"]).all()


def test_a_shorter_horizon_is_cut(small: SMambaForecaster, table: pd.DataFrame) -> None:
    assert len(small.cross_validation(table, h=2)) == 6
    with pytest.raises(ConfigError, match=r"h must lie in \[1, 4\]"):
        small.cross_validation(table, h=5)


def test_too_many_windows_for_the_rows(small: SMambaForecaster, table: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"too short|no rows|no training window"):
        small.cross_validation(table, n_windows=40)
