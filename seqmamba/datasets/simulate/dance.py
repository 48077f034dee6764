"""Boxes of a dance floor or a street: crossings, occlusions and abrupt turns, or none of them."""

from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.datasets.simulate.detector import detections
from seqmamba.errors import ConfigError

__all__ = ["Kind", "dance_demo", "dancers", "make_dancers"]

Tables = tuple[pl.DataFrame, pl.DataFrame]

Array = NDArray[np.float64]
Kind = Literal["dance", "linear"]

SWAP_EVERY = 35  # frames
JUMP_FRAMES = 12
DETECTOR_SEED = 500  # the detector of a sequence draws from another stream than its dancers


def dancers(
    n_sequences: int = 6,
    *,
    seed: int = 0,
    n_frames: int = 300,
    n_dancers: int = 10,
    kind: Kind = "dance",
    hard: float = 1.0,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Simulate tracks and what a detector sees of them.

    Parameters
    ----------
    n_sequences : int
        Videos, named ``dance-00`` and so on, each with its own seed.
    seed : int
        Of the first video; the others count up.
    n_frames, n_dancers, kind
        See :func:`make_dancers`.
    hard : float
        Severity of the detector; see :func:`seqmamba.datasets.simulate.detector.detections`.

    Returns
    -------
    truth, detections : DataFrame
        Columns ``sequence, frame, track_id, x1, y1, x2, y2, confidence, class_id``; detections
        have track_id -1.

    Examples
    --------
    >>> truth, seen = dancers(1, seed=0, n_frames=50)
    >>> truth["track_id"].n_unique()
    10
    """
    if n_sequences < 1:
        raise ConfigError(f"n_sequences must be at least 1, got {n_sequences}")
    truths, seen = [], []
    for i in range(n_sequences):
        truth = make_dancers(
            seed + i, n_frames=n_frames, n_dancers=n_dancers, kind=kind, name=f"{kind}-{i:02d}"
        )
        truths.append(truth)
        seen.append(detections(truth, seed=DETECTOR_SEED + seed + i, hard=hard))
    return pl.concat(truths), pl.concat(seen)


def make_dancers(
    seed: int,
    *,
    n_frames: int = 300,
    n_dancers: int = 10,
    width: int = 1280,
    height: int = 720,
    fps: float = 25.0,
    kind: Kind = "dance",
    name: str = "dance-00",
) -> pl.DataFrame:
    """Simulate the tracks of one video.

    "dance": each dancer sways about a home with abrupt turns and pauses, jumps, swings the arms,
    and now and then a few of them change places. "linear": pedestrians walk straight on at
    constant speed until they leave the image. Source: tracking specification, section 10.

    Parameters
    ----------
    n_frames, n_dancers : int
    width, height : int
        Of the image, pixels.
    fps : float

    Returns
    -------
    DataFrame
        Columns as of :func:`dancers`, one row per object and frame, ids from 1.
    """
    if kind not in ("dance", "linear"):
        raise ConfigError(f"kind must be 'dance' or 'linear', got {kind!r}")
    rng = np.random.default_rng(seed)
    scene = _dance if kind == "dance" else _walk
    centre, size = scene(rng, n_frames, n_dancers, width, height, fps)
    inside: NDArray[np.bool_] = np.ones(centre.shape[:2], bool)
    if kind == "linear":
        inside = np.all((centre > 0) & (centre < (width, height)), axis=-1)
        inside = np.logical_and.accumulate(inside, axis=0)  # who has left does not come back
    return _table(name, centre, size, inside)


def dance_demo(seed: int = 0) -> tuple[Tables, Tables]:
    """Return tracks and detections of 4 videos to learn from and of 2 others to score on."""
    return dancers(4, seed=seed + 100, n_frames=150), dancers(2, seed=seed, n_frames=150)


def _table(name: str, centre: Array, size: Array, inside: NDArray[np.bool_]) -> pl.DataFrame:
    """Return one row per object and frame in which it is there: (T, n, 2), (T, n, 2), (T, n)."""
    frame, dancer = np.nonzero(inside)
    corner = (centre - size / 2)[frame, dancer]
    return pl.DataFrame(
        {
            "sequence": [name] * len(frame),
            "frame": frame + 1,
            "track_id": dancer + 1,
            "x1": corner[:, 0],
            "y1": corner[:, 1],
            "x2": corner[:, 0] + size[frame, dancer, 0],
            "y2": corner[:, 1] + size[frame, dancer, 1],
            "confidence": np.ones(len(frame)),
            "class_id": np.zeros(len(frame), np.int64),
        }
    )


def _dance(
    rng: np.random.Generator, n_frames: int, n: int, width: int, height: int, fps: float
) -> tuple[Array, Array]:
    """Return centres and sizes: (T, n, 2), (T, n, 2)."""
    tall = rng.uniform(110, 170, n)
    homes = np.column_stack(
        [
            rng.permutation((np.arange(n) + 0.5) / n * width),
            rng.uniform(0.55, 0.75, n) * height,
        ]
    )
    place = _places(rng, homes, n_frames)  # (T, n, 2)
    sway = rng.uniform(0.15, 0.6, n) * tall * np.sin(_phase(rng, n_frames, n, fps))
    leap = 0.28 * tall * _jumps(rng, n_frames, n, fps)
    depth = 1 + 0.8 * (place[..., 1] / height - 0.65)  # nearer dancers stand lower and are larger
    time = np.arange(n_frames)[:, None] / fps
    breath = 1 + 0.06 * np.sin(2 * np.pi * rng.uniform(0.3, 1, n) * time + rng.uniform(0, 6.3, n))
    swing = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.8, 2, n) * time + rng.uniform(0, 6.3, n))
    aspect = rng.uniform(0.34, 0.46, n) + rng.uniform(0, 0.24, n) * swing
    h = tall * depth * breath
    centre = np.stack([place[..., 0] + sway * depth, place[..., 1] - leap * depth], axis=-1)
    return centre, np.stack([aspect * h, h], axis=-1)


def _walk(
    rng: np.random.Generator, n_frames: int, n: int, width: int, height: int, fps: float
) -> tuple[Array, Array]:
    h = rng.uniform(110, 170, n)
    start = np.column_stack(
        [rng.permutation((np.arange(n) + 0.5) / n * width), rng.uniform(0.3, 0.8, n) * height]
    )
    velocity = np.column_stack([rng.normal(0, 3, n), rng.normal(0, 0.5, n)])
    time = np.arange(n_frames)[:, None]
    gait = np.sin(2 * np.pi * rng.uniform(0.8, 1.2, n) * time / fps + rng.uniform(0, 6.3, n))
    aspect = rng.uniform(0.34, 0.46, n) * (1 + 0.12 * gait)
    centre = start + time[..., None] * velocity
    tall = np.broadcast_to(h, aspect.shape)
    return centre, np.stack([aspect * h, tall], axis=-1)


def _phase(rng: np.random.Generator, n_frames: int, n: int, fps: float) -> Array:
    """Return the phase of the sway: it turns round abruptly, pauses and changes pace."""
    turned = rng.random((n_frames, n)) < 0.8 / fps
    direction = np.cumprod(np.where(turned, -1.0, 1.0), axis=0)
    pace = rng.choice([0.0, 0.6, 1.0, 1.6], (n_frames, n))
    drawn = rng.random((n_frames, n)) < 0.5 / fps
    drawn[0] = True
    since = np.maximum.accumulate(np.where(drawn, np.arange(n_frames)[:, None], 0), axis=0)
    pace = np.take_along_axis(pace, since, axis=0)
    rate = 2 * np.pi * rng.uniform(0.3, 1.0, n) / fps
    phase: Array = rng.uniform(0, 2 * np.pi, n) + np.cumsum(rate * direction * pace, axis=0)
    return phase


def _jumps(rng: np.random.Generator, n_frames: int, n: int, fps: float) -> Array:
    """Return the height of jumps, 0 to 1."""
    height = np.zeros((n_frames + JUMP_FRAMES, n))
    arc = np.sin(np.pi * np.arange(1, JUMP_FRAMES + 1) / (JUMP_FRAMES + 1))
    for frame, dancer in np.argwhere(rng.random((n_frames, n)) < 0.25 / fps):
        part = height[frame : frame + JUMP_FRAMES, dancer]
        np.maximum(part, arc, out=part)
    return height[:n_frames]


def _places(rng: np.random.Generator, homes: Array, n_frames: int) -> Array:
    """Return where each dancer's home is: groups change places on minimum-jerk paths."""
    n = len(homes)
    current, free_from = homes.copy(), np.zeros(n, np.int64)
    place = np.repeat(homes[None], n_frames, axis=0)
    for start in range(SWAP_EVERY, n_frames, SWAP_EVERY):
        idle = np.flatnonzero(free_from <= start)
        if len(idle) < 2:
            continue
        group = rng.choice(idle, min(int(rng.integers(2, 5)), len(idle)), replace=False)
        goal = current[np.roll(group, 1)]
        length = int(rng.integers(18, 46))
        u = (np.arange(1, length + 1) / length)[:, None, None]
        path = current[group] + (10 * u**3 - 15 * u**4 + 6 * u**5) * (goal - current[group])
        path[..., 1] += rng.uniform(-25, 25, len(group)) * np.sin(np.pi * u[..., 0])
        stop = min(start + length, n_frames)
        place[start:stop, group] = path[: stop - start]
        place[stop:, group] = goal
        current[group] = goal
        free_from[group] = start + length
    return place
