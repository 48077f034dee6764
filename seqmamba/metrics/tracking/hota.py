"""HOTA: detection and association accuracy in balance, over 19 overlap thresholds."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from seqmamba.metrics.tracking.clip import Clip
from seqmamba.metrics.tracking.matching import best_pairs

__all__ = ["ALPHAS", "HotaCounts", "count_hota"]

ALPHAS = np.arange(0.05, 0.99, 0.05)
EPS = np.finfo(np.float64).eps

Curve = NDArray[np.float64]


@dataclass(frozen=True)
class HotaCounts:
    r"""Sums from which HOTA follows; those of several videos add up.

    .. math:: \mathrm{HOTA}_\alpha = \sqrt{\mathrm{DetA}_\alpha\,\mathrm{AssA}_\alpha},\quad
              \mathrm{DetA} = \frac{TP}{TP+FN+FP},\quad
              \mathrm{AssA} = \frac1{TP}\sum_{g,r}\frac{m_{gr}^2}{n_g+n_r-m_{gr}}

    Source: arXiv 2009.07736; equal to TrackEval 1.3.0. In [0, 1], greater is better; 0 without a
    true positive.

    Parameters
    ----------
    tp, fn, fp : array (19,)
        True positives, misses, false alarms at each threshold of ``ALPHAS``.
    association : array (19,)
        The double sum of AssA.
    """

    tp: Curve
    fn: Curve
    fp: Curve
    association: Curve

    def __add__(self, other: Self) -> "HotaCounts":
        return HotaCounts(
            self.tp + other.tp,
            self.fn + other.fn,
            self.fp + other.fp,
            self.association + other.association,
        )

    @property
    def det_a_curve(self) -> Curve:
        """Detection accuracy at each threshold."""
        return self.tp / np.maximum(self.tp + self.fn + self.fp, 1.0)

    @property
    def ass_a_curve(self) -> Curve:
        """Association accuracy at each threshold."""
        return self.association / np.maximum(self.tp, 1.0)

    @property
    def hota(self) -> float:
        """Mean over the thresholds of the geometric mean of both accuracies."""
        return float(np.sqrt(self.det_a_curve * self.ass_a_curve).mean())

    @property
    def det_a(self) -> float:
        """Mean detection accuracy."""
        return float(self.det_a_curve.mean())

    @property
    def ass_a(self) -> float:
        """Mean association accuracy."""
        return float(self.ass_a_curve.mean())


def count_hota(clip: Clip) -> HotaCounts:
    """Return the sums of one video."""
    n_alphas = len(ALPHAS)
    zero = np.zeros(n_alphas)
    if clip.n_truth == 0 or clip.n_tracks == 0:
        return HotaCounts(zero, zero + clip.n_truth, zero + clip.n_tracks, zero)
    truth_count = np.bincount(np.concatenate(clip.truth_ids), minlength=clip.n_truth_ids)[:, None]
    track_count = np.bincount(np.concatenate(clip.track_ids), minlength=clip.n_track_ids)[None]
    potential = _potential(clip)
    alignment = potential / (truth_count + track_count - potential)
    truth_id, track_id, similarity = _match(clip, alignment)
    passed = similarity[None] >= ALPHAS[:, None] - EPS  # (19, matches)
    tp = passed.sum(axis=1).astype(np.float64)
    pair = truth_id * clip.n_track_ids + track_id
    pairs, inverse = np.unique(pair, return_inverse=True)
    matches = np.stack([np.bincount(inverse, row, len(pairs)) for row in passed])  # (19, pairs)
    both = (truth_count + track_count).reshape(-1)[pairs]
    association = (matches**2 / np.maximum(both - matches, 1.0)).sum(axis=1)
    return HotaCounts(tp, clip.n_truth - tp, clip.n_tracks - tp, association)


def _potential(clip: Clip) -> NDArray[np.float64]:
    """Sum over frames the similarity, normalised by its row and column sums."""
    potential = np.zeros((clip.n_truth_ids, clip.n_track_ids))
    for truth, track, similarity in zip(
        clip.truth_ids, clip.track_ids, clip.similarity, strict=True
    ):
        total = similarity.sum(axis=0)[None] + similarity.sum(axis=1)[:, None] - similarity
        share = np.divide(similarity, total, out=np.zeros_like(total), where=total > EPS)
        potential[truth[:, None], track[None]] += share
    return potential


def _match(
    clip: Clip, alignment: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Match each frame by alignment times similarity; ids and similarity of all matches."""
    truth_ids, track_ids, similarities = [], [], []
    for truth, track, similarity in zip(
        clip.truth_ids, clip.track_ids, clip.similarity, strict=True
    ):
        rows, columns = best_pairs(alignment[truth[:, None], track[None]] * similarity)
        truth_ids.append(truth[rows])
        track_ids.append(track[columns])
        similarities.append(similarity[rows, columns])
    return np.concatenate(truth_ids), np.concatenate(track_ids), np.concatenate(similarities)
