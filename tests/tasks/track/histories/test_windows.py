"""Windows over tracks and what a detector saw of them."""

import numpy as np
import polars as pl

from seqmamba.tasks.track.histories.offsets import LIMIT, box_scale, scaled_offsets
from seqmamba.tasks.track.histories.windows import TrackWindows, read_tracks


def _line(frames: list[int], track: int = 0, sequence: str = "a", x0: float = 0.0) -> pl.DataFrame:
    x = x0 + 10.0 * np.array(frames)
    rows = {"frame": frames, "x1": x, "y1": x * 0, "x2": x + 20, "y2": x * 0 + 40}
    table = pl.DataFrame(rows).with_columns(track_id=pl.lit(track), sequence=pl.lit(sequence))
    return read_tracks(table)


def test_a_window_never_crosses_a_gap_or_a_track() -> None:
    table = pl.concat([_line([1, 2, 3, 7, 8]), _line([4, 5], track=1)])

    windows = TrackWindows.from_table(table, q=3, h=2)
    batch = windows.batch(np.arange(len(windows)))

    assert batch.y is not None
    steps = np.diff(batch.x[..., 0].numpy(), axis=1)
    assert set(steps.ravel()) == {0.0, 10.0}
    assert set((batch.y[:, 0, 0] - batch.x[:, -1, 0]).tolist()) == {10.0}
    assert batch.extra["known"].tolist() == [[True, True]] + [[True, False]] * 3


def test_young_tracks_are_padded_at_the_front() -> None:
    windows = TrackWindows.from_table(_line([1, 2, 3, 4]), q=3)

    x = windows.batch(np.arange(3)).x[..., 0]

    assert x.tolist() == [[0, 0, 0, 0], [-10, -10, -10, 0], [-20, -20, -10, 0]]


def test_detections_make_the_history_and_truth_the_future() -> None:
    truth = _line([1, 2, 3, 4, 5, 6])
    seen = truth.filter(pl.col("frame").is_in([2, 3, 5])).with_columns(
        pl.col("x1", "x2") + 1.0, track_id=pl.lit(-1)
    )

    windows = TrackWindows.from_table(truth, q=3, h=1, detections=seen)
    batch = windows.batch(np.arange(len(windows)))

    assert batch.y is not None
    assert windows.origins.tolist() == [1, 2, 4]
    assert batch.x[2, :, 0].tolist() == [-30, -20, -10, 0]  # frame 4 lies on the line
    assert batch.x[1, :, 0].tolist() == [-10, -10, -10, 0]  # first seen in frame 2
    assert batch.y[:, 0, 0].tolist() == [9, 9, 9]


def test_confidence_comes_from_the_detections() -> None:
    truth = _line([1, 2, 3, 4, 5])
    seen = truth.filter(pl.col("frame") != 3).with_columns(
        confidence=pl.Series([0.9, 0.8, 0.7, 0.6]), track_id=pl.lit(-1)
    )

    windows = TrackWindows.from_table(truth, q=3, detections=seen)
    sure = windows.batch(np.arange(len(windows))).extra["confidence"].numpy()

    expected = [[0.9, 0.9, 0.9, 0.9], [0.9, 0.9, 0.9, 0.8], [0.9, 0.8, 0.0, 0.7]]
    np.testing.assert_allclose(sure, expected, rtol=1e-6)  # frame 3 was not seen


def test_one_video_is_split_in_time() -> None:
    windows = TrackWindows.from_table(_line(list(range(1, 102))), q=3)

    train, valid = windows.split(0.25)

    assert (len(train), len(valid)) == (75, 25)
    assert train.origins.max() < valid.origins.min()


def test_boxes_cut_by_the_border_do_not_blow_up() -> None:
    history = np.array([[[50.0, 50, 40, 80], [30.0, 50, 0.5, 80]]])

    offsets = scaled_offsets(history, box_scale(history[:, -1])[:, None, None])

    assert np.abs(offsets).max() <= LIMIT


def test_held_out_videos_are_spread_over_the_table() -> None:
    windows = TrackWindows.from_table(
        pl.concat([_line([1, 2, 3], sequence=f"{i:02d}") for i in range(35)]), q=3
    )

    train, valid = windows.split(0.15)

    assert np.unique(valid.sequence[valid.origins]).tolist() == [8, 15, 21, 28, 35]
    assert len(train) + len(valid) == len(windows)
