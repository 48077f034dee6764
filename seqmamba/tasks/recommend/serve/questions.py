"""Who is asked for: known users, histories of anybody, and which items may be shown."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba import frames
from seqmamba.datasets.interactions.formats import read_atomic, sniff
from seqmamba.datasets.interactions.ids import Ids, id_series
from seqmamba.datasets.interactions.table import Interactions
from seqmamba.errors import DataError, SeqmambaWarning
from seqmamba.frames import Like
from seqmamba.tasks.recommend.data import History
from seqmamba.tasks.recommend.splits import Queries

__all__ = ["Asked", "ask_histories", "ask_users", "given_answers", "item_codes", "read_ids"]
__all__ += ["translate", "with_titles"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Asked:
    """Users with the items that they are known to have had.

    Parameters
    ----------
    ids : polars.Series (Q,)
    log : History
        Q histories of known items; may be empty.
    like : Like
        Library of the answer.
    """

    ids: pl.Series
    log: History
    like: Like


def ask_users(users: Any, user_col: str, known: Ids, log: History) -> Asked:
    """Look up the stored histories of users; unknown users have an empty one."""
    ids, like = read_ids(users, user_col)
    codes = known.codes(ids)
    counts = np.where(codes >= 0, log.counts[codes.clip(0)], 0)
    begin = log.offsets[:-1][codes.clip(0)]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts)
    sequence = log.sequence[np.repeat(begin, counts) + place]
    return Asked(ids, _plain_log(sequence, offsets, log.n_items), like)


def ask_histories(data: Interactions, items: Ids, like: Like) -> Asked:
    """Translate histories of anybody into known items."""
    known = translate(data, items)
    return Asked(known.users.values, _plain_log(known.sequence, known.offsets, len(items)), like)


def translate(data: Interactions, items: Ids) -> Interactions:
    """Give the items of a table the model's numbers; unknown ones are left out, with a warning."""
    codes = items.codes(data.items.values) + 1  # 0 = unknown
    sequence = codes[data.sequence - 1].astype(np.int32)
    is_known = sequence > 0
    n_lost = int((~is_known).sum())
    if n_lost:
        first = data.items.values[int(data.sequence[np.argmin(is_known)]) - 1]
        warnings.warn(
            f"{n_lost} of {len(sequence)} events have items that the model does not know (first: "
            f"{first!r}); they are left out. update() teaches new items.",
            SeqmambaWarning,
            stacklevel=5,
        )
    counts = np.bincount(data.owners[is_known], minlength=len(data.users))
    return Interactions(
        users=data.users,
        items=items,
        sequence=sequence[is_known],
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        times=None if data.times is None else data.times[is_known],
    )


def given_answers(log: History, users: Ids, answers: Interactions) -> tuple[History, Queries]:
    """Put given answers behind the stored histories of their users; strangers are left out.

    Raises
    ------
    DataError
        No answer belongs to a known user.
    """
    codes = users.codes(answers.users.values)
    asked = np.flatnonzero((codes >= 0) & (answers.counts > 0))
    asked = asked[log.counts[codes[asked]] > 0]
    if len(asked) == 0:
        raise DataError("no row has a known user and a known item; nothing can be evaluated.")
    stored, fresh = log.counts[codes[asked]], answers.counts[asked]
    parts = [
        (log.sequence, log.offsets[codes[asked]], stored),
        (answers.sequence, answers.offsets[asked], fresh),
    ]
    total = stored + fresh
    offsets = np.concatenate([[0], np.cumsum(total)])
    sequence = np.empty(offsets[-1], dtype=np.int32)
    for (source, begin, counts), shift in zip(parts, (0, stored), strict=True):
        owner = np.repeat(np.arange(len(asked)), counts)
        place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        sequence[(offsets[:-1] + shift)[owner] + place] = source[begin[owner] + place]
    joined = History(sequence, offsets, stored, log.n_items)
    return joined, Queries(np.arange(len(asked)), stored, total)


def read_ids(source: Any, column: str) -> tuple[pl.Series, Like]:
    """Read ids from a list, a column, a table or a file with that column."""
    if isinstance(source, Sequence | np.ndarray | pl.Series) and not isinstance(source, str):
        values = source if isinstance(source, pl.Series) else pl.Series(column, list(source))
        return id_series(values, column), Like("polars")
    if hasattr(source, "to_frame") and not hasattr(source, "columns"):  # a pandas column
        source = source.rename(column).to_frame()
    text = (column,) if isinstance(source, str | Path) else ()
    table, like = frames.read(source, text_columns=text)
    frames.require_columns(table, [column])
    return id_series(table[column], column), like


def with_titles(answer: pl.DataFrame, source: Any, item_col: str) -> pl.DataFrame:
    """Put what a table or a RecBole ``.item`` file says of items beside their ids."""
    path = Path(source) if isinstance(source, str | Path) else None
    if path is not None and sniff(path) == "recbole":
        table = read_atomic(path)
    else:
        table = frames.read(source, text_columns=(item_col,) if path is not None else ())[0]
    frames.require_columns(table, {item_col: "item_col"})
    facts = table.unique(item_col, keep="first").with_columns(pl.col(item_col).cast(pl.String))
    key = answer.with_columns(_key=pl.col(item_col).cast(pl.String))
    joined = key.join(facts, left_on="_key", right_on=item_col, how="left", maintain_order="left")
    return joined.drop("_key")


def item_codes(ids: Any, column: str, known: Ids, what: str) -> Ints:
    """Return the places 0..V-1 of items; raise if none of them is known."""
    wanted, _ = read_ids(ids, column)
    codes = known.codes(wanted)
    if len(codes) and not (codes >= 0).any():
        raise DataError(
            f"none of the {len(codes)} {what} is known to the model (first: {wanted[0]!r}); "
            f"known ones look like {known.values[0]!r}.",
            column=column,
            value=wanted[0],
        )
    return codes[codes >= 0]


def _plain_log(sequence: NDArray[np.int32], offsets: Ints, n_items: int) -> History:
    return History(sequence, offsets, np.diff(offsets), n_items)
