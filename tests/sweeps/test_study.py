"""The sweep: what runs first, what is kept, what ends it."""

import json
from pathlib import Path
from typing import Any

import optuna
import pytest

from seqmamba.errors import ConfigError, DataError, TrainingError
from seqmamba.params import Choice, IntRange, Uniform
from seqmamba.sweeps import Space, sweep


def test_baselines_and_default_are_the_first_trials(parabola: Any) -> None:
    result = sweep(parabola, "data", trials=5)

    assert result.trials_["kind"].to_list() == ["last", "ridge", "default", "search", "search"]
    assert result.trials_["value"][:3].to_list() == [4.0, 2.0, pytest.approx(0.36)]


def test_search_beats_the_default(parabola: Any) -> None:
    result = sweep(parabola, "data", trials=25)

    assert result.best_value_ < 0.05
    assert abs(result.best_params_["x"] - 0.3) < 0.25
    assert result.best_estimator_.get_params()["x"] == result.best_params_["x"]
    assert result.best_estimator_.history_.best == result.best_value_


def test_baseline_can_win(parabola: Any) -> None:
    result = sweep(parabola.set_params(x=5.0), "data", {"x": Uniform(3, 5)}, trials=6)

    assert result.best_params_ == {"anchor": "ridge", "max_epochs": 0}


def test_same_seed_gives_same_trials(parabola: Any) -> None:
    tables = [sweep(parabola, "data", trials=12).trials_.drop("seconds") for _ in range(2)]

    assert tables[0].equals(tables[1])


def test_estimator_that_is_given_is_left_alone(parabola: Any) -> None:
    before = parabola.get_params()

    sweep(parabola, "data", trials=4)

    assert parabola.get_params() == before
    assert not hasattr(parabola, "history_")


def test_failed_trial_is_recorded_and_the_sweep_goes_on(parabola: Any) -> None:
    result = sweep(parabola, "data", {"mode": Choice("plain", "failing")}, trials=9)

    failed = result.trials_.filter(result.trials_["state"] == "fail")
    assert result.trials_.height == 9
    assert set(failed["error"]) == {"ZeroDivisionError: this mode fails"}


def test_out_of_memory_counts_as_pruned(parabola: Any) -> None:
    result = sweep(parabola, "data", {"mode": Choice("plain", "greedy")}, trials=9)

    greedy = result.trials_.filter(result.trials_["mode"] == "greedy")
    assert greedy.height > 0
    assert set(greedy["state"]) == {"pruned"}


def test_trial_that_falls_behind_is_pruned(parabola: Any) -> None:
    result = sweep(parabola, "data", {"x": Uniform(-5, 5)}, trials=25)

    assert "pruned" in set(result.trials_["state"])


def test_bad_data_end_the_sweep_at_once(parabola: Any) -> None:
    with pytest.raises(DataError, match="no column"):
        sweep(parabola, "bad", trials=50)


def test_bad_default_ends_the_sweep(third_party: Path) -> None:
    from seqmamba_regress.data import simulate
    from seqmamba_regress.estimator import SequenceRegressor

    with pytest.raises(ConfigError, match="batch_size"):
        sweep(SequenceRegressor(batch_size=0), simulate(0)[0], trials=10)


def test_sweep_without_a_finished_trial_says_why(parabola: Any) -> None:
    space = Space({"x": Uniform(0, 1)}, fixed={"mode": "failing"})

    with pytest.raises(TrainingError, match="ZeroDivisionError"):
        sweep(parabola, "data", space, trials=4)


def test_grid_ends_when_it_is_exhausted(parabola: Any) -> None:
    space = Space({"mode": Choice("plain", "shifted")}, sampler="grid")

    result = sweep(parabola, "data", space, trials=50)

    searched = result.trials_.filter(result.trials_["kind"] == "search")
    assert searched["mode"].unique().sort().to_list() == ["plain", "shifted"]
    assert result.trials_.height < 10


@pytest.mark.parametrize("sampler", ["random", "gp"])
def test_other_samplers_work(sampler: Any, parabola: Any) -> None:
    space = Space({"x": Uniform(-1, 1)}, sampler=sampler, pruner="none")

    assert sweep(parabola, "data", space, trials=6).trials_.height == 6


def test_test_part_is_read_once_for_the_winner(parabola: Any) -> None:
    result = sweep(parabola, "data", trials=6, test="test")

    assert result.best_estimator_.evaluated_ == ["test"]
    assert result.test_scores_["value"][0] == pytest.approx(10 * result.best_value_)


