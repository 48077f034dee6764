"""One run of a tracker: the live tracks, their motion and the step from frame to frame."""

import time

import numpy as np
from numpy.typing import NDArray

from seqmamba.metrics.tracking.overlap import Similarity
from seqmamba.tasks.track.motion.model import MotionModel
from seqmamba.tasks.track.online.assignment import Pairs, assign, candidates
from seqmamba.tasks.track.online.detections import Detections
from seqmamba.tasks.track.online.rules import Association, Thresholds, stages
from seqmamba.tasks.track.online.slots import UNNAMED, Slots

__all__ = ["NO_TRACK", "Session"]

NO_TRACK = -1


class Session:
    """State of a tracker between two frames.

    Parameters
    ----------
    motion : MotionModel
        Empty, and owned by this session.
    rule, limits : Association, Thresholds
    similarity : {"iou", "giou", "hmiou", "biou"}
    class_aware : bool
    gate : float or None
        Largest squared Mahalanobis distance.
    max_lost, min_hits : int

    Attributes
    ----------
    slots : Slots
        The live tracks.
    predicted : array (N', 4)
        Predicted boxes of the first N' slots, in this frame.
    frames, born, dead, dropped : int
        Counts since the start.
    seconds : dict
        Time spent in predict, associate and update.
    """

    def __init__(
        self,
        motion: MotionModel,
        rule: Association,
        limits: Thresholds,
        *,
        similarity: Similarity,
        class_aware: bool,
        gate: float | None,
        max_lost: int,
        min_hits: int,
    ) -> None:
        self.motion, self.rule, self.limits = motion, rule, limits
        self.similarity, self.class_aware, self.gate = similarity, class_aware, gate
        self.max_lost, self.min_hits = max_lost, min_hits
        self.slots, self.predicted = Slots(), np.zeros((0, 4))
        self.frames, self.born, self.dead, self.dropped = 0, 0, 0, 0
        self.seconds = {"predict": 0.0, "associate": 0.0, "update": 0.0}
        self._next_id = 1

    def step(self, read: Detections, dt: float) -> NDArray[np.int64]:
        """Advance by ``dt`` frames and return the track id of each detection, -1 for none: (M,)."""
        slots, clock = self.slots, time.perf_counter
        started = clock()
        if dt > max(self.max_lost, 1):
            self._keep(np.zeros(len(slots), bool))
        lost = slots.missed > 0
        self.predicted = self.motion.predict(dt, lost)
        slots.missed += dt
        predicted_at = clock()
        used = read.scores > self.limits.det_thresh
        rows, columns = self._match(lost, read, used)
        matched_at = clock()
        ids = self._settle(read, used, rows, columns)
        self.frames += 1
        self.dropped += read.dropped
        self.seconds["predict"] += predicted_at - started
        self.seconds["associate"] += matched_at - predicted_at
        self.seconds["update"] += clock() - matched_at
        return ids

    def _match(self, lost: NDArray[np.bool_], read: Detections, used: NDArray[np.bool_]) -> Pairs:
        """Return slots and detections that belong together."""
        limits = self.limits
        lowest = min(limits.iou_active, limits.iou_lost, limits.iou_low)
        rows, columns, value = candidates(self.predicted, read.boxes, self.similarity, lowest)
        allowed = used[columns]
        if self.class_aware:
            allowed &= self.slots.classes[rows] == read.classes[columns]
        if self.gate is not None:
            allowed &= self._within(self.gate, rows, columns, read)
        rows, columns, value = rows[allowed], columns[allowed], value[allowed]
        free_tracks, free_detections = np.ones(len(lost), bool), np.ones(len(read), bool)
        found = []
        for tracks, detections, gates in stages(self.rule, lost, read.scores, limits):
            tracks, detections = tracks & free_tracks, detections & free_detections
            edges = tracks[rows] & detections[columns] & (value >= gates[rows])
            row, column = assign(rows[edges], columns[edges], 1.0 - value[edges])
            free_tracks[row], free_detections[column] = False, False
            found.append((row, column))
        return np.concatenate([r for r, _ in found]), np.concatenate([c for _, c in found])

    def _within(
        self, gate: float, rows: NDArray[np.int64], columns: NDArray[np.int64], read: Detections
    ) -> NDArray[np.bool_]:
        distance = self.motion.gating(np.arange(len(self.slots)), read.boxes)
        if distance is None:
            return np.ones(len(rows), bool)
        near: NDArray[np.bool_] = distance[rows, columns] <= gate
        return near

    def _settle(
        self,
        read: Detections,
        used: NDArray[np.bool_],
        rows: NDArray[np.int64],
        columns: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """Update, bury, start and confirm tracks; return the id of each detection."""
        slots = self.slots
        self.motion.update(rows, read.boxes[columns], read.scores[columns])
        slots.found(rows, read.scores[columns])
        of_slot = np.full(len(slots), NO_TRACK)
        of_slot[rows] = columns
        unproven = (slots.ids == UNNAMED) & (slots.missed > 0)
        alive = ~unproven & (slots.missed <= self.max_lost)
        self._keep(alive)
        fresh = used & (read.scores >= self.limits.new_thresh)
        fresh[columns] = False
        start = np.flatnonzero(fresh)
        self.motion.initiate(read.boxes[start], read.scores[start])
        slots.born(read.classes[start], read.scores[start])
        self.born += len(start)
        of_slot = np.concatenate([of_slot[alive], start])
        self._confirm()
        ids = np.full(len(read), NO_TRACK)
        here = (of_slot != NO_TRACK) & (slots.ids != UNNAMED)
        ids[of_slot[here]] = slots.ids[here]
        return ids

    def _confirm(self) -> None:
        """Name the tracks that have proven themselves; those of the first frame at once."""
        needed = 1 if self.frames == 0 else self.min_hits
        ready = np.flatnonzero((self.slots.ids == UNNAMED) & (self.slots.hits >= needed))
        self.slots.ids[ready] = self._next_id + np.arange(len(ready))
        self._next_id += len(ready)

    def _keep(self, alive: NDArray[np.bool_]) -> None:
        if alive.all():
            return
        self.dead += int((~alive).sum())
        self.slots.keep(alive)
        self.motion.keep(alive)
        self.predicted = self.predicted[alive]
