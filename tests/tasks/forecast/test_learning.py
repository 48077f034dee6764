"""The network learns what the cheap forecasts cannot know."""

import pytest

from seqmamba import SMambaForecaster
from seqmamba.datasets.simulate.panels import demand
from seqmamba.tasks.forecast import TASK


@pytest.mark.slow
def test_series_that_follow_each_other_are_forecast_better_than_by_ridge() -> None:
    gains = []
    for seed in range(3):
        train, _ = demand(seed)
        model = SMambaForecaster(**{**TASK.demo_params, "random_state": seed}).fit(train)
        gains.append(1 - model.history_.best / model.anchor_scores_["ridge"])

    # Of the mean squared error of the validation part; a gain that may be chance is not taken.
    low, middle, _ = sorted(gains)
    assert low >= 0
    assert middle > 0.05
