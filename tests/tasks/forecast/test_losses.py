"""Losses on the scaled series."""

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_pinball_loss

from seqmamba.tasks.forecast.losses import forecast_loss

OUTPUT, Y = torch.randn(2, 4, 3), torch.randn(2, 4, 3)


@pytest.mark.parametrize("name", ["mse", "mae", "huber"])
def test_missing_targets_are_left_out(name: str) -> None:
    observed = torch.ones(2, 4, 3, dtype=torch.bool)
    observed[0] = False

    masked = forecast_loss(name, OUTPUT, Y, observed)  # type: ignore[arg-type]  # one of the three

    whole = forecast_loss(name, OUTPUT[1:], Y[1:], None)  # type: ignore[arg-type]
    torch.testing.assert_close(masked, whole)


def test_no_target_at_all_costs_nothing() -> None:
    nothing = torch.zeros(2, 4, 3, dtype=torch.bool)

    assert forecast_loss("mse", OUTPUT, Y, nothing) == 0


def test_quantiles_cost_the_mean_pinball_loss() -> None:
    levels = (0.1, 0.9)
    outputs = torch.stack([OUTPUT - 1, OUTPUT + 1], dim=3)

    found = forecast_loss("mse", outputs, Y, None, levels)

    expected = np.mean(
        [
            mean_pinball_loss(Y.flatten(), outputs[..., k].flatten(), alpha=q)
            for k, q in enumerate(levels)
        ]
    )
    assert float(found) == pytest.approx(float(expected), rel=1e-5)
