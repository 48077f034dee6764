"""The tracker: identities, time, classes, bad input, and nothing that leaks."""

import tracemalloc
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.base import clone

from seqmamba.datasets import simulate
from seqmamba.errors import ConfigError, DataError
from seqmamba.tasks.track.motion.choice import NAMED
from seqmamba.tasks.track.online.interpolation import interpolate
from seqmamba.tasks.track.online.rules import Association
from seqmamba.tasks.track.online.tracker import Tracker

RULES: list[Association] = ["wide", "mambatrack", "byte"]


def _walkers(n_frames: int = 40, n: int = 5) -> pl.DataFrame:
    """Return objects on parallel lines that never touch."""
    frame, walker = (x.ravel() for x in np.mgrid[1 : n_frames + 1, 0:n])
    x, y = 3.0 * frame + 5 * walker, 120.0 * walker
    return pl.DataFrame(
        {"frame": frame, "track_id": walker, "x1": x, "y1": y, "x2": x + 40, "y2": y + 100}
    )


def _rows(n: int = 1, x: float = 0.0, score: float = 0.9) -> np.ndarray:
    corner = np.column_stack([x + 100.0 * np.arange(n), np.zeros(n)])
    return np.column_stack([corner, corner + np.array([30, 60]), np.full(n, score)])


@pytest.mark.parametrize("association", RULES)
@pytest.mark.parametrize("motion", NAMED)
def test_a_perfect_detector_gives_perfect_tracks(motion: str, association: Association) -> None:
    truth = _walkers()

    tracks = Tracker(motion=motion, association=association).run(truth)

    scores = Tracker.evaluate(truth, tracks).row(-1, named=True)
    assert scores["HOTA"] == scores["MOTA"] == scores["IDF1"] == pytest.approx(100)
    assert scores["switches"] == 0


@pytest.mark.parametrize("motion", ["kalman", "kalman-xyah", "linear"])
def test_a_gap_of_ten_frames_is_bridged(motion: str) -> None:
    truth = _walkers(60)
    hidden = truth.filter(~pl.col("frame").is_between(30, 39) | (pl.col("track_id") == 0))

    tracks = Tracker(motion=motion).run(hidden)

    assert tracks["track_id"].n_unique() == 5
    assert Tracker.evaluate(hidden, tracks)["switches"][-1] == 0


def test_translation_and_scale_change_no_identity() -> None:
    _, seen = simulate.dancers(1, seed=1, n_frames=120)
    scaled = seen.with_columns(pl.col("x1", "y1", "x2", "y2") * 3 + 700)

    first, second = (Tracker(motion="linear").run(table) for table in (seen, scaled))

    assert first["track_id"].equals(second["track_id"])


def test_order_of_detections_does_not_matter() -> None:
    _, seen = simulate.dancers(1, seed=2, n_frames=80)
    turned = seen.reverse()

    first, second = (Tracker().run(table) for table in (seen, turned))

    key = ["frame", "x1", "y1"]
    a, b = (t.sort(key).select(*key, "track_id") for t in (first, second))
    # ids are given in the order of the detections: equal up to a renaming
    pairs = pl.DataFrame({"a": a["track_id"], "b": b["track_id"]}).unique()
    assert a.drop("track_id").equals(b.drop("track_id"))
    assert pairs["a"].is_unique().all()
    assert pairs["b"].is_unique().all()


def test_streaming_is_the_batch_run() -> None:
    _, seen = simulate.dancers(1, seed=3, n_frames=60)
    blocks = [
        (int(str(key[0])), part.select("x1", "y1", "x2", "y2", "confidence", "class_id").to_numpy())
        for key, part in seen.group_by("frame", maintain_order=True)
    ]

    rows = np.concatenate(list(Tracker().stream(blocks)))
    table = Tracker().run(seen)

    np.testing.assert_array_equal(rows[:, 4], table["track_id"].to_numpy())
    np.testing.assert_array_equal(rows[:, :4], table.select("x1", "y1", "x2", "y2").to_numpy())


def test_same_input_same_output_and_reset_starts_anew() -> None:
    tracker = Tracker()
    first = [tracker.update(_rows(3, x)) for x in (0.0, 5.0, 10.0)]
    tracker.reset()
    second = [tracker.update(_rows(3, x)) for x in (0.0, 5.0, 10.0)]

    np.testing.assert_array_equal(first, second)


def test_two_trackers_share_no_ids() -> None:
    one, two = Tracker(), Tracker()

    ids = [tracker.update(_rows(2))[:, 4].tolist() for tracker in (one, two)]

    assert ids == [[1, 2], [1, 2]]


