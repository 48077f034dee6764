"""The simulated heart: leads add up, labels say what was drawn, draws repeat."""

import numpy as np
import pytest

from seqmamba.datasets import simulate
from seqmamba.datasets.simulate.heart import CLASSES, LEADS, make_ecg
from seqmamba.datasets.simulate.heart_waves import leads_of


def test_same_seed_gives_the_same_recordings() -> None:
    first, second, other = (simulate.ecg(n=3, seed=seed) for seed in (0, 0, 1))

    assert np.array_equal(first[0], second[0])
    assert first[1].equals(second[1])
    assert not np.array_equal(first[0], other[0])


def test_more_recordings_start_with_the_same() -> None:
    assert np.array_equal(simulate.ecg(n=2, seed=4)[0], simulate.ecg(n=5, seed=4)[0][:2])


def test_limb_leads_keep_einthovens_law() -> None:
    leads = dict(zip(LEADS, leads_of(np.random.default_rng(0).normal(size=(50, 3))), strict=True))

    np.testing.assert_allclose(leads["III"], leads["II"] - leads["I"])
    np.testing.assert_allclose(leads["aVR"] + leads["aVL"] + leads["aVF"], 0, atol=1e-12)


def test_labels_are_those_of_the_rhythm() -> None:
    made = make_ecg(60, seed=2)

    for row, facts in zip(made.y, made.meta, strict=True):
        named = {name for name, value in zip(CLASSES, row, strict=True) if value}
        assert (facts["rhythm"] in named) is (facts["rhythm"] in CLASSES)
        inside = (facts["beats"] > 0.1) & (facts["beats"] < 9.9)
        kinds = set(np.array(facts["kinds"])[inside])
        assert ("PVC" in named, "PAC" in named) == ("V" in kinds, "A" in kinds)
        assert {name for name in ("RBBB", "LBBB", "STE", "TINV") if name in named} <= set(facts)


def test_shares_of_classes_are_those_of_the_frozen_draw() -> None:
    y = simulate.ecg(n=400, seconds=4, seed=0)[1]

    expected = {"AF": 0.133, "SB": 0.123, "RBBB": 0.149, "LBBB": 0.155, "STE": 0.174}  # synth12
    for name, share in expected.items():
        assert y[name].mean() == pytest.approx(share, abs=0.06)  # three standard errors


def test_difficulty_adds_noise() -> None:
    quiet, loud = (make_ecg(20, seed=0, difficulty=d).x for d in (0.0, 1.0))

    rough = [float(np.median(np.abs(np.diff(x, axis=-1)))) for x in (quiet, loud)]
    assert rough[1] > 2 * rough[0]


def test_rate_and_length_are_as_asked() -> None:
    x, y = simulate.ecg(n=2, fs=250, seconds=6, seed=0)

    assert x.shape == (2, 12, 1500)
    assert list(y.columns) == list(CLASSES)
