"""Speed and memory of the tracker beside its peers, and the scores of a recipe."""

import gc
import logging
import resource
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from seqmamba.datasets.boxes_files import read_boxes
from seqmamba.datasets.cards import card, check
from seqmamba.datasets.simulate.dance import make_dancers
from seqmamba.errors import ConfigError
from seqmamba.tasks.track.estimator import MotionPredictor
from seqmamba.tasks.track.motion.kalman import KalmanMotion
from seqmamba.tasks.track.online.tracker import Tracker

__all__ = ["bench", "run_recipe"]

Row = dict[str, Any]
Tables = tuple[pl.DataFrame, pl.DataFrame]
Frames = list[NDArray[np.float64]]
WARM = 10  # frames before the clock starts

log = logging.getLogger(__name__)


def bench(
    *, frames: int = 60, memory_frames: int = 2_000, model: str | None = None
) -> pl.DataFrame:
    """Measure the filters, the trackers at 20, 200 and 1000 objects, and memory, on one thread.

    filterpy and Roboflow's trackers stand beside where they are installed; the ratios come from
    one process on the same detections.

    Parameters
    ----------
    frames : int
        Frames per measurement; the median counts.
    memory_frames : int
        Frames over which resident memory is watched.
    model : str or None
        A fitted model; None = an untrained one of the default profile, which costs the same.

    Returns
    -------
    DataFrame
        what, value, unit.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        motion = MotionPredictor.load(model) if model else _untrained()
        rows = [*_filters(frames), *_trackers(motion, frames), *_memory(memory_frames)]
    finally:
        torch.set_num_threads(threads)
    return pl.DataFrame(rows, schema={"what": pl.String, "value": pl.Float64, "unit": pl.String})


def run_recipe(blocks: Mapping[str, Any], data_dir: str | None, seeds: int) -> pl.DataFrame:
    """Fit the recipe on its training videos and score it on the others, beside its baselines.

    Returns
    -------
    DataFrame
        ``metric, value, sd, none, kalman, linear`` as of :meth:`MotionPredictor.evaluate`, with
        the standard deviation over the seeds.
    """
    train, test = _parts(blocks.get("data", {}), data_dir)
    settings = {**blocks.get("params", {}), **blocks.get("train", {})}
    tables = []
    for seed in range(seeds):
        model = MotionPredictor(**{"random_state": seed, **settings}).fit(*train)
        tables.append(model.evaluate(*test).with_columns(seed=pl.lit(seed)))
    spread = (
        pl.concat(tables)
        .group_by("metric", maintain_order=True)
        .agg(
            pl.col("value").mean(),
            pl.col("value").std().alias("sd"),
            pl.col("none", "kalman", "linear").mean(),
        )
    )
    return spread


def _parts(data: Mapping[str, Any], data_dir: str | None) -> tuple[Tables, Tables]:
    """Return (truth, detections) to learn from and to score on: the card's videos by name."""
    if "card" not in data or data_dir is None:
        raise ConfigError("a tracking recipe needs data.card and --data-dir, the archive's folder.")
    described = card(data["card"])
    with TemporaryDirectory() as folder:
        for path in check(described, data_dir):
            with tarfile.open(path) as archive:
                archive.extractall(folder, filter="data")
        (root,) = Path(folder).iterdir()
        truth, seen = read_boxes(root, "truth"), read_boxes(root, "detections")
    names = described.borders["valid_videos"]
    held_out = pl.any_horizontal(pl.col("sequence").str.starts_with(name) for name in names)
    learn = truth.filter(~held_out), seen.filter(~held_out)
    return learn, (truth.filter(held_out), seen.filter(held_out))


def _untrained() -> MotionPredictor:
    tiny = make_dancers(0, n_frames=40, n_dancers=3)
    return MotionPredictor(max_epochs=0, val_size=0.5, random_state=0).fit(tiny)


def _filters(frames: int) -> Iterator[Row]:
    """Batch filter beside one filterpy object per track, 200 and 1000 objects."""
    for n in (200, 1000):
        boxes = next(_scene(n, 1))[:, :4]
        motion = KalmanMotion("xyxy")
        motion.initiate(boxes, np.ones(n))
        rows, scores = np.arange(n), np.ones(n)

        ours = _median(partial(_advance, motion, rows, boxes, scores), frames)
        yield {"what": f"Kalman filters, {n} objects", "value": 1e6 * ours, "unit": "us/step"}
        if n == 200:
            yield from _filterpy(boxes, ours)


