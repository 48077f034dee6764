"""Forecasts of a motion network, step by step: validation, tables and scores."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqmamba.datasets.boxes.table import to_corners
from seqmamba.datasets.samples import Batch, Samples
from seqmamba.metrics.tracking.overlap import iou
from seqmamba.tasks.track.histories.noise import Noise
from seqmamba.tasks.track.histories.windows import TrackWindows
from seqmamba.tasks.track.model import Scale, rollout

__all__ = ["HORIZONS", "collect", "forecast", "forecast_table", "mean_horizon_loss", "step_scores"]

HORIZONS = (1, 5, 10)
MOST_WINDOWS = 4096  # validation looks at no more, evenly spaced
CHUNK = 1024

Predict = Callable[[Batch], Tensor]


def mean_horizon_loss(
    net: Any, scale: Scale, samples: Samples, noise: Noise | None, device: str
) -> float:
    """Return the mean over steps 1, 5 and 10 of 1 - IoU (boxes) or the distance (points).

    Smaller is better; steps that lie beyond the end of all tracks are left out.
    """
    scale = scale.to(device)
    steps = max(HORIZONS)

    def predict(batch: Batch) -> Tensor:
        x = batch.x if noise is None else noise(batch.x)
        return rollout(net, scale, Batch(x=x.to(device)), steps)

    truth, boxes, known = collect(predict, samples, most=MOST_WINDOWS)
    scores = step_scores(truth, boxes, known)
    loss = 1 - scores if truth.shape[-1] == 4 else scores
    return float(np.nanmean(loss[[h - 1 for h in HORIZONS]]))


def collect(
    predict: Predict, samples: Samples, *, most: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Run a predictor over samples.

    Returns
    -------
    truth, boxes : array (N, H, C)
        With centres first, as in the batches.
    known : bool array (N, H)
        False beyond the end of a track.
    """
    n = len(samples)
    chosen = np.arange(n) if most is None or n <= most else np.linspace(0, n - 1, most).astype(int)
    parts = []
    with torch.inference_mode():
        for start in range(0, n if most is None else len(chosen), CHUNK):
            batch = samples.batch(chosen[start : start + CHUNK])
            boxes = predict(batch)
            assert batch.y is not None
            h = boxes.shape[1]
            parts.append(
                (
                    batch.y[:, :h].double().numpy(),
                    boxes.cpu().double().numpy(),
                    batch.extra["known"][:, :h].numpy(),
                )
            )
    truth, boxes_, known = (np.concatenate(part) for part in zip(*parts, strict=True))
    return truth, boxes_, known


def step_scores(
    truth: NDArray[np.float64], boxes: NDArray[np.float64], known: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the mean IoU (C = 4) or distance (C = 2) per step, NaN where none is known: (H,)."""
    if truth.shape[-1] == 4:
        value = iou(to_corners(truth), to_corners(boxes))
    else:
        value = np.linalg.norm(truth - boxes, axis=-1)
    count = known.sum(axis=0)
    total = np.where(known, value, 0.0).sum(axis=0)
    mean: NDArray[np.float64] = np.full(len(count), np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean


def forecast(net: Any, scale: Scale, windows: TrackWindows, h: int) -> NDArray[np.float64]:
    """Return the next ``h`` boxes (corners) or points of all windows: (N, h, C)."""
    device = next(net.parameters()).device
    scale = scale.to(device)
    _, boxes, _ = collect(lambda batch: rollout(net, scale, batch.to(device), h), windows)
    boxes[..., :2] += windows.seen[windows.origins][:, None, :2]
    return to_corners(boxes) if boxes.shape[-1] == 4 else boxes


def forecast_table(
    tracks: pl.DataFrame,
    rows: NDArray[np.int64],
    boxes: NDArray[np.float64],
    columns: Sequence[str],
) -> pl.DataFrame:
    """Return one row per origin and step.

    Parameters
    ----------
    tracks : DataFrame
    rows : int array (N,)
        Rows of the origins.
    boxes : array (N, H, C)
        In the meaning of ``columns``.
    """
    n, h, _ = boxes.shape
    origin = tracks[np.repeat(rows, h)].select("sequence", "track_id", "frame")
    step = np.tile(np.arange(1, h + 1), n)
    values = boxes.reshape(n * h, -1)
    return origin.with_columns(
        (pl.col("frame") + pl.Series(step)).alias("frame"),
        pl.Series("step", step),
        *(pl.Series(name, values[:, i]) for i, name in enumerate(columns)),
    )
