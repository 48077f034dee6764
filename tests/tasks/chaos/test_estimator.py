"""The forecaster: shapes, units, copies, noise, and bad input."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from seqmamba.datasets.simulate.chaotic.orbits import orbits
from seqmamba.errors import ConfigError, DataError, SeqmambaWarning
from seqmamba.tasks.chaos.estimator import PhyxMambaForecaster
from seqmamba.tasks.chaos.foundation import surely_better
from seqmamba.tasks.chaos.net.rollout import Rollout

TINY: dict[str, Any] = {
    "input_size": 20,
    "delay_dim": 2,
    "delay_lag": 3,
    "d_model": 8,
    "n_features": 60,
    "max_epochs": 1,
    "head_epochs": 0,
    "forcing_epochs": 0,
    "validation_starts": 4,
    "validation_steps": 30,
    "lyapunov_time": 1.1,
    "dt": 0.0369,
    "random_state": 0,
}


@pytest.fixture(scope="module")
def orbit() -> NDArray[np.float64]:
    found: NDArray[np.float64] = orbits("lorenz63", 1_000, seed=0)[0]
    return found


@pytest.fixture(scope="module")
def fitted(orbit: NDArray[np.float64]) -> PhyxMambaForecaster:
    torch.set_num_threads(1)
    return PhyxMambaForecaster(**TINY).fit(orbit[:600])


def test_the_answer_has_the_shape_of_the_question(
    fitted: PhyxMambaForecaster, orbit: NDArray[np.float64]
) -> None:
    assert fitted.predict(h=7).shape == (7, 3)
    assert fitted.predict(orbit[600:700], h=7).shape == (7, 3)
    assert fitted.predict([orbit[600:700], orbit[700:760]], h=7).shape == (2, 7, 3)


def test_a_table_comes_back_with_its_times(orbit: NDArray[np.float64]) -> None:
    table = pl.DataFrame({"ds": np.arange(600) * 0.0369, "x": orbit[:600, 0], "z": orbit[:600, 2]})
    model = PhyxMambaForecaster(**{**TINY, "dt": None}).fit(table)

    answer = model.predict(h=3)

    assert answer.columns == ["step", "ds", "x", "z"]
    assert answer["ds"].to_list() == pytest.approx([600 * 0.0369, 601 * 0.0369, 602 * 0.0369])
    assert model.dt_ == pytest.approx(0.0369)


def test_units_do_not_matter(orbit: NDArray[np.float64]) -> None:
    factor, shift = np.array([1e3, 1e-3, 5.0]), np.array([1e4, -2.0, 0.0])
    model = PhyxMambaForecaster(**TINY).fit(orbit[:600])
    other = PhyxMambaForecaster(**TINY).fit(orbit[:600] * factor + shift)

    mine = model.evaluate(orbit[600:], metrics=["vpt"], starts=20)
    theirs = other.evaluate(orbit[600:] * factor + shift, metrics=["vpt"], starts=20)

    assert theirs["value"][0] == pytest.approx(mine["value"][0], rel=1e-3)


def test_every_baseline_stands_beside(
    fitted: PhyxMambaForecaster, orbit: NDArray[np.float64]
) -> None:
    scores = fitted.evaluate(orbit[600:], h=60, starts=10)

    beside = {"anchor", "ngrc", "rff", "echo_state", "analogues", "persistence", "floor"}
    assert beside <= set(scores.columns)
    vpt = scores.row(by_predicate=pl.col("metric") == "vpt", named=True)
    assert vpt["value"] > vpt["persistence"]


def test_a_given_truth_replaces_noisy_rows(
    fitted: PhyxMambaForecaster, orbit: NDArray[np.float64]
) -> None:
    noisy = orbit[600:] + 0.5 * np.random.default_rng(0).standard_normal((400, 3))

    clean = fitted.evaluate(noisy, orbit[600:], metrics=["one_step"], starts=20)
    against_noise = fitted.evaluate(noisy, metrics=["one_step"], starts=20)

    assert clean["value"][0] < against_noise["value"][0]


@pytest.mark.slow
def test_noise_is_smoothed_away(orbit: NDArray[np.float64]) -> None:
    x = orbits("lorenz63", 3_000, seed=1)[0]
    noisy = x + 0.05 * x.std(axis=0) * np.random.default_rng(0).standard_normal(x.shape)
    size = {**TINY, "validation_starts": 20, "validation_steps": 120, "max_epochs": 0}
    plain = PhyxMambaForecaster(**size, denoise=False).fit(noisy[:2_000])
    smooth = PhyxMambaForecaster(**size).fit(noisy[:2_000])

    scores = [m.evaluate(noisy[2_000:], x[2_000:], starts=60) for m in (plain, smooth)]

    first, second = (s.filter(pl.col("metric") == "vpt")["value"][0] for s in scores)
    assert smooth.smoothing_ > 0
    assert second > 1.15 * first


@pytest.mark.parametrize(
    ("simple_lasts", "gain", "is_better"),
    [(40.0, 4.0, False), (40.0, 12.0, True), (20.0, 2.0, True)],
)
def test_a_dearer_map_must_last_much_longer_than_one_without_fault(
    fitted: PhyxMambaForecaster,
    orbit: NDArray[np.float64],
    monkeypatch: pytest.MonkeyPatch,
    simple_lasts: float,
    gain: float,
    is_better: bool,
) -> None:
    windows = fitted._windows(orbit[600:])  # rollouts of 30 rows
    simple, other = nn.Identity(), nn.Identity()
    lasting: dict[nn.Module, float] = {simple: simple_lasts, other: simple_lasts + gain}

    def forecast(net: nn.Module, context: NDArray[np.float64], truth: object) -> object:
        return lasting[net] + np.linspace(-0.1, 0.1, len(context))

    monkeypatch.setattr(fitted, "_lasting", forecast)

    assert surely_better(fitted, simple, other, windows) == is_better


def test_rollouts_without_fault_last_until_their_error_has_grown(
    fitted: PhyxMambaForecaster, orbit: NDArray[np.float64], monkeypatch: pytest.MonkeyPatch
) -> None:
    context, truth = fitted._windows(orbit[600:]).rollouts(3, 10)
    off = 0.4 * np.exp([-2.0, -1.0, 1.0])  # of the threshold: two are valid to their end
    path = truth + off[:, None, None]
    rolled = Rollout(path, np.zeros(3, bool))
    monkeypatch.setattr(fitted, "_roll", lambda *_: rolled)

    lasting = fitted._lasting(fitted.net_, context, truth)

    per_time = fitted.lyapunov_time_ / fitted.dt_
    expected = [10 + 2 * per_time, 10 + per_time, 0]
    np.testing.assert_allclose(lasting, expected)


def test_an_anchor_alone_is_the_ridge_map(orbit: NDArray[np.float64]) -> None:
    model = PhyxMambaForecaster(**{**TINY, "anchor": "rff", "max_epochs": 0}).fit(orbit[:600])

    scores = model.evaluate(orbit[600:], metrics=["vpt"], h=60, starts=10)

    assert scores["value"][0] == scores["anchor"][0] == scores["rff"][0]


@pytest.mark.parametrize("preset", ["fast", "paper"])
def test_the_papers_network_trains_without_an_anchor(
    orbit: NDArray[np.float64], preset: Any
) -> None:
    size = {**TINY, "d_state": 8, "n_layers": 1, "forcing_epochs": 1, "head_epochs": 1}
    model = PhyxMambaForecaster(**size, preset=preset, anchor=None, forcing_windows=64)

    model.fit(orbit[:600])

    stages = model.history_.table()["stage"].to_list()
    assert stages == ["patches", "head", "all"]
    assert np.isfinite(model.predict(h=40)).all()


def test_ensembles_start_from_the_forecast(fitted: PhyxMambaForecaster) -> None:
    paths = fitted.rollout(h=50, n_members=8, perturb=0.05)
    low, high = fitted.predict_interval(h=50, level=0.5, n_members=8)

    # products round by the size of the batch, and chaos lets that grow
    np.testing.assert_allclose(paths[0, :25], fitted.predict(h=25), rtol=1e-6)
    assert paths[:, -1].std() > paths[:, 0].std()
    assert (low <= high).all()


def test_ensembles_are_scored_by_lead_time(
    fitted: PhyxMambaForecaster, orbit: NDArray[np.float64]
) -> None:
    scores = fitted.ensemble_scores(orbit[600:], h=100, starts=10, n_members=8, level=0.8)

    assert scores.columns == ["step", "lyapunov_times", "crps", "coverage", "spread"]
    assert scores.height == 100
    assert scores["crps"][-1] > scores["crps"][0]
    assert scores["coverage"].is_between(0, 1).all()
    with pytest.raises(ConfigError, match="level must lie between 0 and 1"):
        fitted.ensemble_scores(orbit[600:], level=1.5)


def test_exponents_are_those_of_lorenz(fitted: PhyxMambaForecaster) -> None:
    assert fitted.lyapunov_exponents()[0] == pytest.approx(0.9044, rel=0.1)


def test_a_report_is_one_page(
    fitted: PhyxMambaForecaster, orbit: NDArray[np.float64], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib", reason="plots are an extra")

    page = fitted.report(orbit[600:], h=60, starts=8).save(tmp_path / "report.html")

    text = page.read_text()
    assert text.count("<figure>") == 5
    assert "floor" in text


def test_short_contexts_are_read_as_they_are(
    fitted: PhyxMambaForecaster, orbit: NDArray[np.float64]
) -> None:
    assert np.isfinite(fitted.predict(orbit[600:608], h=5)).all()
    with pytest.raises(DataError, match="shorter than one patch of 5"):
        fitted.predict(orbit[600:603], h=5)


def test_a_constant_channel_is_left_out(orbit: NDArray[np.float64]) -> None:
    x = np.column_stack([orbit[:600], np.full(600, 4.2)])

    with pytest.warns(SeqmambaWarning, match="constant channels are left out.*x3"):
        model = PhyxMambaForecaster(**TINY).fit(x)

    assert (model.predict(h=5)[:, 3] == 4.2).all()


def test_rows_with_nan_end_a_segment(orbit: NDArray[np.float64]) -> None:
    x = orbit[:900].copy()
    x[300, 1] = np.nan

    model = PhyxMambaForecaster(**TINY).fit(x)

    assert model.info_.extra["segments"] == 2
    assert np.isfinite(model.predict(h=20)).all()


def test_glued_orbits_are_cut(orbit: NDArray[np.float64]) -> None:
    x = np.concatenate([orbit[:400], orbits("lorenz63", 400, seed=5)[0]])

    with pytest.warns(SeqmambaWarning, match="leaps 1 time"):
        model = PhyxMambaForecaster(**TINY).fit(x)

    assert model.info_.extra["segments"] == 2


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (slice(0, 40), "has 40; input_size=20 with 3 delayed rows needs 51"),
        (slice(0, 0), "has no rows"),
        (slice(0, 1), "has 1; a context alone takes input_size=20"),
        (slice(0, 3), "has 3; a context alone takes input_size=20"),
    ],
)
def test_too_few_rows_are_refused(orbit: NDArray[np.float64], rows: slice, message: str) -> None:
    with pytest.raises(DataError, match=message):
        PhyxMambaForecaster(**TINY).fit(orbit[rows])


def test_unequal_sampling_is_refused(orbit: NDArray[np.float64]) -> None:
    times = np.arange(600.0)
    times[200:] += 0.4

    with pytest.raises(DataError, match="not evenly spaced: rows 200 and 201"):
        PhyxMambaForecaster(**TINY).fit(pl.DataFrame({"ds": times, "x": orbit[:600, 0]}))


def test_a_horizon_is_at_least_one_row(fitted: PhyxMambaForecaster) -> None:
    with pytest.raises(ConfigError, match="h must be at least 1 row, got 0"):
        fitted.predict(h=0)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"patch": 15}, "must hold two patches of 15 rows"),
        ({"anchor": "ngcr"}, "Did you mean 'ngrc'"),
        ({"clip_sigma": 0.5}, "clip_sigma must lie in"),
    ],
)
def test_wrong_parameters_are_named(
    orbit: NDArray[np.float64], params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        PhyxMambaForecaster(**{**TINY, **params}).fit(orbit[:600])


def test_other_channels_are_refused(
    fitted: PhyxMambaForecaster, orbit: NDArray[np.float64]
) -> None:
    with pytest.raises(DataError, match="fitted on 3 channels"):
        fitted.predict(orbit[600:700, :2], h=5)
