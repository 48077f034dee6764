"""What a detector sees of known boxes: jitter, misses, weak boxes, false alarms.

Source: tracking specification, section 9; the sizes of the noise were measured on the boxes of a
YOLOX-X detector on DanceTrack.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.datasets.boxes.table import BOX, COLUMNS, NO_ID, to_centre, to_corners

__all__ = ["detections", "occlusion"]

Array = NDArray[np.float64]

MEMORY = 0.5  # correlation of the noise of an object from frame to frame
SPREAD = np.array([0.020, 0.010, 0.035, 0.018])  # shares of w and h; ln w, ln h
BLUR_BEGINS, BLUR_ENDS = 0.003, 0.3  # per frame
ALARM_BIRTH, ALARM_LIFE = 0.15, 5.0  # false alarms per frame; mean frames of one


def detections(truth: pl.DataFrame, *, seed: int, hard: float = 1.0) -> pl.DataFrame:
    """Simulate a detector on tracks.

    Parameters
    ----------
    truth : DataFrame
        ``sequence, frame, track_id, x1, y1, x2, y2``.
    seed : int
        Of the first sequence; the others count up.
    hard : float
        Factor on noise and misses; 1 is a YOLOX-X detector.

    Returns
    -------
    DataFrame
        The columns of boxes, with track_id -1, sorted by sequence and frame.
    """
    parts = [
        _detect(part, str(key[0]), np.random.default_rng(seed + i), hard)
        for i, (key, part) in enumerate(truth.group_by("sequence", maintain_order=True))
    ]
    return pl.concat(parts)


def occlusion(boxes: Array, present: NDArray[np.bool_]) -> Array:
    """Return the largest share of each box that one nearer box covers.

    Nearer is whose bottom edge is lower in the image.

    Parameters
    ----------
    boxes : array (T, N, 4)
        Corners.
    present : bool array (T, N)

    Returns
    -------
    array (T, N)
        In [0, 1].
    """
    share = np.zeros(present.shape)
    for t in range(len(boxes)):  # frame by frame: (N, N) and not (T, N, N) numbers at once
        a, b = boxes[t][:, None], boxes[t][None]
        width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
        height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
        area = (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1])
        covered = np.maximum(width, 0) * np.maximum(height, 0) / np.maximum(area, 1e-9)
        nearer = (b[..., 3] > a[..., 3]) & present[t][None] & present[t][:, None]
        share[t] = np.where(nearer, covered, 0.0).max(axis=1, initial=0.0)
    return share


def _detect(truth: pl.DataFrame, name: str, rng: np.random.Generator, hard: float) -> pl.DataFrame:
    frame = truth["frame"].to_numpy()
    ids, column = np.unique(truth["track_id"].to_numpy(), return_inverse=True)
    first, n_frames = int(frame.min()), int(frame.max() - frame.min()) + 1
    boxes = np.zeros((n_frames, len(ids), 4))
    present = np.zeros((n_frames, len(ids)), bool)
    row = frame - first
    boxes[row, column] = truth.select(BOX).to_numpy()
    present[row, column] = True
    hidden = occlusion(boxes, present)
    missed = _misses(rng, hidden, hard)
    weak = missed & (rng.random(missed.shape) < 0.5)
    noise = _ar1(rng, (*present.shape, 4)) * (SPREAD * hard * (1 + 2 * hidden[..., None]))
    noise[weak] *= 2.0
    centre = to_centre(boxes)
    centre[..., :2] += noise[..., :2] * centre[..., 2:]
    centre[..., 2:] *= np.exp(noise[..., 2:])
    score = np.clip(0.92 - 0.35 * hidden + rng.normal(0, 0.04, hidden.shape), 0.3, 0.98)
    score = np.where(weak, rng.uniform(0.1, 0.5, hidden.shape), score)
    seen_at, seen = np.nonzero(present & (~missed | weak))
    alarm_at, alarm_box, alarm_score = _false_alarms(rng, centre, present)
    at = np.concatenate([seen_at, alarm_at])
    corners = to_corners(np.concatenate([centre[seen_at, seen], alarm_box]))
    scores = np.concatenate([score[seen_at, seen], alarm_score])
    order = np.argsort(at, kind="stable")
    table = pl.DataFrame(corners[order], schema=list(BOX)).with_columns(
        pl.lit(name).alias("sequence"),
        pl.Series("frame", at[order] + first),
        pl.lit(NO_ID, pl.Int64).alias("track_id"),
        pl.Series("confidence", scores[order]),
        pl.lit(0, pl.Int64).alias("class_id"),
    )
    return table.select(COLUMNS)


def _ar1(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return unit noise with a memory along the first axis."""
    noise = rng.standard_normal(shape)
    for t in range(1, len(noise)):
        noise[t] = MEMORY * noise[t - 1] + np.sqrt(1 - MEMORY**2) * noise[t]
    return noise


def _misses(rng: np.random.Generator, hidden: Array, hard: float) -> NDArray[np.bool_]:
    """Return where an object is missed: in bursts of blur, at random, and when hidden."""
    chance = 0.015 * hard + 0.9 / (1 + np.exp(-(hidden - 0.65) / 0.06))
    missed = rng.random(hidden.shape) < chance
    draws = rng.random(hidden.shape)
    blurred = np.zeros(hidden.shape[1], bool)
    for t in range(len(hidden)):
        blurred = np.where(blurred, draws[t] >= BLUR_ENDS, draws[t] < BLUR_BEGINS * hard)
        missed[t] |= blurred
    return missed


def _false_alarms(
    rng: np.random.Generator, centre: Array, present: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], Array, Array]:
    """Return frame, box and score of boxes without an object."""
    n_frames = len(centre)
    at, boxes, scores = [np.zeros(0, np.int64)], [np.zeros((0, 4))], [np.zeros(0)]
    low, high = centre[present][:, :2].min(axis=0), centre[present][:, :2].max(axis=0)
    for t in np.flatnonzero(rng.random(n_frames) < ALARM_BIRTH).tolist():
        here = np.flatnonzero(present[t])
        if not len(here):
            continue
        life = int(min(rng.geometric(1 / ALARM_LIFE), n_frames - int(t)))
        size = centre[t, rng.choice(here), 2:]
        path = rng.uniform(low, high) + np.cumsum(rng.normal(0, 1, (life, 2)), axis=0)
        at.append(t + np.arange(life))
        boxes.append(np.concatenate([path, np.broadcast_to(size, (life, 2))], axis=1))
        scores.append(rng.uniform(0.1, 0.75, life))
    return np.concatenate(at), np.concatenate(boxes), np.concatenate(scores)
