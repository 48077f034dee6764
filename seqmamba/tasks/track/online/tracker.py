"""Online tracking by detection, with the same association for every motion model."""

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
import sklearn.base
from numpy.typing import NDArray

from seqmamba import frames
from seqmamba.datasets.boxes.files import read_boxes
from seqmamba.errors import DataError
from seqmamba.metrics.tracking.overlap import Similarity
from seqmamba.params import Choice, IntRange, Uniform, check_params, param
from seqmamba.tasks.track.motion.choice import motion_model
from seqmamba.tasks.track.online.detections import Detections, OnError, read_detections
from seqmamba.tasks.track.online.rules import DEFAULTS, Association, Thresholds
from seqmamba.tasks.track.online.session import NO_TRACK, Session
from seqmamba.tasks.track.online.slots import UNNAMED
from seqmamba.tasks.track.online.tables import (
    by_sequence,
    frame_blocks,
    read_detection_table,
    score_tables,
    tracks_table,
)

__all__ = ["Tracker"]

Auto = float | Literal["auto"]


@dataclass(eq=False, repr=False)
class Tracker(sklearn.base.BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Follow objects from frame to frame by the boxes of a detector.

    Each object of this class numbers its tracks from 1, in the order of their confirmation, and
    never uses a number twice; :meth:`reset` starts anew. Same input, same output.

    Examples
    --------
    >>> tracker = Tracker()
    >>> tracker.update([[10, 10, 30, 60, 0.9]])[:, 4]
    array([1.])
    """

    motion: Any = param("kalman", "kalman, kalman-xyah, kalman-xysr, none, linear, model or path")
    association: Association = param("wide", "order and gates of the matching")
    similarity: Similarity = param("iou", "overlap of boxes", search=Choice("iou", "hmiou", "biou"))
    class_aware: bool = param(True, "match boxes of one class only")
    det_thresh: Auto = param("auto", "ignore detections up to this confidence", low=0, high=1)
    high_thresh: Auto = param("auto", "confidence that is matched first", low=0, high=1)
    new_thresh: Auto = param(
        "auto", "confidence that starts a track", low=0, high=1, search=Uniform(0.4, 0.8)
    )
    iou_active: Auto = param(
        "auto", "gate of tracks seen a frame ago", low=-1, high=1, search=Uniform(0.1, 0.5)
    )
    iou_lost: Auto = param("auto", "gate of lost tracks", low=-1, high=1, search=Uniform(0.05, 0.3))
    iou_low: Auto = param("auto", "gate with weak detections", low=-1, high=1)
    gate: float | None = param(
        None, "largest squared Mahalanobis distance; 9.49 = 95 %; None = off", low=0
    )
    max_lost: int = param(30, "frames that a lost track lives", low=0, search=IntRange(10, 90))
    min_hits: int = param(2, "detections that confirm a track", low=1, search=IntRange(1, 3))
    fps: float = param(25.0, "frames per second, for timestamps", low=1e-3)
    on_error: OnError = param("raise", "what to do with invalid boxes")
    output: Literal["matched", "predicted"] = param("matched", "also return lost tracks")

    # -- streaming -----------------------------------------------------------------------------

    def update(
        self, detections: Any, *, frame: int | None = None, timestamp: float | None = None
    ) -> Any:
        """Advance to the next frame and match its detections.

        Parameters
        ----------
        detections : None, array (n, 4..6), table or supervision Detections
            ``x1, y1, x2, y2[, confidence[, class]]`` in pixels; none at all is fine.
        frame : int or None
            Number of the frame; a jump makes a longer time step. None = the next one.
        timestamp : float or None
            Seconds; times ``fps`` they play the part of ``frame``.

        Returns
        -------
        array (m, 8)
            ``x1, y1, x2, y2, id, confidence, class, row of the detection`` of the confirmed
            tracks found in this frame, with the detected boxes. With ``output="predicted"`` a
            ninth column is 1 for lost tracks, which have their predicted box and row -1.
            For supervision input: a copy with ``tracker_id``, -1 for detections without track.

        Raises
        ------
        DataError
            Boxes are invalid, or time does not move forward.
        """
        session = self._session()
        where = "" if frame is None else f" in frame {frame}"
        read = read_detections(detections, self.on_error, where)
        ids = session.step(read, self._elapsed(frame, timestamp))
        if hasattr(detections, "xyxy"):
            return _annotated(detections, read, ids)
        return self._rows(read, ids)

    def stream(self, blocks: Iterable[Any]) -> Iterator[Any]:
        """Give the result of :meth:`update` for each element: detections or (frame, detections)."""
        for block in blocks:
            if isinstance(block, tuple) and len(block) == 2:
                yield self.update(block[1], frame=block[0])
            else:
                yield self.update(block)

    # -- tables --------------------------------------------------------------------------------

    def run(self, detections: Any) -> Any:
        """Track whole videos; each begins with a fresh tracker.

        Parameters
        ----------
        detections : path, folder, table or array
            See :func:`seqmamba.datasets.boxes.files.read_boxes`; ``track_id`` is not looked at.

        Returns
        -------
        table
            In the caller's library: ``sequence, frame, track_id, x1, y1, x2, y2, confidence,
            class_id`` and ``detection``, the row of the detection among those of its frame; with
            ``output="predicted"`` also ``is_predicted``. Sorted by sequence and frame; ids start
            at 1 in each sequence.
        """
        table, like, dropped = read_detection_table(detections, self.on_error)
        parts = [self._run_one(str(key[0]), part) for key, part in by_sequence(table)]
        self.dropped_ = dropped
        return frames.write(pl.concat(parts) if parts else tracks_table("", [], []), like)

    def _run_one(self, name: str, part: pl.DataFrame) -> pl.DataFrame:
        numbers, blocks = frame_blocks(part)
        self.reset()
        rows = [self.update(block, frame=n) for n, block in zip(numbers, blocks, strict=True)]
        return tracks_table(name, numbers, rows)

    @staticmethod
    def evaluate(truth: Any, tracks: Any, detections: Any = None, **settings: Any) -> pl.DataFrame:
        """Score tracks against the truth.

        Parameters
        ----------
        truth, tracks : path, folder, table or array
        detections : same, or None
            What was tracked: the same association with a Kalman filter and without motion is
            then scored beside it.
        settings : parameters of :class:`Tracker`
            For those two.

        Returns
        -------
        DataFrame
            One row per sequence and ``COMBINED``, see
            :func:`seqmamba.metrics.tracking.score_clips`; with ``detections`` further combined
            rows, told apart by the column ``model``.
        """
        true = read_boxes(truth, "truth")
        scores = score_tables(true, read_boxes(tracks))
        if detections is None:
            return scores
        beside = [
            score_tables(true, Tracker(motion=name, **settings).run(detections))
            .tail(1)
            .with_columns(pl.lit(name).alias("model"))
            for name in ("kalman", "none")
        ]
        return pl.concat([scores.with_columns(pl.lit("given").alias("model")), *beside])

    # -- state ---------------------------------------------------------------------------------

    def reset(self) -> None:
        """Forget all tracks and start numbering at 1."""
        self._running: Session | None = None
        self._session()

    def stats(self) -> dict[str, float]:
        """Return frames, live, lost, born, dead, dropped and mean milliseconds per stage."""
        session = self._session()
        frames = max(session.frames, 1)
        return {
            "frames": session.frames,
            "live": len(session.slots),
            "lost": int((session.slots.missed > 0).sum()),
            "born": session.born,
            "dead": session.dead,
            "dropped": session.dropped,
            **{f"ms_{name}": 1e3 * spent / frames for name, spent in session.seconds.items()},
        }

    def _session(self) -> Session:
        """Return the running session; check the parameters and begin one where there is none."""
        running: Session | None = getattr(self, "_running", None)
        if running is not None:
            return running
        check_params(self)
        rule = DEFAULTS[self.association]
        own = {name: getattr(self, name) for name in vars(rule)}
        self._time = 0.0
        self._running = Session(
            motion_model(self.motion, fps=self.fps),
            self.association,
            Thresholds(**{k: getattr(rule, k) if v == "auto" else v for k, v in own.items()}),
            similarity=self.similarity,
            class_aware=self.class_aware,
            gate=self.gate,
            max_lost=self.max_lost,
            min_hits=self.min_hits,
        )
        return self._running

    def _elapsed(self, frame: int | None, timestamp: float | None) -> float:
        if frame is None and timestamp is None:
            now = self._time + 1.0
        else:
            now = float(frame) if frame is not None else float(timestamp or 0.0) * self.fps
        dt = 1.0 if self._session().frames == 0 else now - self._time
        if not (np.isfinite(now) and dt > 0):
            name, value = ("frame", frame) if frame is not None else ("timestamp", timestamp)
            raise DataError(
                f"{name} {value} does not come after the one before ({self._time:g} frames); "
                "frames must be given once each, in rising order. Sort them, or call reset().",
                column=name,
                value=value,
            )
        self._time = now
        return dt

    def _rows(self, read: Detections, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the rows of :meth:`update`, in the order of the detections."""
        found = np.flatnonzero(ids != NO_TRACK)
        kept = read[found]
        rows = np.column_stack([kept.boxes, ids[found], kept.scores, kept.classes, kept.index])
        if self.output == "matched":
            return rows
        session = self._session()
        n = len(session.predicted)
        lost = np.flatnonzero((session.slots.missed[:n] > 0) & (session.slots.ids[:n] != UNNAMED))
        slots = session.slots
        unseen = np.column_stack(
            [
                session.predicted[lost],
                slots.ids[lost],
                slots.scores[lost],
                slots.classes[lost],
                np.full(len(lost), NO_TRACK),
            ]
        )
        is_predicted = np.repeat([0.0, 1.0], [len(rows), len(unseen)])
        return np.column_stack([np.concatenate([rows, unseen]), is_predicted])


def _annotated(source: Any, read: Detections, ids: NDArray[np.int64]) -> Any:
    """Return a copy of supervision detections with ``tracker_id``, -1 where there is no track."""
    copied = copy.copy(source)
    copied.tracker_id = np.full(len(source.xyxy), NO_TRACK)
    copied.tracker_id[read.index] = ids
    return copied
