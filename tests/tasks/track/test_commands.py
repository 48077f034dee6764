"""The shell: simulate, run, evaluate, render; and the search for a tracker's parameters."""

from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from seqmamba.cli.main import root
from seqmamba.datasets import simulate
from seqmamba.errors import ConfigError
from seqmamba.tasks.track.benchmark import bench
from seqmamba.tasks.track.estimator import MotionPredictor
from seqmamba.tasks.track.online.tracker import Tracker


def _call(*words: str) -> str:
    result = CliRunner().invoke(root(), ["track", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_detections_become_scored_tracks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for part in ("truth", "detections"):
        _call("simulate", "--n-sequences", "1", "--part", part, "--out", f"{part}.csv")
    _call("run", "detections.csv", "--model", "none", "--format", "mot", "--out", "tracks")

    shown = _call("evaluate", "truth.csv", "tracks").splitlines()

    assert shown[0].split()[:4] == ["sequence", "HOTA", "DetA", "AssA"]
    assert [line.split()[0] for line in shown[1:]] == ["dance-00", "COMBINED"]
    assert (tmp_path / "tracks" / "dance-00.txt").read_text().count(",") % 9 == 0


def test_search_gives_both_models_the_same_trials(capsys: pytest.CaptureFixture[str]) -> None:
    truth, seen = simulate.dancers(1, seed=0, n_frames=40)

    table = MotionPredictor().tune(truth, seen, trials=3)

    assert "Trial" not in capsys.readouterr().err
    assert table["model"].to_list() == ["kalman", "kalman", "linear", "linear"]
    hota = table["HOTA"].to_list()
    assert hota[1] >= hota[0]
    assert hota[3] >= hota[2]
    searched = [{pair.split("=")[0] for pair in row.split(", ")} for row in table["params"]]
    assert searched[1] - searched[3] == {"qp", "qv"}
    assert searched[3] - searched[1] == {"damping"}


def test_what_was_found_is_scored_on_other_videos() -> None:
    truth, seen = simulate.dancers(1, seed=0, n_frames=40)
    other, seen_there = simulate.dancers(1, seed=1, n_frames=40)

    table = MotionPredictor().tune(
        truth, seen, test_df=other, test_detections_df=seen_there, trials=2
    )

    usual = Tracker.evaluate(other, Tracker().run(seen_there)).row(-1, named=True)
    kalman = table.row(0, named=True)
    assert (kalman["model"], kalman["setting"]) == ("kalman", "default")
    assert kalman["test_HOTA"] == pytest.approx(usual["HOTA"])
    assert kalman["test_switches"] == usual["switches"]
    with pytest.raises(ConfigError, match="need both truth and detections"):
        MotionPredictor().tune(truth, seen, test_df=other, trials=1)


def test_bench_measures_all_sizes() -> None:
    table = bench(frames=1, memory_frames=10)

    names = table["what"].to_list()
    assert {f"MTP tracker, {n} objects" for n in (20, 200, 1000)} <= set(names)
    assert (table.filter(pl.col("what") != "memory taken")["value"] > 0).all()
    assert table.filter(pl.col("what") == "memory taken")["limit"].to_list() == ["< 5"]
