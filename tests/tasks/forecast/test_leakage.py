"""Nothing behind a cutoff reaches a forecast of that cutoff."""

import numpy as np
import pandas as pd
import pytest

from seqmamba import SMambaForecaster


@pytest.fixture(params=["mask", "interpolate"])
def changed(request: pytest.FixtureRequest, holes: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """Return a table whose last 12 hours were multiplied, and how empty cells are treated."""
    late = holes["ds"] > holes["ds"].max() - pd.Timedelta("12h")
    return request.param, holes.assign(y=holes["y"].where(~late, holes["y"] * 50 + 7))


def test_backtests_do_not_see_what_comes(
    small: SMambaForecaster, holes: pd.DataFrame, changed: tuple[str, pd.DataFrame]
) -> None:
    missing, other = changed
    small.set_params(missing=missing, grouping="all")

    one, two = (small.cross_validation(t, n_windows=3, refit=True) for t in (holes, other))

    first = one["cutoff"] == one["cutoff"].min()
    np.testing.assert_array_equal(one[first]["SMamba"], two[first]["SMamba"])


def test_no_refit_shields_every_cutoff_before_the_change(
    small: SMambaForecaster, table: pd.DataFrame
) -> None:
    late = table["ds"] > table["ds"].max() - pd.Timedelta("4h")
    other = table.assign(y=table["y"].where(~late, -1e3))

    one, two = (small.cross_validation(t, n_windows=4, level=[80]) for t in (table, other))

    np.testing.assert_array_equal(one["SMamba"], two["SMamba"])
    np.testing.assert_array_equal(one["SMamba-hi-80"], two["SMamba-hi-80"])


def test_held_out_rows_change_neither_scale_nor_weights_only_the_chosen_epoch(
    small: SMambaForecaster, table: pd.DataFrame
) -> None:
    late = table["ds"] > table["ds"].max() - pd.Timedelta("24h")
    other = table.assign(y=table["y"].where(~late, table["y"] * 9))
    small.set_params(anchor=None, patience=None, val_size=24)

    one, two = (SMambaForecaster(**small.get_params()).fit(t) for t in (table, other))

    np.testing.assert_array_equal(one.center_, two.center_)
    np.testing.assert_array_equal(one.scale_, two.scale_)
    assert one.history_.rows[0]["train_loss"] == two.history_.rows[0]["train_loss"]


def test_an_unseen_series_is_scaled_by_its_past_alone(
    fitted: SMambaForecaster, table: pd.DataFrame
) -> None:
    from seqmamba.tasks.forecast.answers.backtest import roll_back
    from seqmamba.tasks.forecast.reading.table import read_table

    new = table.assign(unique_id="new-" + table["unique_id"])
    late = new["ds"] > new["ds"].max() - pd.Timedelta("4h")
    other = new.assign(y=new["y"].where(~late, 1e6))

    found = [
        roll_back(fitted, read_table(fitted, t).panel, np.array([4]), 4).forecast
        for t in (new, other)
    ]

    np.testing.assert_array_equal(found[0], found[1])
