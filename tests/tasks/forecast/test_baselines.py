"""The cheap forecasts."""

import numpy as np
import polars as pl
import pytest
import torch
from torch.testing import assert_close

from seqmamba.datasets.samples import Batch
from seqmamba.datasets.series.columns import Columns
from seqmamba.datasets.series.read import ReadOptions, read_panel
from seqmamba.datasets.windows import WindowSamples
from seqmamba.tasks.forecast.baselines import Last, Ridge, SeasonalNaive, WindowMean, baselines
from seqmamba.tasks.forecast.model import TokenLayout

PLAIN = TokenLayout()
X = torch.arange(24.0).reshape(1, 12, 2)


def windows(values: np.ndarray, size: int = 12, h: int = 3) -> WindowSamples:
    frame = pl.DataFrame({f"x{k}": values[:, k] for k in range(values.shape[1])})
    panel = read_panel(frame, Columns(), ReadOptions(grouping="all"))[0]
    count = np.array([len(values) - size - h + 1])
    gaps = bool(np.isnan(values).any())
    return WindowSamples(panel, size, h, np.array([size]), count, has_missing=gaps)


def test_last_repeats_the_last_value() -> None:
    assert Last(3, PLAIN)(Batch(X)).tolist() == [[[22, 23]] * 3]


def test_the_window_mean_repeats_the_mean() -> None:
    assert WindowMean(2, PLAIN)(Batch(X)).tolist() == [[[11, 12]] * 2]


def test_the_seasonal_forecast_repeats_the_last_cycle() -> None:
    found = SeasonalNaive(6, PLAIN, 4)(Batch(X))

    assert found[0, :, 0].tolist() == [16, 18, 20, 22, 16, 18]


def test_a_cycle_longer_than_the_window_is_no_candidate() -> None:
    assert "seasonal_naive" not in baselines(3, 12, 24, PLAIN)
    assert "seasonal_naive" not in baselines(3, 12, 1, PLAIN)
    assert "seasonal_naive" in baselines(3, 12, 12, PLAIN)


def test_ridge_finds_a_linear_recurrence() -> None:
    random = np.random.default_rng(0)
    series = [random.normal(size=2) for _ in range(2)]
    for _ in range(200):
        series.append(1.6 * series[-1] - 0.9 * series[-2])  # a damped wave without noise
    samples = windows(np.array(series))

    ridge = Ridge(3, PLAIN, 12).fit(samples)

    batch = samples.batch(np.arange(20))
    assert_close(ridge(batch), batch.y, rtol=1e-3, atol=1e-3)


def test_ridge_is_the_solution_of_the_normal_equations() -> None:
    values = np.random.default_rng(0).normal(size=(60, 2)).cumsum(axis=0)
    samples = windows(values)
    batch = samples.batch(np.arange(len(samples)))
    assert batch.y is not None
    last = batch.x[:, -1:]
    rows = (batch.x - last).transpose(1, 2).reshape(-1, 12).double().numpy()
    rows = np.hstack([rows, np.ones((len(rows), 1))])
    target = (batch.y - last).transpose(1, 2).reshape(-1, 3).double().numpy()
    gram = rows.T @ rows
    gram += 1e-6 * np.trace(gram) / 13 * np.eye(13)

    ridge = Ridge(3, PLAIN, 12).fit(samples)

    np.testing.assert_allclose(
        ridge.weight.numpy(), np.linalg.solve(gram, rows.T @ target), rtol=1e-3, atol=1e-5
    )


def test_the_penalty_with_the_best_score_is_kept() -> None:
    samples = windows(np.random.default_rng(0).normal(size=(60, 2)))
    ridge = Ridge(3, PLAIN, 12).fit(samples)

    ridge.tune(lambda tried: -float(tried.weight.square().sum()))
    loose = ridge.weight.square().sum()
    ridge.fit(samples)
    ridge.tune(lambda tried: float(tried.weight.square().sum()))

    assert ridge.weight.square().sum() < loose


def test_missing_cells_leave_the_solution_near() -> None:
    wave = np.sin(np.arange(300) / 5)[:, None] + np.zeros(2)
    holes = wave.copy()
    holes[np.random.default_rng(0).random(wave.shape) < 0.1] = np.nan

    ridge = Ridge(3, PLAIN, 12).fit(windows(holes))

    batch = windows(wave).batch(np.arange(50))
    assert float((ridge(batch) - batch.y).abs().mean()) < 0.05


def test_covariates_are_not_forecast() -> None:
    layout = TokenLayout(n_hist=1)
    batch = Batch(torch.randn(2, 12, 3))

    for baseline in baselines(4, 12, 6, layout).values():
        assert baseline(batch).shape == (2, 4, 2)


@pytest.mark.parametrize("name", ["ridge", "last", "seasonal_naive", "window_mean"])
def test_quantiles_lie_about_the_point_as_the_errors_do(name: str) -> None:
    samples = windows(np.random.default_rng(0).normal(size=(400, 2)).cumsum(axis=0))
    levels = (0.1, 0.5, 0.9)
    baseline = baselines(3, 12, 6, PLAIN, levels)[name].fit(samples)

    batch = samples.batch(np.arange(len(samples)))
    assert batch.y is not None
    below = (batch.y.unsqueeze(3) <= baseline(batch)).float().mean(dim=(0, 1, 2))

    assert_close(below, torch.tensor(levels), rtol=0, atol=0.02)
