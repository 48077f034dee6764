"""What tracking costs: filters, trackers and memory, beside their peers in one process."""

import gc
import logging
import resource
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from seqmamba.datasets.simulate.dance import make_dancers
from seqmamba.tasks.track.estimator import MotionPredictor
from seqmamba.tasks.track.motion.kalman import KalmanMotion
from seqmamba.tasks.track.online.tracker import Tracker

__all__ = ["bench"]

Row = tuple[str, float, str]  # what, value, unit
Frames = list[NDArray[np.float64]]
WARM = 10  # frames before the clock starts
LIMITS = {  # one idle core; tracking specification, 6
    "filterpy / batch filter, 200 objects": ">= 50",
    "Kalman tracker, 20 objects": "< 1",
    "MTP tracker, 20 objects": "< 3",
    "MTP tracker, 200 objects": "< 16.7",  # 60 frames per second
    "MTP tracker, 1000 objects": "< 100",
    **{f"ByteTrack / Kalman tracker, {n} objects": ">= 1" for n in (20, 200, 1000)},
    "memory taken": "< 5",
}

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
        what, value, unit, and the limit that we keep, if there is one.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        motion = MotionPredictor.load(model) if model else _untrained()
        rows = [*_filters(frames), *_trackers(motion, frames), *_memory(memory_frames)]
    finally:
        torch.set_num_threads(threads)
    schema = {"what": pl.String, "value": pl.Float64, "unit": pl.String, "limit": pl.String}
    return pl.DataFrame([(*row[:3], LIMITS.get(row[0])) for row in rows], schema, orient="row")


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
        yield f"Kalman filters, {n} objects", 1e6 * ours, "us/step"
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
    yield "filterpy, 200 objects", 1e6 * theirs, "us/step"
    yield "filterpy / batch filter, 200 objects", theirs / ours, "ratio"


def _trackers(model: MotionPredictor, frames: int) -> Iterator[Row]:
    for n in (20, 200, 1000):
        scene = list(_scene(n, frames + WARM))
        times = {}
        for name, motion in (("Kalman", "kalman"), ("MTP", model)):
            tracker = Tracker(motion=motion)
            times[name] = _per_frame(tracker.update, scene)
            yield f"{name} tracker, {n} objects", times[name], "ms/frame"
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
    yield f"Roboflow ByteTrack, {n} objects", theirs, "ms/frame"
    ratio = f"ByteTrack / Kalman tracker, {n} objects"
    yield ratio, theirs / ours, "ratio"


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
    yield "memory taken", grown, f"MiB in {frames} frames"


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
