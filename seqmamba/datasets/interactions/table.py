"""Interactions of users with items, as two flat arrays: all items in order, and where users end."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba import frames
from seqmamba.datasets.interactions.formats import (
    read_atomic,
    read_pairs,
    read_sequences,
    sniff,
)
from seqmamba.datasets.interactions.ids import Ids, encode, id_series
from seqmamba.errors import DataError
from seqmamba.frames.sources import TEXT_SUFFIXES

__all__ = ["Duplicates", "Format", "Interactions", "read_interactions"]

Format = Literal["auto", "table", "recbole", "pairs", "sequences"]
Duplicates = Literal["keep", "first", "last"]


@dataclass(frozen=True)
class Interactions:
    """Histories of all users, one after the other.

    Parameters
    ----------
    users : Ids
        U users in order of their first event.
    items : Ids
        V items; item ``v`` of the arrays is ``items.values[v - 1]``, 0 is padding.
    sequence : array (n,) int32
        Item numbers from 1, user by user, each in order of time.
    offsets : array (U + 1,) int64
        User u owns ``sequence[offsets[u]:offsets[u + 1]]``.
    times : array (n,) int64 (microseconds) or float64, or None
        None: the order of the rows was the order in time.
    """

    users: Ids
    items: Ids
    sequence: NDArray[np.int32]
    offsets: NDArray[np.int64]
    times: NDArray[Any] | None = None

    @property
    def counts(self) -> NDArray[np.int64]:
        """Return the number of events of each user: (U,)."""
        return np.diff(self.offsets)

    @property
    def owners(self) -> NDArray[np.int32]:
        """Return the user of each event: (n,)."""
        return np.repeat(np.arange(len(self.users), dtype=np.int32), self.counts)


def read_interactions(
    source: Any,
    *,
    user_col: str = "user_id",
    item_col: str = "item_id",
    time_col: str | None = "timestamp",
    format: Format = "auto",
    duplicates: Duplicates = "keep",
    min_rating: float | None = None,
    min_user: int = 1,
    min_item: int = 1,
    max_user: int | None = None,
    max_item: int | None = None,
) -> Interactions:
    """Read interactions from a table, a file or a list of histories.

    Rows are sorted by (user, time); ties keep the order of the rows.

    Parameters
    ----------
    source : table, dict, path, glob, or list of lists of items
        Lists have users 0, 1, 2, ...
    time_col : str or None
        Numbers, dates or ISO texts. None, or no column ``timestamp``: the order of rows counts.
    format : {"auto", "table", "recbole", "pairs", "sequences"}
        Form of a text file; auto looks at suffix and first lines.
    duplicates : {"keep", "first", "last"}
        Which of repeated (user, item) rows stay.
    min_rating : float or None
        Rows with a smaller ``rating`` are left out.
    min_user, min_item, max_user, max_item : int
        Users and items with fewer or more events are left out, again and again until all fit.

    Raises
    ------
    DataError
        A column is missing, an id is null, a time is not finite, or nothing is left.
    """
    table = _table(source, format, user_col, item_col)
    frames.require_columns(table, {user_col: "user_col", item_col: "item_col"})
    if min_rating is not None:
        frames.require_columns(table, ["rating"])
        table = table.filter(pl.col("rating") >= min_rating)
    if table.height == 0:
        raise DataError("the table has no rows" + (" left." if min_rating is not None else "."))
    users, items, flat = _sorted_events(table, user_col, item_col, time_col)
    if duplicates != "keep":
        flat = flat.without_duplicates(duplicates, len(items))
    return _assemble(users, items, flat.core(min_user, min_item, max_user, max_item))


def _sorted_events(
    table: pl.DataFrame, user_col: str, item_col: str, time_col: str | None
) -> tuple[Ids, Ids, "_Flat"]:
    """Give users and items numbers, and sort the events by user and time."""
    times = _times(table, time_col)
    in_time = (
        None if times is None or _is_sorted(times) else _small(np.argsort(times, kind="stable"))
    )
    users, user = _numbered(id_series(table[user_col], user_col), in_time)
    items, item = _numbered(id_series(table[item_col], item_col), in_time)
    order = _order(user, in_time)
    return users, items, _Flat(user[order], item[order], None if times is None else times[order])


def _assemble(users: Ids, items: Ids, flat: "_Flat") -> Interactions:
    """Give the users and items that are left numbers in their former order."""
    if len(flat.user) == 0:
        raise DataError(
            "no interaction is left after the filters; lower min_user, min_item or min_rating."
        )
    user_counts = np.bincount(flat.user, minlength=len(users))
    item_counts = np.bincount(flat.item, minlength=len(items))
    kept_users, kept_items = np.flatnonzero(user_counts), np.flatnonzero(item_counts)
    number = np.zeros(len(items), dtype=np.int32)
    number[kept_items] = np.arange(1, len(kept_items) + 1, dtype=np.int32)
    offsets = np.zeros(len(kept_users) + 1, dtype=np.int64)
    np.cumsum(user_counts[kept_users], out=offsets[1:])
    return Interactions(
        users=users if len(kept_users) == len(users) else Ids(users.take(kept_users)),
        items=items if len(kept_items) == len(items) else Ids(items.take(kept_items)),
        sequence=number[flat.item],
        offsets=offsets,
        times=flat.times,
    )


@dataclass(frozen=True)
class _Flat:
    """Events sorted by user and time, before ids are renumbered."""

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    times: NDArray[Any] | None

    def keep(self, rows: NDArray[Any]) -> "_Flat":
        times = None if self.times is None else self.times[rows]
        return replace(self, user=self.user[rows], item=self.item[rows], times=times)

    def without_duplicates(self, which: Duplicates, n_items: int) -> "_Flat":
        pair = self.user.astype(np.int64) * n_items + self.item
        if which == "first":
            rows = np.unique(pair, return_index=True)[1]
        else:
            rows = len(pair) - 1 - np.unique(pair[::-1], return_index=True)[1]
        return self.keep(np.sort(rows))

    def core(
        self, min_user: int, min_item: int, max_user: int | None, max_item: int | None
    ) -> "_Flat":
        flat = self
        while len(flat.user):
            good = _within(flat.user, min_user, max_user) & _within(flat.item, min_item, max_item)
            if good.all():
                break
            flat = flat.keep(good)
        return flat


def _numbered(
    ids: pl.Series, in_time: NDArray[np.integer[Any]] | None
) -> tuple[Ids, NDArray[np.int32]]:
    """Give ids numbers in order of their first event, so that the order of rows does not matter."""
    found, codes = encode(ids)
    if in_time is None:
        return found, codes
    first = np.empty(len(found), dtype=np.int32)
    # Of repeated places the last assignment stays, so the events are walked backwards.
    first[codes[in_time[::-1]]] = np.arange(len(codes) - 1, -1, -1, dtype=np.int32)
    order = np.argsort(first)
    number = np.empty(len(found), dtype=np.int32)
    number[order] = np.arange(len(found), dtype=np.int32)
    return Ids(found.take(order)), number[codes]


def _small(order: NDArray[np.int64]) -> NDArray[np.integer[Any]]:
    """Return an order in half the memory where the rows can be counted so."""
    return order.astype(np.int32) if len(order) < 2**31 else order


def _is_sorted(times: NDArray[Any]) -> bool:
    return bool((times[1:] >= times[:-1]).all())


def _within(codes: NDArray[np.int32], low: int, high: int | None) -> NDArray[np.bool_]:
    """Say of each row whether its code occurs from low to high times: (n,)."""
    counts = np.bincount(codes)
    good = counts >= low
    if high is not None:
        good &= counts <= high
    return good[codes]


def _order(
    user: NDArray[np.int32], in_time: NDArray[np.integer[Any]] | None
) -> NDArray[np.integer[Any]]:
    """Return the stable order by (user, time): (n,)."""
    if in_time is None:
        return np.argsort(user, kind="stable")
    return in_time[np.argsort(user[in_time], kind="stable")]


def _times(table: pl.DataFrame, time_col: str | None) -> NDArray[Any] | None:
    """Return numbers as they are, dates in microseconds; None where the order of rows counts."""
    if time_col is None or (time_col == "timestamp" and time_col not in table.columns):
        return None
    stamps = frames.times(table, time_col)
    if isinstance(stamps.dtype, pl.Datetime):
        stamps = stamps.dt.epoch("us")
    return stamps.to_numpy()


def _table(source: Any, format: Format, user_col: str, item_col: str) -> pl.DataFrame:
    if isinstance(source, list | tuple) and not isinstance(source, str):
        return _from_lists(source)
    path = Path(source) if isinstance(source, str | Path) and str(source) != "-" else None
    if path is not None and not set("*?[") & set(path.name):
        kind = sniff(path) if format == "auto" else format
        readers = {"recbole": read_atomic, "pairs": read_pairs, "sequences": read_sequences}
        if kind in readers:
            return readers[kind](path)
    is_text = path is None or any(suffix in TEXT_SUFFIXES for suffix in path.suffixes)
    ids = (user_col, item_col) if isinstance(source, str | Path) and is_text else ()
    return frames.read(source, text_columns=ids)[0]


def _from_lists(histories: Any) -> pl.DataFrame:
    lengths = [len(history) for history in histories]
    flat = [item for history in histories for item in history]
    users = np.repeat(np.arange(len(lengths)), lengths)
    return pl.DataFrame({"user_id": users, "item_id": pl.Series("item_id", flat, strict=False)})
