"""Gaps in finished tracks, filled afterwards; never part of what a tracker answers online."""

from typing import Any

import polars as pl

from seqmamba.datasets.boxes.files import like_of, read_boxes
from seqmamba.datasets.boxes.table import BOX
from seqmamba.frames import write

__all__ = ["interpolate"]


def interpolate(tracks: Any, max_gap: int = 20) -> Any:
    """Fill gaps of tracks by straight lines between the boxes around them.

    Parameters
    ----------
    tracks : path, folder, table or array
        Needs all frames at once: an offline step.
    max_gap : int
        Longest gap to be filled, in missing frames; longer ones stay.

    Returns
    -------
    table
        In the caller's library, sorted by sequence, track and frame, with a column
        ``is_interpolated``; new rows take the other columns of the box before the gap.

    Examples
    --------
    >>> ends = {"frame": [1, 3], "track_id": [7, 7], "x1": [0.0, 4.0], "y1": [0.0, 0.0]}
    >>> filled = interpolate({**ends, "x2": [5.0, 9.0], "y2": [5.0, 5.0]})
    >>> filled["x1"].tolist()
    [0.0, 2.0, 4.0]
    """
    table = read_boxes(tracks).sort("sequence", "track_id", "frame")
    track = ["sequence", "track_id"]
    step = pl.col("frame").shift(-1).over(track) - pl.col("frame")
    following = [pl.col(name).shift(-1).over(track).alias(f"_{name}") for name in BOX]
    gaps = table.with_columns(step.alias("_step"), *following).filter(
        pl.col("_step").is_between(2, max_gap + 1)
    )
    inside = gaps.with_columns(pl.int_ranges(1, pl.col("_step")).alias("_at")).explode("_at")
    share = pl.col("_at") / pl.col("_step")
    lines = [(pl.col(n) + share * (pl.col(f"_{n}") - pl.col(n))).alias(n) for n in BOX]
    new = inside.with_columns(pl.col("frame") + pl.col("_at"), *lines).select(table.columns)
    both = [
        part.with_columns(pl.lit(value).alias("is_interpolated"))
        for part, value in ((table, False), (new, True))
    ]
    return write(pl.concat(both).sort(*track, "frame"), like_of(tracks))
