"""The network learns what the cheap forecasts cannot know."""

import pytest

from seqmamba import SMambaForecaster
from seqmamba.datasets.simulate.panels import demand
from seqmamba.tasks.forecast import TASK


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_series_that_follow_each_other_are_forecast_better_than_by_ridge(seed: int) -> None:
    train, whole = demand(seed)
    model = SMambaForecaster(**{**TASK.demo_params, "random_state": seed}).fit(train)

    ridge = model.anchor_scores_["ridge"]
    assert model.anchor_ == "ridge"
    assert model.history_.best < 0.95 * ridge  # mean squared error of the validation part
    assert model.evaluate(whole, metrics=["mae"])["skill"][0] > 0
