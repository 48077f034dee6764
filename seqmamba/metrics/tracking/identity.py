"""Identity: how much of the video one fixed pairing of ids explains."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from seqmamba.metrics.tracking.clip import Clip
from seqmamba.metrics.tracking.matching import best_pairs

__all__ = ["IdentityCounts", "count_identity"]


@dataclass(frozen=True)
class IdentityCounts:
    """Counts from which IDF1 follows; those of several videos add up.

    Source: arXiv 1609.01775; equal to TrackEval 1.3.0. In [0, 1], greater is better.

    Parameters
    ----------
    tp, fn, fp : int
        Boxes explained by the best one-to-one pairing of ids, true boxes and tracked boxes left.
    """

    tp: int = 0
    fn: int = 0
    fp: int = 0

    def __add__(self, other: Self) -> "IdentityCounts":
        return IdentityCounts(self.tp + other.tp, self.fn + other.fn, self.fp + other.fp)

    @property
    def idf1(self) -> float:
        """``2 TP / (GT + tracked)``; 0 without a box."""
        return self.tp / max(self.tp + 0.5 * (self.fn + self.fp), 1.0)


def count_identity(clip: Clip, threshold: float = 0.5) -> IdentityCounts:
    """Return the counts of one video at a threshold of the similarity.

    Minimising misses plus false alarms over pairings is maximising the boxes that the pairs share.
    """
    shared = np.zeros((clip.n_truth_ids, clip.n_track_ids))
    for truth, track, similarity in zip(
        clip.truth_ids, clip.track_ids, clip.similarity, strict=True
    ):
        rows, columns = np.nonzero(similarity >= threshold)
        shared[truth[rows], track[columns]] += 1
    rows, columns = best_pairs(shared)
    tp = int(shared[rows, columns].sum())
    return IdentityCounts(tp=tp, fn=clip.n_truth - tp, fp=clip.n_tracks - tp)
