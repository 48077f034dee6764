"""Leads, gaps, rates, scales and quality of recordings."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqmamba.datasets.records import Record
from seqmamba.datasets.samples import Batch
from seqmamba.datasets.simulate.heart import LEADS, make_ecg
from seqmamba.errors import DataError
from seqmamba.tasks.ecg.samples import window_starts
from seqmamba.tasks.ecg.signal.augmentation import augment, mix_up
from seqmamba.tasks.ecg.signal.conditioning import band, fill_gaps, resample
from seqmamba.tasks.ecg.signal.leads import arrange, parse_leads
from seqmamba.tasks.ecg.signal.preprocessing import Preprocessing
from seqmamba.tasks.ecg.signal.quality import quality_of
from seqmamba.tasks.ecg.signal.rhythm import find_beats, rhythm_of


@pytest.fixture(scope="module")
def clean() -> Any:
    return make_ecg(6, seed=3, difficulty=0.0)


@given(st.permutations(range(12)))
def test_order_and_spelling_of_leads_do_not_matter(order: list[int]) -> None:
    signal = np.random.default_rng(0).normal(size=(12, 20))
    names = [f" {LEADS[k].upper()}" if k % 2 else f"lead {LEADS[k].lower()}" for k in order]

    found, present, flags = arrange(signal[order], names, LEADS)

    assert present.all()
    assert flags == []
    np.testing.assert_array_equal(found, signal)


@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 2)])
def test_limb_leads_follow_from_any_two(clean: Any, pair: tuple[int, int]) -> None:
    one, two = clean.x[0][:2].astype(np.float64)
    limbs = np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2])
    names = [LEADS[k] for k in pair]

    found, present, flags = arrange(limbs[list(pair)], names, LEADS)

    np.testing.assert_allclose(found[:6], limbs, atol=1e-12)
    assert present.tolist() == [True] * 6 + [False] * 6
    assert flags == ["missing: V1, V2, V3, V4, V5, V6"]


def test_flat_lead_is_missing_and_turned_lead_is_turned_back() -> None:
    signal = np.stack([np.zeros(50), np.arange(50.0)])

    found, present, flags = arrange(signal, ["V1", "-aVR"], ("V1", "aVR"))

    assert present.tolist() == [False, True]
    np.testing.assert_array_equal(found[1], -signal[1])
    assert "lead V1 is flat" in flags


def test_lead_names_are_read_or_refused() -> None:
    assert parse_leads("12") == LEADS
    with pytest.raises(DataError, match=r"no lead 'V7'.*Did you mean"):
        parse_leads("I,V7")


def test_short_gaps_are_bridged_and_long_ones_silent() -> None:
    signal = np.arange(100.0)[None] + 5
    signal[0, 10:13] = np.nan
    signal[0, 40:70] = np.nan

    filled, share = fill_gaps(signal, fs=100)

    np.testing.assert_allclose(filled[0, 10:13], [15, 16, 17])
    assert (filled[0, 40:70] == 0).all()
    assert share == pytest.approx(0.33)


@pytest.mark.parametrize(("fs", "wanted"), [(257, 500), (1000, 500), (360, 100), (128, 100)])
def test_slow_waves_survive_a_change_of_rate(fs: float, wanted: float) -> None:
    seconds = 8
    wave = np.sin(2 * np.pi * 3 * np.arange(seconds * fs) / fs)[None]

    found = resample(wave, fs, wanted)

    assert found.shape[1] == seconds * wanted
    expected = np.sin(2 * np.pi * 3 * np.arange(seconds * wanted) / wanted)
    inside = slice(int(0.5 * wanted), -int(0.5 * wanted))
    np.testing.assert_allclose(found[0, inside], expected[inside], atol=0.02)


def test_filter_takes_out_wander_and_keeps_time() -> None:
    time = np.arange(1000) / 100
    beat = np.exp(-0.5 * ((time - 5) / 0.03) ** 2)
    wander = np.sin(2 * np.pi * 0.1 * time)

    found = band((beat + wander)[None], 100, "bandpass")[0]

    assert abs(int(found.argmax()) - 500) <= 1
    assert np.abs(found[:300]).max() < 0.15
    assert band(np.ones((1, 5)), 100, "bandpass").shape == (1, 5)


def test_gain_changes_the_level_alone(clean: Any) -> None:
    prepare = Preprocessing(100, LEADS)
    record = Record("a", clean.x[0], 100, LEADS)

    once, twice = prepare(record), prepare(Record("a", 2 * clean.x[0], 100, LEADS))

    np.testing.assert_allclose(twice.signal, once.signal, atol=1e-4)
    assert twice.level - once.level == pytest.approx(np.log(2), abs=1e-4)


@pytest.mark.parametrize(("factor", "flagged"), [(1, False), (1000, True), (1e-3, True)])
def test_other_units_raise_a_flag(clean: Any, factor: float, flagged: bool) -> None:
    prepared = Preprocessing(100, LEADS)(Record("a", factor * clean.x[0], 100, LEADS))

    assert any("is the unit right" in flag for flag in prepared.flags) is flagged


def test_beats_are_found_where_they_are(clean: Any) -> None:
    for x, facts in zip(clean.x, clean.meta, strict=True):
        inside = facts["beats"][(facts["beats"] > 0.2) & (facts["beats"] < 9.8)]

        found = find_beats(x.astype(np.float64), 100)

        near = np.abs(found[:, None] - inside).min(0) < 0.12
        assert near.mean() > 0.85


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([0.8] * 11, (0.0, 0.0, 0.0)),  # 75 per minute, even
        ([1.6] * 5, (np.log(0.5) / 0.3, 0.0, 0.0)),
        ([0.6, 1.0] * 5, (0.0, 0.25 / 0.1, 0.5 / 0.15)),
        ([4.0], (0.0, 0.0, 0.0)),  # too few to say
    ],
    ids=["even", "slow", "uneven", "few"],
)
def test_rhythm_is_that_of_the_beats(intervals: list[float], expected: tuple[float, ...]) -> None:
    beats = np.round(100 * (0.5 + np.cumsum([0, *intervals]))).astype(int)
    signal = np.zeros((2, 1000))
    signal[:, beats] = 1.0

    np.testing.assert_allclose(rhythm_of(signal, 100), expected, atol=0.02)


def test_quality_names_clipping_mains_and_exchanged_arms(clean: Any) -> None:
    normal = next(k for k in range(6) if not clean.y[k].any() or clean.meta[k]["rhythm"] == "SR")
    x = np.repeat(clean.x[normal], 5, axis=1)
    hum = x + 0.5 * np.sin(2 * np.pi * 50 * np.arange(5000) / 500)
    clipped = np.clip(x, -0.1, 0.1)

    assert any("mains" in f for f in quality_of(Record("a", hum, 500, LEADS)).flags)
    assert any("clipped" in f for f in quality_of(Record("a", clipped, 500, LEADS)).flags)
    assert not any("mains" in f for f in quality_of(Record("a", x, 500, LEADS)).flags)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=8), st.integers(1, 120))
def test_windows_cover_every_sample(lengths: list[int], window: int) -> None:
    records, starts = window_starts(np.array(lengths), window)

    for k, length in enumerate(lengths):
        own = starts[records == k]
        covered = np.zeros(length, dtype=bool)
        for start in own:
            covered[start : start + window] = True
        assert covered.all()
        assert (own + window <= max(length, window)).all()


def _batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 200, 12, generator=generator) + 3
    extra = {"present": torch.ones(64, 12), "level": torch.zeros(64), "rhythm": torch.zeros(64, 3)}
    return Batch(x=x, y=torch.eye(2).repeat(32, 1), extra=extra)


def test_augmentation_never_turns_polarity_or_time() -> None:
    batch = _batch()

    x = augment(batch, 100.0).x

    kept = x.abs().sum(1) > 0
    for channel in range(12):
        rows = kept[:, channel]
        both = torch.stack([x[rows, :, channel], batch.x[rows, :, channel]])
        centred = both - both.mean(2, keepdim=True)
        agreement = (centred[0] * centred[1]).sum(1)
        assert (agreement > 0).all()


def test_mixup_mixes_labels_as_it_mixes_signals() -> None:
    torch.manual_seed(0)

    mixed = mix_up(_batch(), 0.4)

    assert mixed.y is not None
    assert torch.allclose(mixed.y.sum(1), torch.ones(64))
    assert ((mixed.y > 0) & (mixed.y < 1)).any()
