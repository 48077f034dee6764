"""Windows over tracks: the last boxes of an object and the boxes that follow."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from seqmamba.datasets.boxes.files import read_boxes, read_points
from seqmamba.datasets.boxes.table import BOX, to_centre
from seqmamba.datasets.samples import Batch, Info
from seqmamba.errors import DataError
from seqmamba.tasks.track.histories.observations import observe

__all__ = ["TrackWindows", "read_tracks"]

Rows = NDArray[np.int64]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class TrackWindows:
    """All windows of a table of tracks; rows are sorted by sequence, track and frame.

    A run is a stretch of consecutive frames of one track. Every row of a run but its last is the
    origin of a window: up to ``q + 1`` boxes that end there, padded at the front by repeating
    the first box of the run, and up to ``h`` boxes that follow.

    Parameters
    ----------
    truth : array (R, C)
        Boxes ``cx, cy, w, h`` (C = 4) or points (C = 2) that are to be predicted.
    seen : array (R, C)
        Those of the history: the same, or what a detector saw of them.
    confidence : array (R,)
        How sure the detector was of ``seen``; 0 where it saw nothing.
    first, last : int array (R,)
        First and last row of the run of each row; the run begins where it was first seen.
    sequence : int array (R,)
        Number of the video.
    origins : int array (W,)
        Rows at which a window ends.
    q, h : int
        Offsets in a history; steps ahead.
    scale, unit : str, tuple of C floats
        Unit of the offsets; see :class:`seqmamba.tasks.track.model.Scale`.
    confident : bool
        Whether a network is to read the confidence.
    columns : tuple of str
        Names of the values in the table.
    """

    truth: Array
    seen: Array
    confidence: Array
    first: Rows
    last: Rows
    sequence: Rows
    origins: Rows
    q: int
    h: int
    scale: str = "box"
    unit: tuple[float, ...] = ()
    confident: bool = False
    columns: tuple[str, ...] = BOX

    @classmethod
    def from_table(
        cls,
        tracks: pl.DataFrame,
        q: int,
        h: int = 1,
        *,
        stride: int = 1,
        columns: Sequence[str] = BOX,
        detections: pl.DataFrame | None = None,
    ) -> Self:
        """Cut a checked table of tracks into windows.

        Parameters
        ----------
        tracks : DataFrame
            As :func:`read_tracks` returns it.
        stride : int
            Rows between two origins.
        columns : sequence of str
            Corners of the boxes, or two coordinates of points.
        detections : DataFrame or None
            What a detector saw in the same videos: histories are made of the detections that
            match the tracks (IoU of at least 0.5), gaps filled by straight lines.

        Raises
        ------
        DataError
            No track has two consecutive frames.
        """
        tracks = tracks.sort("sequence", "track_id", "frame", maintain_order=True)
        values = tracks.select(columns).to_numpy()
        truth = to_centre(values) if len(columns) == 4 else values
        sequence = tracks["sequence"].rank("dense").to_numpy().astype(np.int64)
        first, last = _runs(sequence, tracks["track_id"].to_numpy(), tracks["frame"].to_numpy())
        rows = np.arange(len(truth))
        seen, confidence, real = truth, _confidence(tracks), np.ones(len(truth), bool)
        if detections is not None:
            seen, match, first = observe(tracks, detections, first)
            real = match >= 0
            confidence = np.where(real, _confidence(detections)[match], 0.0)
        origins = np.flatnonzero(real & (rows < last))[::stride]
        if not len(origins):
            raise DataError(
                f"{len(truth)} rows hold no track with two boxes in consecutive frames; "
                "motion is learned from such pairs. Are frame and track_id the right columns?",
                column="frame",
            )
        names = tuple(columns)
        return cls(truth, seen, confidence, first, last, sequence, origins, q, h, columns=names)

    @classmethod
    def for_forecast(
        cls, tracks: pl.DataFrame, q: int, *, columns: Sequence[str], last_only: bool
    ) -> Self:
        """Return windows that end at the last row of each track, or at every row."""
        values = tracks.select(columns).to_numpy()
        truth = to_centre(values) if len(columns) == 4 else values
        sequence = tracks["sequence"].rank("dense").to_numpy().astype(np.int64)
        track, rows = tracks["track_id"].to_numpy(), np.arange(len(truth))
        first, last = _runs(sequence, track, tracks["frame"].to_numpy())
        ends = np.ones(len(rows), bool)
        ends[:-1] = (np.diff(sequence) != 0) | (np.diff(track) != 0)
        origins = rows[ends] if last_only else rows
        return cls(truth, truth, _confidence(tracks), first, last, sequence, origins, q, 1)

    @property
    def info(self) -> Info:
        """Channels, length of the histories, scale and its unit."""
        channels = self.truth.shape[1]
        return Info(
            channels=channels,
            length=(2, self.q + 1),
            n_outputs=channels,
            feature_names=self.columns,
            extra={
                "scale": self.scale,
                "unit": list(self.unit),
                "confident": self.confident,
            },
        )

    def with_settings(self, scale: str, unit: Sequence[float], *, confident: bool) -> Self:
        """Return the same windows with another unit of the offsets, to be read otherwise."""
        return replace(self, scale=scale, unit=tuple(unit), confident=confident)

    def offset_std(self) -> tuple[float, ...]:
        """Return the standard deviation of the offsets within runs, per channel; at least 1e-9."""
        rows = np.flatnonzero(np.arange(len(self.truth)) < self.last)
        spread = (self.truth[rows + 1] - self.truth[rows]).std(axis=0)
        return tuple(np.maximum(spread, 1e-9).tolist())

    def __len__(self) -> int:
        return len(self.origins)

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Return x (B, q + 1, C) seen, y (B, h, C) to come, and more.

        Extra: ``known`` (B, h) says which boxes to come are there, ``confidence`` (B, q + 1) how
        sure the detector was of those seen.

        Positions are relative to the last one seen, so that float32 is fine enough everywhere.
        """
        origin = self.origins[indices][:, None]
        past = np.maximum(origin - np.arange(self.q, -1, -1), self.first[origin])
        future = origin + np.arange(1, self.h + 1)
        known = future <= self.last[origin]
        future = np.minimum(future, self.last[origin])
        x, y = self.seen[past], self.truth[future]
        centre = x[:, -1:, :2].copy()
        x[..., :2] -= centre
        y[..., :2] -= centre
        return Batch(
            x=torch.from_numpy(x.astype(np.float32)),
            y=torch.from_numpy(y.astype(np.float32)),
            extra={
                "known": torch.from_numpy(known),
                "confidence": torch.from_numpy(self.confidence[past].astype(np.float32)),
            },
        )

    def split(self, held_out: float | int) -> tuple["TrackWindows", "TrackWindows"]:
        """Hold out whole videos, at least one; of a single video its last windows.

        They are spread over the table: neighbours in it tend to be of one kind, and the last ones
        alone would say nothing of the others.
        """
        videos = np.unique(self.sequence[self.origins])
        if len(videos) > 1:
            count = round(held_out * len(videos)) if held_out < 1 else int(held_out)
            count = min(max(count, 1), len(videos) - 1)
            spread = np.round(np.linspace(len(videos) - 1, 0, count, endpoint=False)).astype(int)
            mine = np.isin(self.sequence[self.origins], videos[spread])
        else:
            count = round(held_out * len(self)) if held_out < 1 else int(held_out)
            mine = np.arange(len(self)) >= len(self) - max(count, 1)
        return self._part(~mine), self._part(mine)

    def _part(self, mask: NDArray[np.bool_]) -> "TrackWindows":
        return replace(self, origins=self.origins[mask])


def read_tracks(source: Any, columns: Sequence[str] = BOX) -> pl.DataFrame:
    """Read and check a table of tracks of boxes, or of points under other column names."""
    if tuple(columns) == BOX:
        return read_boxes(source)
    return read_points(source, columns)


def _confidence(table: pl.DataFrame) -> Array:
    """Return how sure the source was of each row: (R,); 1 where it does not say."""
    if "confidence" not in table.columns:
        return np.ones(len(table))
    return table["confidence"].to_numpy().astype(np.float64)


def _runs(sequence: Rows, track: Rows, frame: Rows) -> tuple[Rows, Rows]:
    """Return the first and the last row of each row's run of consecutive frames."""
    n = len(frame)
    if n == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    new = np.ones(n, bool)
    new[1:] = (np.diff(sequence) != 0) | (np.diff(track) != 0) | (np.diff(frame) != 1)
    starts = np.flatnonzero(new)
    lengths = np.diff(np.append(starts, n))
    return np.repeat(starts, lengths), np.repeat(starts + lengths - 1, lengths)
