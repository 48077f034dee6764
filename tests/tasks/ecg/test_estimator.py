"""The classifier: what it takes, what it gives, and scikit-learn's own checks."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from seqmamba.errors import ConfigError, DataError
from seqmamba.tasks.ecg.estimator import ECGClassifier

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


@pytest.mark.slow
@parametrize_with_checks(  # type: ignore[untyped-decorator]  # scikit-learn is untyped
    [ECGClassifier(d_model=16, n_layers=1, max_epochs=20, random_state=0)]
)
def test_scikit_learn_check(estimator: Any, check: Any) -> None:
    check(estimator)


def test_same_record_gives_the_same_answer_in_every_form(
    small_model: ECGClassifier, recordings: tuple[Any, Any], tmp_path: Path
) -> None:
    x = recordings[0][48:]
    expected = small_model.predict_proba(x)
    order = np.random.default_rng(0).permutation(12)
    wide = pl.DataFrame(
        {
            "record": [f"r{k}" for k in range(len(x))],
            "fs": 100,
            **{
                LEADS[k].lower(): pl.Series(
                    np.round(x[:, k] * 1000).astype(np.int16), dtype=pl.Array(pl.Int16, 1000)
                )
                for k in order
            },
        }
    )
    wide.write_parquet(tmp_path / "wide.parquet")

    shuffled = small_model.predict_proba(x[:, order], lead_names=[LEADS[k].lower() for k in order])
    microvolts = small_model.predict_proba(tmp_path / "wide.parquet", units="uV")

    np.testing.assert_allclose(shuffled, expected, atol=1e-6)
    np.testing.assert_allclose(microvolts, expected, atol=0.02)


def test_another_rate_hardly_changes_the_answer(
    small_model: ECGClassifier, recordings: tuple[Any, Any]
) -> None:
    from scipy.signal import resample

    x = recordings[0][48:]
    faster = resample(x, 2500, axis=-1)

    found = small_model.predict_proba(faster, fs=250)

    np.testing.assert_allclose(found, small_model.predict_proba(x), atol=0.02)


def test_derivable_limb_leads_may_be_missing(
    small_model: ECGClassifier, recordings: tuple[Any, Any]
) -> None:
    x = recordings[0][48:52].copy()
    one, two = x[:, 0], x[:, 1]
    x[:, 2:6] = np.stack([two - one, -(one + two) / 2, one - two / 2, two - one / 2], axis=1)
    kept = [0, 1, 6, 7, 8, 9, 10, 11]

    found = small_model.predict_proba(x[:, kept], lead_names=[LEADS[k] for k in kept])

    np.testing.assert_allclose(found, small_model.predict_proba(x), atol=1e-6)


def test_limb_leads_alone_are_enough_to_run(
    small_model: ECGClassifier, recordings: tuple[Any, Any]
) -> None:
    found = small_model.predict_proba(recordings[0][48:52, :2], lead_names=["I", "II"])

    assert found.shape == (4, 11)
    assert np.isfinite(found).all()


def test_long_record_is_read_through_windows(
    small_model: ECGClassifier, recordings: tuple[Any, Any]
) -> None:
    x = recordings[0][48]
    twice = np.concatenate([x, x], axis=-1)

    found = small_model.predict_proba([x, twice[:, :1500], twice[:, :400]])

    assert found.shape == (3, 11)
    assert np.isfinite(found).all()


def test_files_are_answered_with_a_table(
    small_model: ECGClassifier, recordings: tuple[Any, Any], tmp_path: Path
) -> None:
    np.savez(tmp_path / "x.npz", x=recordings[0][48:50])

    table = small_model.predict(tmp_path / "x.npz")

    assert table.columns == ["record", "class", "probability", "decision"]
    assert table.height == 2 * 11
    assert table["record"].unique(maintain_order=True).to_list() == ["0", "1"]


def test_unknown_labels_are_left_out_of_the_loss(recordings: tuple[Any, Any]) -> None:
    x, y = recordings
    partly = y.astype(float).copy()
    partly.iloc[::2, 0] = np.nan

    model = ECGClassifier(d_model=8, n_layers=1, max_epochs=1, random_state=0).fit(x, partly)

    assert model.history_.table()["train_loss"].is_finite().all()


def test_single_leads_make_a_multiclass_problem() -> None:
    random = np.random.default_rng(0)
    y = np.array(["flat", "peak"])[random.integers(0, 2, 60)]
    x = random.normal(0, 0.3, (60, 96))
    x[y == "peak", 40:50] += 1.5

    model = ECGClassifier(d_model=16, n_layers=1, max_epochs=15, random_state=0).fit(x[:40], y[:40])

    assert model.score(x[40:], y[40:]) >= 0.9
    assert model.predict_proba(x[40:]).sum(1) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("damage", ["short", "nan", "leads"])
def test_bad_record_is_named(
    small_model: ECGClassifier, recordings: tuple[Any, Any], damage: str
) -> None:
    x = recordings[0][48].copy()
    bad = {
        "short": (x[:, :100], "record 1 lasts 1.00 s"),
        "nan": (np.where(np.arange(1000) < 600, np.nan, x), "record 1: 60% of its samples"),
        "leads": (np.zeros_like(x), "record 1: 0 usable leads"),
    }
    signal, message = bad[damage]

    with pytest.raises(DataError, match=message):
        small_model.predict_proba([x, signal])
    found = small_model.predict_proba([x, signal], on_error="nan")
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1]).all()
    assert len(small_model.predict_proba([x, signal], on_error="skip")) == 1


def test_thresholds_name_classes_that_exist(recordings: tuple[Any, Any]) -> None:
    x, y = recordings

    with pytest.raises(ConfigError, match=r"'AFF'.*Did you mean 'AF'"):
        ECGClassifier(thresholds={"AFF": ("sens", 0.9)}).fit(x, y)


def test_labels_belong_to_records_by_name(
    small_model: ECGClassifier, recordings: tuple[Any, Any]
) -> None:
    x, y = recordings
    rows = pd.DataFrame({"record": [str(k) for k in range(12)]})
    table = pd.concat([rows, y[48:].reset_index(drop=True)], axis=1)

    by_name = small_model.evaluate(x[48:], table.iloc[::-1])

    assert by_name.equals(small_model.evaluate(x[48:], y[48:]))
