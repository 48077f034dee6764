"""Delay embedding: what is known of waves, noise and the Lorenz system."""

import numpy as np
import pytest

from seqmamba.datasets.simulate.chaotic.orbits import orbits
from seqmamba.tasks.chaos.embedding import (
    embedding_report,
    false_neighbours,
    first_minimum,
    mutual_information,
)
from seqmamba.tasks.chaos.estimator import PhyxMambaForecaster
from seqmamba.tasks.chaos.facts import embedding

WAVE = np.sin(np.arange(2_000) * 0.1)  # a period of 63 rows
NOISE = np.random.default_rng(0).standard_normal(2_000)


def test_noise_knows_nothing_of_itself_and_a_wave_all() -> None:
    assert mutual_information(NOISE, 5).max() < 0.1
    assert mutual_information(WAVE, 5).min() > 1.0


def test_the_lag_is_the_first_minimum_else_that_of_the_autocorrelation() -> None:
    falling = 1 / np.arange(1.0, 40.0)

    assert first_minimum(np.array([3.0, 2.0, 1.0, 0.5, 0.7, 0.9, 0.4]), WAVE) == 4
    assert first_minimum(falling, WAVE) == 12  # cos(0.1 * 12) is the first below 1 / e


def test_a_wave_needs_two_dimensions() -> None:
    found = embedding_report(WAVE, max_lag=30)

    assert found.delay_dim == 2
    assert not found.is_noise


def test_noise_is_called_so() -> None:
    assert embedding_report(NOISE, max_lag=10).is_noise


@pytest.mark.parametrize("method", ["cao", "fnn"])
def test_one_channel_of_lorenz_needs_three_dimensions_or_more(method: str) -> None:
    x = orbits("lorenz63", 2_500, dt=0.0369, seed=0)[0]

    found = embedding_report(x, ("x", "y", "z"), max_lag=30, method=method)

    assert set(found.dims) == {"x", "y", "z"}
    assert 3 <= found.delay_dim <= 6
    assert 3 <= found.delay_lag <= 8


def test_false_neighbours_vanish_once_unfolded() -> None:
    shares = false_neighbours(WAVE, 16, max_dim=3)

    assert shares[0] > 0.1
    assert shares[1] < 0.01


def test_the_lag_shrinks_to_fit_the_context() -> None:
    x = WAVE[:, None]

    assert embedding(x, 30, 4, 20) == (4, 4)  # 3 lags of 4 rows: below half of the context
    assert embedding(x, 30, 1, 20) == (1, 1)


def test_a_suggestion_comes_as_a_table_and_as_a_figure() -> None:
    table = PhyxMambaForecaster().embed(WAVE)
    assert table.columns == ["channel", "delay_lag", "delay_dim"]
    assert table["channel"].to_list() == ["x0", "all"]

    pytest.importorskip("matplotlib", reason="plots are an extra")
    axes = embedding_report(WAVE).figure().axes
    assert [len(axis.lines) for axis in axes] == [2, 2]
