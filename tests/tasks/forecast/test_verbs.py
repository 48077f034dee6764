"""Update, inspection and figures."""

from pathlib import Path

import pandas as pd
import pytest

from seqmamba import SMambaForecaster
from seqmamba.errors import ConfigError, DataError


def halves(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    border = table["ds"].max() - pd.Timedelta("6h")
    return table[table["ds"] <= border], table[table["ds"] > border]


@pytest.mark.parametrize("grouping", ["all", "each", "plant"])
def test_update_moves_the_start_of_forecasts(
    grouping: str, small: SMambaForecaster, table: pd.DataFrame
) -> None:
    plants = table.assign(plant=table["unique_id"].map({"s00": "a", "s01": "a", "s02": "b"}))
    past, newer = halves(plants)
    model = small.set_params(grouping=grouping).fit(past)
    expected = model.predict(plants)

    assert model.update(newer) is model

    pd.testing.assert_frame_equal(model.predict(), expected)


def test_update_replaces_rows_that_are_known(small: SMambaForecaster, table: pd.DataFrame) -> None:
    model = small.fit(table)
    corrected = table.groupby("unique_id").tail(3).assign(y=0.0)

    model.update(corrected)

    whole = table.copy()
    whole.loc[corrected.index, "y"] = 0.0
    pd.testing.assert_frame_equal(model.predict(), model.predict(whole))


def test_update_can_go_on_training(small: SMambaForecaster, table: pd.DataFrame) -> None:
    past, _ = halves(table)
    model = small.set_params(anchor="ridge").fit(past)
    before = {k: v.clone() for k, v in model.net_.state_dict().items()}

    model.update(table, epochs=1)

    after = model.net_.state_dict()
    assert any(not before[k].equal(v) for k, v in after.items())
    assert before["anchor.weight"].equal(after["anchor.weight"])


def test_update_keeps_the_covariates(small: SMambaForecaster, table: pd.DataFrame) -> None:
    rich = table.assign(heat=table["ds"].dt.hour, own=table["y"] + 1)
    past, newer = halves(rich)
    model = small.set_params(hist_exog=("heat", "own")).fit(past)

    model.update(newer)

    pd.testing.assert_frame_equal(model.predict(), model.predict(rich))


def test_update_without_rows_to_train_on_says_so(
    small: SMambaForecaster, table: pd.DataFrame
) -> None:
    model = small.set_params(time_features=None).fit(table)

    with pytest.raises(ConfigError, match="epochs must be at least 0"):
        model.update(table, epochs=-1)


def test_inspect_tells_what_was_understood(small: SMambaForecaster, holes: pd.DataFrame) -> None:
    facts = dict(small.set_params(grouping="all").inspect(holes).iter_rows())

    assert facts["series"] == "3"
    assert facts["period"] == "h"
    assert facts["missing cells"] == f"{holes['y'].isna().sum()} of 360"
    assert facts["first stamp"] == "2024-01-01 00:00:00"
    assert facts["windows"] == "101"
    assert not hasattr(small, "ids_")


def test_inspect_refuses_what_fit_refuses(small: SMambaForecaster, table: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="repeat the same"):
        small.inspect(pd.concat([table, table]))
    with pytest.raises(ConfigError, match="no argument 'statics'"):
        small.inspect(table, statics=table)


def test_a_figure_has_a_panel_per_series(
    fitted: SMambaForecaster, table: pd.DataFrame, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")

    figure = fitted.plot(table, level=[80, 90], path=tmp_path / "forecast.svg")

    titles = [axis.get_title() for axis in figure.axes if axis.get_visible()]
    assert titles == ["s00", "s01", "s02"]
    assert (tmp_path / "forecast.svg").stat().st_size > 1_000


def test_a_figure_of_chosen_series(fitted: SMambaForecaster, table: pd.DataFrame) -> None:
    pytest.importorskip("matplotlib")

    assert len(fitted.plot(table, ids=["s02"]).axes) == 1
    with pytest.raises(ConfigError, match="names 's9'"):
        fitted.plot(table, ids=["s9"])