def _advance(motion: KalmanMotion, rows: Any, boxes: Any, scores: Any) -> None:
    motion.predict()
    motion.update(rows, boxes, scores)


def _filterpy(boxes: NDArray[np.float64], ours: float) -> Iterator[Row]:
    try:  # the reference, for comparison only
        from filterpy.kalman import KalmanFilter  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        log.info("filterpy is not installed; its filters are not measured")
        return
    filters = []
    for box in boxes:
        one = KalmanFilter(dim_x=8, dim_z=4)
        one.F[:4, 4:] = np.eye(4)
        one.H = np.eye(4, 8)
        one.x[:4, 0] = box
        filters.append(one)

    def step() -> None:
        for one, box in zip(filters, boxes, strict=True):
            one.predict()
            one.update(box)

    theirs = _median(step, 5)
    yield {"what": "filterpy, 200 objects", "value": 1e6 * theirs, "unit": "us/step"}
    yield {"what": "filterpy / batch filter, 200 objects", "value": theirs / ours, "unit": "ratio"}


def _trackers(model: MotionPredictor, frames: int) -> Iterator[Row]:
    for n in (20, 200, 1000):
        scene = list(_scene(n, frames + WARM))
        times = {}
        for name, motion in (("Kalman", "kalman"), ("MTP", model)):
            tracker = Tracker(motion=motion)
            times[name] = _per_frame(tracker.update, scene)
            yield {"what": f"{name} tracker, {n} objects", "value": times[name], "unit": "ms/frame"}
        yield from _roboflow(scene, n, times["Kalman"])


def _roboflow(scene: Frames, n: int, ours: float) -> Iterator[Row]:
    try:  # a peer, for comparison only
        import supervision  # type: ignore[import-not-found,unused-ignore]
        from trackers import ByteTrackTracker  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        log.info("Roboflow's trackers are not installed; ByteTrack is not measured")
        return
    tracker = ByteTrackTracker()

    def update(rows: NDArray[np.float64]) -> None:
        n_rows = len(rows)
        tracker.update(
            supervision.Detections(
                xyxy=rows[:, :4].copy(),
                confidence=rows[:, 4].copy(),
                class_id=np.zeros(n_rows, int),
            )
        )

    theirs = _per_frame(update, scene)
    yield {"what": f"Roboflow ByteTrack, {n} objects", "value": theirs, "unit": "ms/frame"}
    ratio = f"ByteTrack / Kalman tracker, {n} objects"
    yield {"what": ratio, "value": theirs / ours, "unit": "ratio"}


def _memory(frames: int) -> Iterator[Row]:
    """Resident memory that a tracker of 20 objects has taken after its start."""
    tracker, scene = Tracker(), list(_scene(20, 50))
    for i in range(200):
        tracker.update(scene[i % 50])
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for i in range(frames):
        tracker.update(scene[i % 50])
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    yield {"what": f"memory taken over {frames} frames", "value": grown, "unit": "MiB"}


def _scene(n: int, frames: int) -> Iterator[NDArray[np.float64]]:
    """Give detections (n, 5) of objects that wander over an image with room for all."""
    rng = np.random.default_rng(0)
    room = 120.0 * np.sqrt(n)
    size = np.column_stack([rng.uniform(30, 60, n), rng.uniform(80, 140, n)])
    place, speed = rng.uniform(0, room, (n, 2)), rng.normal(0, 2, (n, 2))
    for _ in range(frames):
        speed += rng.normal(0, 0.3, (n, 2))
        speed = np.where((place < 0) & (speed < 0) | (place > room) & (speed > 0), -speed, speed)
        place = place + speed
        corner = place + rng.normal(0, 1, (n, 2))
        yield np.column_stack([corner, corner + size, rng.uniform(0.75, 0.95, n)])


def _per_frame(update: Callable[[NDArray[np.float64]], Any], scene: Frames) -> float:
    """Return the median CPU milliseconds per frame."""
    times = []
    for rows in scene:
        started = time.process_time()
        update(rows)
        times.append(time.process_time() - started)
    return 1e3 * float(np.median(times[WARM:]))


def _median(step: Callable[[], None], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        started = time.process_time()
        step()
        times.append(time.process_time() - started)
    return float(np.median(times))
