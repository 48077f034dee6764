"""What a tracker takes for detections: arrays, tables, files, supervision; and bad input."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from seqmamba.errors import DataError, SeqmambaWarning
from seqmamba.tasks.track.online.tracker import Tracker


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


def test_rows_name_their_detection() -> None:
    rows = np.concatenate([_rows(1, score=0.05), _rows(1, 200), _rows(1, 400)])

    out = Tracker().update(rows)

    assert out[:, 7].tolist() == [1, 2]
    np.testing.assert_array_equal(out[:, :4], rows[1:, :4])


@pytest.mark.parametrize("nothing", [None, np.zeros((0, 5)), [], np.zeros((0, 4))])
def test_empty_frames_advance_time(nothing: Any) -> None:
    tracker = Tracker(max_lost=3)
    tracker.update(_rows(2))

    outs = [tracker.update(nothing) for _ in range(4)]

    assert [out.shape for out in outs] == [(0, 8)] * 4
    assert tracker.stats()["live"] == 0
    assert tracker.stats()["dead"] == 2


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[0, 0, 0, 5, 0.9]], "x1=0, y1=0, x2=0, y2=5"),
        ([[0, 0, 5, 5], [0, 0, np.nan, 5]], "first: row 1"),
        ([[0, 0, np.inf, 5]], "are not finite or have no area"),
        ([[0, 0, 5, 5, np.nan]], "confidence=nan"),
        ([[0, 0, 5]], r"shape \(1, 3\); expected"),
        ([0, 0, 5, 5], r"shape \(4,\); expected"),
    ],
)
def test_bad_boxes_are_refused_with_their_row(rows: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Tracker().update(np.array(rows, float))


def test_bad_boxes_can_be_dropped_and_are_counted() -> None:
    tracker = Tracker(on_error="drop")
    rows = np.concatenate([[[0, 0, np.nan, 5, 0.9]], _rows(2)])

    out = tracker.update(rows)

    assert out[:, 7].tolist() == [1, 2]
    assert tracker.stats()["dropped"] == 1


def test_a_table_tells_how_many_rows_were_left_out() -> None:
    table = _walkers(4).with_columns(
        x2=pl.when(pl.col("frame") == 2).then(pl.lit(float("nan"))).otherwise("x2")
    )
    tracker = Tracker(on_error="drop")

    with pytest.warns(SeqmambaWarning, match="5 of 20 rows of the table are no boxes"):
        tracks = tracker.run(table)

    assert tracker.dropped_ == 5
    assert tracks["frame"].unique().to_list() == [1, 3, 4]


def test_two_thousand_detections_of_one_frame_are_tracked() -> None:
    rng, tracker = np.random.default_rng(0), Tracker()
    corner = rng.uniform(0, 3000, (2000, 2))
    rows = np.column_stack([corner, corner + rng.uniform(20, 60, (2000, 2))])
    tracker.update(rows)

    out = tracker.update(rows)

    assert len(out) == len(np.unique(out[:, 4])) == 2000
    np.testing.assert_array_equal(out[:, :4], rows)


def test_confidence_and_class_may_be_missing() -> None:
    rows = _rows(3)[:, :4]
    full = np.column_stack([rows, np.ones(3), np.full(3, -1)])

    out = Tracker().update(rows)

    np.testing.assert_array_equal(out, Tracker().update(full))
    assert out[:, 5].tolist() == [1, 1, 1]


def test_order_of_rows_does_not_matter_in_tables() -> None:
    truth = _walkers(10)

    shuffled = Tracker().run(truth.sort("track_id", "frame", descending=[False, True]))

    assert shuffled.equals(Tracker().run(truth))


def test_two_videos_in_one_file_are_two_videos(tmp_path: Path) -> None:
    both = [_walkers(5).with_columns(sequence=pl.lit(name)) for name in ("b", "a")]
    pl.concat(both).write_csv(tmp_path / "both.csv")

    tracks = Tracker().run(tmp_path / "both.csv")

    ids = {
        name: part["track_id"].unique().to_list() for (name,), part in tracks.group_by("sequence")
    }
    assert ids == {"a": [1, 2, 3, 4, 5], "b": [1, 2, 3, 4, 5]}


def test_boxes_outside_the_image_are_boxes() -> None:
    assert len(Tracker().update(_rows(1, -500))) == 1


@dataclass
class Seen:
    """What supervision's ``Detections`` looks like."""

    xyxy: np.ndarray
    confidence: np.ndarray | None = None
    class_id: np.ndarray | None = None
    tracker_id: np.ndarray | None = None


def test_supervision_detections_are_annotated() -> None:
    tracker, seen = Tracker(), Seen(_rows(2)[:, :4], np.array([0.9, 0.05]))

    out = tracker.update(seen)

    assert isinstance(out, Seen)
    assert out.tracker_id is not None
    assert out.tracker_id.tolist() == [1, -1]
    assert seen.tracker_id is None


def test_numbers_of_a_detector_are_no_identities() -> None:
    table = _walkers(5).with_columns(track_id=pl.lit(1))

    assert Tracker().run(table)["track_id"].n_unique() == 5
