"""Survival: the loss of hand-made cases, bins of equal events, patients joined, risk learned."""

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.testing import assert_allclose

import seqmamba
from seqmamba.datasets.simulate.instances import Slides, bag_table
from seqmamba.errors import ConfigError, DataError
from seqmamba.tasks.mil.survival import MILSurvival, hazard_loss, time_bins

TINY: dict[str, Any] = {"d_model": 8, "d_state": 4, "batch_size": 16, "n_members": 1}
TINY |= {"random_state": 0}
# hazards of 0.5, 0.25, 0.75: S = 0.5, 0.375, 0.09375
LOGITS = torch.log(torch.tensor([[1.0, 1 / 3, 3.0]]))
CASES = [  # bin, censored, likelihood by hand
    (0, False, 0.5),
    (2, False, 0.375 * 0.75),
    (0, True, 0.5),
    (2, True, 0.09375),
]


@pytest.mark.parametrize(("place", "censored", "likelihood"), CASES)
def test_loss_of_four_cases(place: int, censored: bool, likelihood: float) -> None:
    loss = hazard_loss(LOGITS, torch.tensor([place]), torch.tensor([censored]))

    assert float(loss) == pytest.approx(-math.log(likelihood), rel=1e-5)


def test_alpha_weighs_the_uncensored() -> None:
    places, censored = torch.tensor([0, 0]), torch.tensor([False, True])

    loss = hazard_loss(LOGITS.expand(2, 3), places, censored, alpha=0.25)

    expected = (-math.log(0.5) - 0.75 * math.log(0.5)) / 2
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_certain_hazards_have_a_finite_loss() -> None:
    loss = hazard_loss(torch.tensor([[80.0, -80.0]]), torch.tensor([1]), torch.tensor([False]))

    assert math.isfinite(float(loss))


def test_bins_hold_as_many_events() -> None:
    rng = np.random.default_rng(0)
    time, event = rng.exponential(size=400), rng.random(400) < 0.5

    edges = time_bins(time, event, 4)

    counts = np.histogram(time[event], edges)[0]
    assert counts.max() - counts.min() <= 1
    assert edges[0] < time.min()
    assert edges[-1] > time.max()


def test_wrong_times_are_named() -> None:
    with pytest.raises(DataError, match="a time is -1"):
        time_bins(np.array([-1.0, 2.0]), np.array([True, True]), 2)
    with pytest.raises(DataError, match="1 different event times cannot fill 4 bins"):
        time_bins(np.array([1.0, 2.0]), np.array([True, False]), 4)


def outcomes(n: int) -> tuple[Any, Any, Any]:
    """Bags whose mean sets the pace, with a third censored."""
    rng = np.random.default_rng(0)
    pace = rng.normal(size=n)
    found = [p + rng.normal(size=(rng.integers(4, 9), 5)).astype(np.float32) for p in pace]
    return found, np.exp(-1.5 * pace), (rng.random(n) < 0.7).astype(int)


def test_risk_is_learned_and_survives_the_file(tmp_path: Any) -> None:
    found, time, event = outcomes(150)
    model = MILSurvival(**TINY, encoder="none", max_epochs=40, patience=40)
    model.fit(found[:100], time=time[:100], event=event[:100])

    score = model.score(found[100:], time=time[100:], event=event[100:])
    loaded = seqmamba.load(model.save(tmp_path / "model.safetensors"))

    assert score > 0.8
    assert_allclose(loaded.predict_risk(found), model.predict_risk(found))
    curves = model.predict_survival(found)
    assert (np.diff(curves, axis=1) <= 0).all()


def test_all_slides_of_a_patient_are_one_bag(bags: Slides) -> None:
    table = bag_table(bags).drop("label")
    rng = np.random.default_rng(0)
    times = np.repeat(rng.exponential(size=20), 2)
    labels = pl.DataFrame(
        {
            "slide_id": table["bag_id"].unique(maintain_order=True),
            "case_id": [f"p{i // 2:02d}" for i in range(40)],
            "survival_months": times,
            "censorship": np.repeat(np.arange(20) % 3 == 0, 2).astype(int),
        }
    )
    model = MILSurvival(**TINY, max_epochs=1).fit(table, labels)

    scores = model.evaluate(table, labels)

    assert model.info_.extra["bags"] == 20
    assert scores["metric"].to_list() == ["concordance"]
    wrong = labels.with_columns(survival_months=np.arange(40.0))
    with pytest.raises(DataError, match="patient 'p00' has more than one time"):
        MILSurvival(**TINY, max_epochs=1).fit(table, wrong)


def test_without_times_it_says_what_is_needed(bags: Slides) -> None:
    with pytest.raises(ConfigError, match="time and event of each bag"):
        MILSurvival(**TINY).fit(bags.bags)
