"""When a network may replace the cheap forecast that it stands on."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from torch import Tensor, nn

from seqmamba import SMambaForecaster
from seqmamba.datasets.samples import Batch
from seqmamba.datasets.series.columns import Columns
from seqmamba.datasets.series.read import read_panel
from seqmamba.datasets.windows import WindowSamples
from seqmamba.tasks.forecast.gain import Gain, measured_gain


class Constant(nn.Module):
    """A forecast of one number everywhere: its loss is the distance from the truth."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.level = level


def distance(net: nn.Module, batch: Batch) -> Tensor:
    assert batch.y is not None
    return (batch.y - net.level).abs().mean(dim=(1, 2))  # type: ignore[operator]  # a Constant


def valid_windows(values: np.ndarray, h: int = 4) -> WindowSamples:
    panel, _ = read_panel(pl.DataFrame({"x": values}), Columns())
    count = np.array([len(values) - 6 - h + 1])
    return WindowSamples(panel, 6, h, np.array([6]), count)


NOISE = np.random.default_rng(0).normal(size=200)


def test_a_clear_gain_is_sure() -> None:
    gain = measured_gain(distance, Constant(3.0), Constant(0.0), valid_windows(NOISE + 3))

    assert gain.mean == pytest.approx(3 - np.abs(NOISE).mean(), abs=0.2)
    assert gain.is_sure


def test_a_gain_within_chance_is_not_sure() -> None:
    gain = measured_gain(distance, Constant(0.01), Constant(0.0), valid_windows(NOISE))

    assert not gain.is_sure


def test_a_loss_is_never_a_gain() -> None:
    assert not Gain(-1.0, 0.0).is_sure


def test_overlapping_windows_do_not_feign_certainty() -> None:
    walk = np.cumsum(NOISE)

    alone = measured_gain(distance, Constant(1.0), Constant(0.0), valid_windows(walk, h=1))
    together = measured_gain(distance, Constant(1.0), Constant(0.0), valid_windows(walk, h=20))

    assert together.standard_error > 2 * alone.standard_error


def test_noise_is_forecast_by_its_simplest_model() -> None:
    stamps = pd.date_range("2024-01-01", periods=400, freq="D")
    walk = pd.DataFrame({"ds": stamps, "a": np.cumsum(np.r_[NOISE, NOISE[::-1]])})

    model = SMambaForecaster(
        h=8, input_size=24, d_model=8, max_epochs=2, learning_rate=1e-3, random_state=0
    ).fit(walk)

    assert model.anchor_ == "last"
    assert model.history_.best_epoch == 0
    np.testing.assert_allclose(model.predict()["SMamba"], walk["a"].iloc[-1], rtol=1e-5)
