"""CLEAR: misses, false alarms and identity switches at one overlap threshold."""

from dataclasses import astuple, dataclass
from typing import Self

import numpy as np

from seqmamba.metrics.tracking.clip import Clip
from seqmamba.metrics.tracking.matching import best_pairs

__all__ = ["ClearCounts", "count_clear"]

EPS = np.finfo(np.float64).eps
NOBODY = -1
STAY = 1000.0  # bonus of a pair that was matched in the frame before


@dataclass(frozen=True)
class ClearCounts:
    """Counts from which MOTA and MOTP follow; those of several videos add up.

    Source: Bernardin and Stiefelhagen 2008; equal to TrackEval 1.3.0.

    Parameters
    ----------
    tp, fn, fp : int
        Matches, misses, false alarms.
    switches : int
        A true id is matched with another track than at its last match.
    fragments : int
        Times that a true id is picked up again after a pause.
    mostly_tracked, mostly_lost : int
        True ids matched in more than 80 % or less than 20 % of their frames.
    overlap : float
        Sum of the similarity of the matches.
    """

    tp: int = 0
    fn: int = 0
    fp: int = 0
    switches: int = 0
    fragments: int = 0
    mostly_tracked: int = 0
    mostly_lost: int = 0
    overlap: float = 0.0

    def __add__(self, other: Self) -> "ClearCounts":
        return ClearCounts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def mota(self) -> float:
        """``1 - (FN + FP + switches) / GT``: at most 1, may be negative; 0 without ground truth."""
        return (self.tp - self.fp - self.switches) / max(self.tp + self.fn, 1)

    @property
    def motp(self) -> float:
        """Mean similarity of the matches, in [threshold, 1]; 0 without a match."""
        return self.overlap / max(self.tp, 1)


def count_clear(clip: Clip, threshold: float = 0.5) -> ClearCounts:
    """Return the counts of one video at a threshold of the similarity."""
    if clip.n_truth == 0 or clip.n_tracks == 0:
        return ClearCounts(fn=clip.n_truth, fp=clip.n_tracks, mostly_lost=clip.n_truth_ids)
    last = np.full(clip.n_truth_ids, NOBODY)  # track of the last match, however long ago
    current = np.full(clip.n_truth_ids, NOBODY)  # track in the frame before
    matched, begun = np.zeros(clip.n_truth_ids), np.zeros(clip.n_truth_ids, np.int64)
    switches, overlap = 0, 0.0
    for truth, track, similarity in zip(
        clip.truth_ids, clip.track_ids, clip.similarity, strict=True
    ):
        if not len(truth) or not len(track):
            continue  # sic: TrackEval leaves the pairs of the frame before in force
        score = STAY * (track[None] == current[truth][:, None]) + similarity
        score[similarity < threshold - EPS] = 0.0
        rows, columns = best_pairs(score)
        kept = score[rows, columns] > EPS
        rows, columns = rows[kept], columns[kept]
        who, by = truth[rows], track[columns]
        switches += int(((last[who] != NOBODY) & (last[who] != by)).sum())
        matched[who] += 1
        begun[who] += current[who] == NOBODY
        last[who] = by
        current[:] = NOBODY
        current[who] = by
        overlap += float(similarity[rows, columns].sum())
    present = np.bincount(np.concatenate(clip.truth_ids), minlength=clip.n_truth_ids)
    share = matched / np.maximum(present, 1)
    tp = int(matched.sum())
    return ClearCounts(
        tp=tp,
        fn=clip.n_truth - tp,
        fp=clip.n_tracks - tp,
        switches=switches,
        fragments=int((begun[begun > 0] - 1).sum()),
        mostly_tracked=int((share > 0.8).sum()),
        mostly_lost=int((share < 0.2).sum()),
        overlap=overlap,
    )
