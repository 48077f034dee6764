"""The table of tracking scores: one row per video and one for all of them together."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from seqmamba.metrics.tracking.clear import ClearCounts, count_clear
from seqmamba.metrics.tracking.clip import Clip
from seqmamba.metrics.tracking.hota import HotaCounts, count_hota
from seqmamba.metrics.tracking.identity import IdentityCounts, count_identity

if TYPE_CHECKING:
    import polars as pl

__all__ = ["COMBINED", "score_clips"]

COMBINED = "COMBINED"


def score_clips(clips: Mapping[str, Clip]) -> "pl.DataFrame":
    """Return HOTA, CLEAR and Identity per video and combined.

    The combined row adds up counts; it is not the mean of the rows above it.

    Parameters
    ----------
    clips : mapping of str to Clip
        At least one video.

    Returns
    -------
    DataFrame
        ``sequence``; ``HOTA, DetA, AssA, MOTA, MOTP, IDF1`` in percent; counts ``switches,
        fragments, mostly_tracked, mostly_lost, FN, FP, GT``. The last row is ``COMBINED``.
    """
    import polars as pl  # the registry loads without it

    counts = [(count_hota(c), count_clear(c), count_identity(c)) for c in clips.values()]
    hota, clear, identity = counts[0]
    for more_hota, more_clear, more_identity in counts[1:]:
        hota, clear, identity = hota + more_hota, clear + more_clear, identity + more_identity
    named = zip([*clips, COMBINED], [*counts, (hota, clear, identity)], strict=True)
    return pl.DataFrame([{"sequence": name, **_row(*parts)} for name, parts in named])


def _row(hota: HotaCounts, clear: ClearCounts, identity: IdentityCounts) -> dict[str, float | int]:
    return {
        "HOTA": 100 * hota.hota,
        "DetA": 100 * hota.det_a,
        "AssA": 100 * hota.ass_a,
        "MOTA": 100 * clear.mota,
        "MOTP": 100 * clear.motp,
        "IDF1": 100 * identity.idf1,
        "switches": clear.switches,
        "fragments": clear.fragments,
        "mostly_tracked": clear.mostly_tracked,
        "mostly_lost": clear.mostly_lost,
        "FN": clear.fn,
        "FP": clear.fp,
        "GT": clear.tp + clear.fn,
    }
