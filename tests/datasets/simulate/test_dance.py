"""The simulated dancers and their detector."""

import numpy as np
import polars as pl
import pytest

from seqmamba.datasets import simulate
from seqmamba.datasets.simulate.dance import Kind, make_dancers
from seqmamba.datasets.simulate.detector import occlusion
from seqmamba.errors import ConfigError
from seqmamba.metrics.tracking import iou

BOX = ["x1", "y1", "x2", "y2"]


def _next_overlap(table: pl.DataFrame) -> tuple[float, float]:
    """Return the mean IoU of the next box with the last and with constant velocity."""
    table = table.sort("sequence", "track_id", "frame")
    boxes, track = table.select(BOX).to_numpy(), table["track_id"].to_numpy()
    same = (track[2:] == track[1:-1]) & (track[1:-1] == track[:-2])
    last, before, after = boxes[1:-1][same], boxes[:-2][same], boxes[2:][same]
    return float(iou(last, after).mean()), float(iou(2 * last - before, after).mean())


@pytest.mark.parametrize("kind", ["dance", "linear"])
def test_a_seed_fixes_every_number(kind: Kind) -> None:
    first, second = (simulate.dancers(2, seed=3, n_frames=40, kind=kind) for _ in range(2))

    assert all(a.equals(b) for a, b in zip(first, second, strict=True))
    assert not first[0].equals(simulate.dancers(2, seed=4, n_frames=40, kind=kind)[0])


@pytest.mark.parametrize(
    ("kind", "last", "velocity"), [("dance", 0.81, 0.93), ("linear", 0.93, 0.99)]
)
def test_motion_is_as_hard_as_specified(kind: Kind, last: float, velocity: float) -> None:
    table = pl.concat([make_dancers(s, kind=kind, name=f"{s}") for s in range(4)])

    assert _next_overlap(table) == pytest.approx((last, velocity), abs=0.03)  # four seeds


def test_dancers_stay_and_walkers_leave_for_good() -> None:
    dance, walk = make_dancers(0), make_dancers(0, kind="linear")

    assert len(dance) == 3000
    assert len(walk) < 3000
    gaps = walk.sort("track_id", "frame").select(pl.col("frame").diff().over("track_id"))
    assert set(gaps.to_series().drop_nulls()) == {1}


def test_detector_noise_is_that_of_yolox() -> None:
    truth = make_dancers(0, n_frames=200, n_dancers=3)
    seen = simulate.detections(truth, seed=1)
    pairs = truth.join(seen, on="frame", suffix="_seen").filter(pl.col("confidence_seen") > 0.8)
    a, b = pairs.select(BOX).to_numpy(), pairs.select([f"{n}_seen" for n in BOX]).to_numpy()
    a, b = a[iou(a, b) > 0.6], b[iou(a, b) > 0.6]
    width, height = a[:, 2] - a[:, 0], a[:, 3] - a[:, 1]

    spread = np.std(((b - a)[:, 0] + (b - a)[:, 2]) / 2 / width)
    growth = np.std(np.log((b[:, 3] - b[:, 1]) / height))

    assert spread == pytest.approx(0.020, rel=0.25)
    assert growth == pytest.approx(0.018, rel=0.25)


def test_hidden_objects_are_missed() -> None:
    still = pl.DataFrame({"frame": np.repeat(np.arange(1, 401), 2), "track_id": [1, 2] * 400})
    still = still.with_columns(
        sequence=pl.lit("a"),
        x1=pl.lit(100.0),
        x2=pl.lit(150.0),
        y1=pl.lit(100.0) + 5.0 * pl.col("track_id"),
        y2=pl.lit(200.0) + 5.0 * pl.col("track_id"),
    )

    seen = simulate.detections(still, seed=0)

    sure = seen.filter(pl.col("confidence") > 0.75)
    assert 0.9 < len(sure) / 400 < 1.1  # the nearer one, and hardly ever the hidden one


def test_occlusion_is_the_share_that_a_nearer_box_covers() -> None:
    boxes = np.array([[[0, 0, 10, 10], [5, 2, 15, 12], [100, 0, 110, 10]]], float)

    share = occlusion(boxes, np.ones((1, 3), bool))

    np.testing.assert_allclose(share, [[0.4, 0, 0]])


def test_harder_detectors_see_less() -> None:
    truth = make_dancers(0)

    easy, hard = (simulate.detections(truth, seed=0, hard=h) for h in (0.5, 3.0))

    assert len(hard.filter(pl.col("confidence") > 0.6)) < len(
        easy.filter(pl.col("confidence") > 0.6)
    )


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="n_sequences must be at least 1, got 0"):
        simulate.dancers(0)
    with pytest.raises(ConfigError, match="kind must be 'dance' or 'linear'"):
        make_dancers(0, kind="waltz")  # type: ignore[arg-type]
