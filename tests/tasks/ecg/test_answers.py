"""Reports, saliency, streams and folds of a fitted classifier."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqmamba.datasets.simulate.heart import LEADS, make_ecg
from seqmamba.errors import ConfigError, DataError
from seqmamba.tasks.ecg.answers.folds import stratified_group_folds
from seqmamba.tasks.ecg.estimator import ECGClassifier


@pytest.mark.parametrize("suffix", [".html", ".png", ".json", ".txt"])
def test_report_is_written_in_every_form(
    small_model: ECGClassifier, recordings: tuple[Any, Any], tmp_path: Path, suffix: str
) -> None:
    report = small_model.predict_record(recordings[0][50], fs=100)

    path = report.save(tmp_path / f"report{suffix}")

    assert path.stat().st_size > 500
    content = path.read_bytes()
    if suffix in (".html", ".json", ".txt"):
        assert b"Not a medical device" in content
    if suffix == ".json":
        assert len(json.loads(content)["classes"]) == 11


def test_report_agrees_with_predict(
    small_model: ECGClassifier, recordings: tuple[Any, Any]
) -> None:
    x = recordings[0][50]

    table = small_model.predict_record(x).table.sort("class")

    expected = small_model.predict_proba(x[None])[0][np.argsort(small_model.classes_)]
    np.testing.assert_allclose(table["probability"].to_numpy(), expected, atol=1e-6)


def test_report_counts_beats(small_model: ECGClassifier) -> None:
    made = make_ecg(8, seed=3, difficulty=0.0)
    regular = [k for k in range(8) if made.meta[k]["rhythm"] in ("SR", "SB", "STACH")]

    for k in regular:
        rate = small_model.predict_record(made.x[k]).quality.heart_rate
        assert rate == pytest.approx(made.meta[k]["rate"], rel=0.1)


def test_several_recordings_are_no_report(
    small_model: ECGClassifier, recordings: tuple[Any, Any]
) -> None:
    with pytest.raises(DataError, match="here are 2"):
        small_model.predict_record(recordings[0][:2])


def test_integrated_gradients_add_up_to_the_logit(
    small_model: ECGClassifier, recordings: tuple[Any, Any]
) -> None:
    x = recordings[0][50:52]
    place = list(small_model.classes_).index("PVC")
    samples: Any = small_model._read(x, None, False)
    batch = samples.batch(np.arange(2))
    silent = type(batch)(x=batch.x * 0, mask=batch.mask, extra=batch.extra)
    gain = (small_model.net_(batch) - small_model.net_(silent))[:, place].detach().numpy()

    values = small_model.saliency(x, target="PVC")

    assert values.shape == (2, 12, 1000)
    # sixteen points of the path; normalisation makes it steep near silence
    np.testing.assert_allclose(values.sum((1, 2)), gain, rtol=0.15, atol=0.02)


@pytest.mark.parametrize("method", ["grad_input", "occlusion"])
def test_missing_lead_gets_no_saliency(
    small_model: ECGClassifier, recordings: tuple[Any, Any], method: Any
) -> None:
    x = recordings[0][50:51].copy()
    x[:, 8] = 0

    values = small_model.saliency(x, target="AF", method=method)

    assert np.abs(values[0, 8]).max() < 1e-6
    assert np.abs(values).max() > 0


def test_unknown_target_is_named(small_model: ECGClassifier, recordings: tuple[Any, Any]) -> None:
    with pytest.raises(ConfigError, match=r"'PVCs'.*Did you mean 'PVC'"):
        small_model.saliency(recordings[0][:1], target="PVCs")


def test_stream_in_pieces_equals_whole_windows(
    small_model: ECGClassifier, recordings: tuple[Any, Any]
) -> None:
    whole = np.concatenate([recordings[0][50], recordings[0][51]], axis=1)  # 20 s
    pieces = np.array_split(whole, 7, axis=1)

    moments = list(small_model.predict_stream(pieces, hop=5.0, fs=100, lead_names=LEADS))

    assert [m.start for m in moments] == [0.0, 5.0, 10.0]
    expected = small_model.predict_proba(
        np.stack([whole[:, int(100 * m.start) :][:, :1000] for m in moments])
    )
    found = np.stack([m.probabilities for m in moments])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_stream_ends_with_what_is_left(
    small_model: ECGClassifier, recordings: tuple[Any, Any]
) -> None:
    pieces = [recordings[0][50], recordings[0][51][:, :300]]

    moments = list(small_model.predict_stream(pieces, hop=10.0, fs=100, lead_names=LEADS))

    assert [(m.start, m.end) for m in moments] == [(0.0, 10.0), (10.0, 13.0)]
    assert all(np.isfinite(m.probabilities).all() for m in moments)


def test_folds_keep_groups_together_and_labels_even() -> None:
    random = np.random.default_rng(0)
    labels = (random.random((300, 5)) < [0.5, 0.3, 0.2, 0.1, 0.04]).astype(float)
    groups = random.integers(0, 120, 300)

    fold = stratified_group_folds(labels, groups, 5)

    assert all(len(set(fold[groups == g])) == 1 for g in np.unique(groups))
    per_fold = np.stack([labels[fold == k].sum(0) for k in range(5)])
    assert (np.abs(per_fold - per_fold.mean(0)) <= 0.35 * per_fold.mean(0) + 2).all()


def test_cross_validation_scores_three_models(recordings: tuple[Any, Any]) -> None:
    x, y = recordings
    model = ECGClassifier(d_model=8, n_layers=1, max_epochs=1, val_size=0, random_state=0)

    table = model.cv(x, y, folds=2)

    assert table.height == 11 + 2
    assert {"auroc", "resnet_auroc", "logistic_auroc"} <= set(table.columns)
    assert table["positives"].to_list()[:11] == y.sum().to_list()
