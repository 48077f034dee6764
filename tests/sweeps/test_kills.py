"""Workers that are killed lose no finished trial and leave none running (reliability, P5).

Workers are forks: they start at once, and inherit the short heartbeat.
"""

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from seqmamba.sweeps import storages
from seqmamba.sweeps.plan import Plan
from seqmamba.sweeps.space import Space
from seqmamba.sweeps.trial import Data
from seqmamba.sweeps.work import join_study, work

TRIALS = 30
GRACE_S = 2
PAUSE_S = 0.2  # per trial: kills come before the study is complete


@pytest.fixture(params=["sqlite", pytest.param("journal", marks=pytest.mark.slow)])
def plan(
    request: pytest.FixtureRequest,
    parabola: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Plan:
    monkeypatch.setattr(storages, "HEARTBEAT_S", 1)
    monkeypatch.setattr(storages, "GRACE_S", GRACE_S)
    place = {"sqlite": f"{tmp_path}/s.db", "journal": f"journal:{tmp_path}/s.log"}
    estimator = parabola.set_params(pause=PAUSE_S)
    space = Space.declared(estimator)
    storage = place[request.param]
    return Plan(estimator, Data("data"), space, TRIALS, storage, "kills", tmp_path / "out")


def start_worker(plan: Plan) -> int:
    """Fork a process that works on the study; return its id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work(plan, join_study(plan)[0])
    finally:
        os._exit(0)


def kill_after(pids: list[int], seconds: float) -> None:
    time.sleep(seconds)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)


def finished(plan: Plan) -> dict[int, float | None]:
    """Return the value of each trial that is complete in the storage."""
    study = optuna.load_study(study_name="kills", storage=storages.open_storage(plan.storage))
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    return {trial.number: trial.value for trial in complete}


def on_disk(plan: Plan) -> list[float]:
    assert plan.out is not None
    records = [json.loads(p.read_text()) for p in plan.out.glob("trials/*/result.json")]
    return [record["value"] for record in records if record["value"] is not None]


def check_end(plan: Plan, before: list[dict[int, float | None]]) -> None:
    """Finish the study here, then look for losses."""
    study = join_study(plan)[0]
    work(plan, study)
    trials = study.get_trials()
    states = [trial.state for trial in trials]
    retries = [len(t.system_attrs.get("retry_history", [])) for t in trials]
    after = finished(plan)
    assert TrialState.RUNNING not in states
    assert [t.number for t in trials] == list(range(len(trials)))
    assert all(seen.items() <= after.items() for seen in before)
    assert max(retries) <= 3
    assert study.best_value == min(v for v in after.values() if v is not None)
    assert study.best_value >= min(on_disk(plan))  # a value is reported after it is on the disk
    ended = [t for t in trials if t.state is not TrialState.FAIL]
    assert len([t for t in ended if t.state is not TrialState.WAITING]) == TRIALS


def kill_workers(plan: Plan, rounds: int, at_once: int, wait: Callable[[], float]) -> None:
    join_study(plan)
    before = []
    for _ in range(rounds):
        kill_after([start_worker(plan) for _ in range(at_once)], wait())
        before.append(finished(plan))
    assert len(before[-1]) < TRIALS  # kills that come too late prove nothing
    check_end(plan, before)


def test_killed_worker_loses_nothing(plan: Plan) -> None:
    kill_workers(plan, rounds=1, at_once=1, wait=lambda: 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_ten_killed_workers_lose_nothing(seed: int, plan: Plan) -> None:
    chance = random.Random(seed)

    kill_workers(plan, rounds=10, at_once=1, wait=lambda: chance.uniform(0.1, 0.8))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_all_workers_killed_at_once_lose_nothing(seed: int, plan: Plan) -> None:
    chance = random.Random(seed)

    kill_workers(plan, rounds=1, at_once=4, wait=lambda: chance.uniform(0.3, 1.0))
