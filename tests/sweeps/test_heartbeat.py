"""No trial of a dead worker stays running, and none of a living one is taken away."""

import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from seqmamba.sweeps import storages, sweep
from seqmamba.sweeps.heartbeat import beating, fail_stale
from seqmamba.sweeps.storages import open_storage

pytestmark = [
    pytest.mark.parametrize("storage", ["{}/s.db", "journal:{}/s.log"]),
    # The tests ask for a trial and leave it, like a worker that dies before its first heartbeat.
    pytest.mark.filterwarnings("ignore:Heartbeat of storage"),
]


def test_trial_without_heartbeat_is_stale(storage: str, tmp_path: Path) -> None:
    study = optuna.create_study(storage=open_storage(storage.format(tmp_path)))
    trial = study.ask()
    time.sleep(0.3)

    assert fail_stale(study, grace=5.0) == []
    assert [t.number for t in fail_stale(study, grace=0.2)] == [trial.number]
    assert study.trials[0].state is TrialState.FAIL


def test_beating_trial_is_alive(storage: str, tmp_path: Path) -> None:
    study = optuna.create_study(storage=open_storage(storage.format(tmp_path)))
    trial = study.ask()

    with beating(trial, interval=0.05):
        time.sleep(0.5)
        assert fail_stale(study, grace=0.4) == []


def test_parameters_of_a_stale_trial_are_tried_again(
    storage: str, parabola: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storages, "GRACE_S", 0.1)
    place = storage.format(tmp_path)
    sweep(parabola, "data", trials=4, storage=place)
    study = optuna.load_study(study_name="Parabola", storage=open_storage(place))
    lost = study.ask()
    x = lost.suggest_float("x", -1, 1)
    time.sleep(0.2)

    result = sweep(parabola, "data", trials=5, storage=place)

    assert result.trials_["state"].to_list()[-2:] == ["fail", "complete"]
    assert result.trials_["x"][-1] == x