def test_metric_is_measured_on_the_evaluation_data(third_party: Path) -> None:
    from seqmamba_regress.data import simulate
    from seqmamba_regress.estimator import SequenceRegressor

    train, valid = simulate(0)
    model = SequenceRegressor(max_epochs=2, learning_rate=0.02, random_state=0)

    result = sweep(
        model, train, {"n_layers": IntRange(1, 2)}, trials=4, metric="r2", eval_set=valid
    )

    scores = result.best_estimator_.evaluate(valid, metrics=["r2"])
    assert result.study_.direction is optuna.study.StudyDirection.MAXIMIZE
    assert result.best_value_ == result.trials_["value"].max()
    assert result.best_value_ == pytest.approx(scores["value"][0])


def test_metric_without_evaluation_data_is_refused(parabola: Any) -> None:
    with pytest.raises(ConfigError, match="eval_set"):
        sweep(parabola, "data", trials=2, metric="mae")


def test_several_processes_need_a_storage(parabola: Any) -> None:
    with pytest.raises(ConfigError, match="storage"):
        sweep(parabola, "data", trials=2, jobs=2)


def test_timeout_starts_no_more_trials(parabola: Any) -> None:
    result = sweep(parabola.set_params(pause=0.2), "data", trials=1000, timeout=0.5)

    assert 1 <= result.trials_.height < 10


def test_callbacks_see_each_trial(parabola: Any) -> None:
    seen: list[int] = []

    sweep(parabola, "data", trials=5, callbacks=[lambda study, trial: seen.append(trial.number)])

    assert seen == [0, 1, 2, 3, 4]


# -- one study, several calls ------------------------------------------------------------------


def test_same_call_again_adds_nothing(parabola: Any, tmp_path: Path) -> None:
    first = sweep(parabola, "data", trials=6, storage=tmp_path / "s.db")

    second = sweep(parabola, "data", trials=6, storage=tmp_path / "s.db")

    assert second.trials_.equals(first.trials_)


def test_more_trials_go_on_from_the_study(parabola: Any, tmp_path: Path) -> None:
    sweep(parabola, "data", trials=4, storage=tmp_path / "s.db")

    result = sweep(parabola, "data", trials=7, storage=tmp_path / "s.db")

    assert result.trials_["kind"].to_list().count("default") == 1
    assert result.trials_.height == 7


def test_other_settings_are_refused_and_named(parabola: Any, tmp_path: Path) -> None:
    sweep(parabola, "data", trials=4, storage=tmp_path / "s.db")

    with pytest.raises(ConfigError, match="range of x: -1 to 1 there, 0 to 1 here"):
        sweep(parabola, "data", {"x": Uniform(0, 1)}, trials=4, storage=tmp_path / "s.db")


def test_resume_adds_trials_whatever_the_settings(parabola: Any, tmp_path: Path) -> None:
    sweep(parabola, "data", trials=4, storage=tmp_path / "s.db")

    result = sweep(
        parabola, "data", {"x": Uniform(0, 1)}, trials=3, storage=tmp_path / "s.db", resume=True
    )

    assert result.trials_.height == 7
    assert min(result.trials_["x"][4:].to_list()) >= 0


def test_interrupted_trial_is_run_again(
    parabola: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(parabola), "strike", 2)
    with pytest.raises(KeyboardInterrupt):
        sweep(parabola, "data", trials=6, storage=tmp_path / "s.db")
    monkeypatch.undo()

    result = sweep(parabola, "data", trials=6, storage=tmp_path / "s.db")

    ended = result.trials_.filter(result.trials_["state"] != "fail")
    assert ended.height == 6
    assert ended["kind"].to_list() == ["last", "ridge", "default", *["search"] * 3]


# -- the folder --------------------------------------------------------------------------------


def test_value_is_reported_after_the_model_is_on_the_disk(parabola: Any, tmp_path: Path) -> None:
    def look(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        folder = tmp_path / "out" / "trials" / str(trial.number)
        record = json.loads((folder / "result.json").read_text())
        complete = trial.state.name == "COMPLETE"
        assert (folder / "model.safetensors").exists() is complete
        assert record["state"] == trial.state.name
        assert not complete or record["value"] == trial.value

    sweep(parabola, "data", trials=12, out=tmp_path / "out", callbacks=[look])


def test_folder_of_another_study_is_refused(parabola: Any, tmp_path: Path) -> None:
    sweep(parabola, "data", trials=3, out=tmp_path / "out")

    with pytest.raises(ConfigError, match="another study"):
        sweep(parabola, "data", trials=3, out=tmp_path / "out")
