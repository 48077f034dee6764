"""The anchor: what the rhythm alone says, and how the network stands on it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import seqmamba
from seqmamba.datasets.simulate.heart import CLASSES, ecg
from seqmamba.metrics.multilabel import class_auroc
from seqmamba.tasks.ecg.estimator import ECGClassifier
from seqmamba.train.anchor import Anchored

TINY: dict[str, Any] = {"d_model": 8, "n_layers": 1, "random_state": 0}


def test_rhythm_alone_tells_slow_and_fast_hearts() -> None:
    x, y = ecg(n=200, seed=3)

    # no epoch: the anchor stands alone
    model = ECGClassifier(**TINY, anchor="rhythm", max_epochs=0, calibrate="none")
    found = model.fit(x[:120], y[:120]).predict_proba(x[120:])

    scores = dict(zip(CLASSES, class_auroc(y[120:].to_numpy(), found), strict=True))
    assert scores["SB"] > 0.95
    assert scores["STACH"] > 0.95


def test_anchor_survives_the_model_file(recordings: tuple[Any, Any], tmp_path: Path) -> None:
    x, y = recordings
    model = ECGClassifier(**TINY, anchor="rhythm", max_epochs=1).fit(x[:48], y[:48])

    loaded = seqmamba.load(model.save(tmp_path / "model"))

    assert isinstance(loaded.net_, Anchored)
    np.testing.assert_array_equal(loaded.predict_proba(x[48:]), model.predict_proba(x[48:]))


def test_residual_network_can_stand_on_it_too(recordings: tuple[Any, Any]) -> None:
    x, y = recordings

    model = ECGClassifier(network="resnet", anchor="rhythm", max_epochs=1, random_state=0)

    assert isinstance(model.fit(x[:20], y[:20]).net_, Anchored)


def test_network_stands_alone_by_default(recordings: tuple[Any, Any]) -> None:
    x, y = recordings

    model = ECGClassifier(**TINY, max_epochs=1)

    assert not isinstance(model.fit(x, y).net_, Anchored)


def test_last_batch_may_hold_one_record(recordings: tuple[Any, Any]) -> None:
    x, y = recordings
    model = ECGClassifier(**TINY, max_epochs=1, batch_size=5, val_size=0, patience=None)

    model.fit(x[:6], y[:6])

    assert all(torch.isfinite(p).all() for p in model.net_.parameters())


@pytest.mark.parametrize("anchor", ["rythm", 3])
def test_unknown_anchor_is_refused(recordings: tuple[Any, Any], anchor: Any) -> None:
    with pytest.raises(seqmamba.errors.ConfigError, match="anchor"):
        ECGClassifier(anchor=anchor).fit(*recordings)