def test_ids_do_not_skip() -> None:
    tracker = Tracker()
    tracker.update(_rows(1))
    tracker.update(np.concatenate([_rows(1), _rows(1, 500)]))  # seen once, then never again
    tracker.update(_rows(1))
    tracker.update(np.concatenate([_rows(1), _rows(1, 900)]))

    ids = tracker.update(np.concatenate([_rows(1), _rows(1, 900)]))[:, 4]

    assert ids.tolist() == [1, 2]


def test_classes_never_mix() -> None:
    rows = np.column_stack([_rows(1).repeat(2, axis=0), [0, 1]])
    aware, blind = Tracker(), Tracker(class_aware=False)
    for tracker in (aware, blind):
        tracker.update(rows[:1])
        tracker.update(rows[1:])

    assert aware.update(rows[1:])[0, 4] == 2
    assert blind.update(rows[1:])[0, 4] == 1


def test_time_steps_come_from_frames_or_timestamps() -> None:
    by_frame, by_time = Tracker(fps=10), Tracker(fps=10)

    for frame, x in [(1, 0.0), (3, 16.0), (5, 32.0), (7, 48.0)]:
        a = by_frame.update(_rows(1, x), frame=frame)
        b = by_time.update(_rows(1, x), timestamp=frame / 10)

    np.testing.assert_array_equal(a, b)
    assert by_frame.update(_rows(1, 80), frame=11)[0, 4] == 1


def test_a_long_silence_forgets_all_tracks() -> None:
    tracker = Tracker(max_lost=5)
    tracker.update(_rows(1), frame=1)
    tracker.update(_rows(1), frame=2)

    tracker.update(_rows(1), frame=20)

    assert tracker.update(_rows(1), frame=21)[0, 4] == 2


@pytest.mark.parametrize("frame", [3, 2, float("nan")])
def test_time_never_goes_back(frame: Any) -> None:
    tracker = Tracker()
    tracker.update(_rows(1), frame=3)

    with pytest.raises(DataError, match=r"does not come after the one before \(3 frames\)"):
        tracker.update(_rows(1), frame=frame)


def test_predicted_boxes_of_lost_tracks_on_request() -> None:
    tracker = Tracker(output="predicted")
    for x in (0.0, 4.0, 8.0):
        tracker.update(_rows(2, x))

    out = tracker.update(_rows(1, 12.0))

    assert out[:, 8].tolist() == [0, 1]
    assert out[1, 7] == -1
    assert out[1, 0] > 108


def test_an_abrupt_turn_with_a_missed_frame_keeps_the_id() -> None:
    tracker = Tracker(motion="linear")
    path = [*range(0, 60, 6), None, *range(48, 0, -6)]

    ids = [tracker.update(None if x is None else _rows(1, x))[:, 4].tolist() for x in path]

    assert {i for row in ids for i in row} == {1}


def test_memory_stays_flat() -> None:
    tracker, rng = Tracker(), np.random.default_rng(0)
    frames = [_rows(20) + rng.normal(0, 1, (20, 5)) * [1, 1, 1, 1, 0] for _ in range(50)]
    for i in range(200):
        tracker.update(frames[i % 50])
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]

    for i in range(800):
        tracker.update(frames[i % 50])

    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 50_000


def test_sequences_are_tracked_apart_and_the_library_comes_back() -> None:
    _, seen = simulate.dancers(2, seed=5, n_frames=30)

    tracks = Tracker().run(seen.to_pandas())

    assert type(tracks).__module__.startswith("pandas")
    assert tracks.groupby("sequence")["track_id"].min().tolist() == [1, 1]


def test_short_gaps_of_finished_tracks_are_filled_by_lines() -> None:
    truth = _walkers(40)
    holed = truth.filter(~pl.col("frame").is_between(5, 8) & ~pl.col("frame").is_between(12, 36))

    filled = interpolate(holed, max_gap=20)

    assert filled.filter("is_interpolated")["frame"].unique().to_list() == [5, 6, 7, 8]
    again = filled.join(truth, on=["track_id", "frame"], suffix="_true")
    np.testing.assert_allclose(again["x1"], again["x1_true"])


def test_scores_stand_beside_kalman_and_no_motion() -> None:
    truth, seen = simulate.dancers(1, seed=6, n_frames=60)

    table = Tracker.evaluate(truth, Tracker(motion="linear").run(seen), seen)

    assert table["model"].to_list() == ["given", "given", "kalman", "none"]


def test_strange_sequences_are_refused() -> None:
    truth = pl.concat([_walkers(3).with_columns(sequence=pl.lit(name)) for name in ("one", "two")])

    with pytest.raises(DataError, match="sequence 'three', the truth only one, two"):
        Tracker.evaluate(truth, _walkers(3).with_columns(sequence=pl.lit("three")))


def test_parameters_are_checked_and_cloned() -> None:
    assert clone(Tracker(max_lost=7)).max_lost == 7
    with pytest.raises(ConfigError, match=r"Tracker.iou_active must lie in \[-1, 1\], got 3"):
        Tracker(iou_active=3).update(None)
