"""The live tracks of a tracker as arrays: one row per slot."""

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

__all__ = ["UNNAMED", "Slots"]

UNNAMED = 0  # id of a track that is not yet confirmed


@dataclass
class Slots:
    """Live tracks; dead ones leave no trace.

    Parameters
    ----------
    ids : int array (N,)
        From 1; 0 until the track is confirmed.
    hits : int array (N,)
        Detections so far.
    missed : float array (N,)
        Frames since the last detection.
    classes : int array (N,)
    scores : float array (N,)
        Confidence of the last detection.
    """

    ids: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    hits: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    missed: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    classes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    scores: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def __len__(self) -> int:
        return len(self.ids)

    def born(self, classes: NDArray[np.int64], scores: NDArray[np.float64]) -> None:
        """Append one unnamed track per detection."""
        n = len(classes)
        self.ids = np.concatenate([self.ids, np.full(n, UNNAMED)])
        self.hits = np.concatenate([self.hits, np.ones(n, np.int64)])
        self.missed = np.concatenate([self.missed, np.zeros(n)])
        self.classes = np.concatenate([self.classes, classes])
        self.scores = np.concatenate([self.scores, scores])

    def found(self, rows: NDArray[np.int64], scores: NDArray[np.float64]) -> None:
        """Note the detections of some tracks."""
        self.hits[rows] += 1
        self.missed[rows] = 0.0
        self.scores[rows] = scores

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Drop the rows where the mask is False."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name)[mask])
