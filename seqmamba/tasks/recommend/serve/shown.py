"""Which items may be shown: to everybody, or to each user alone."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba import frames
from seqmamba.datasets.interactions.ids import Ids
from seqmamba.errors import DataError
from seqmamba.tasks.recommend.serve.questions import Asked, item_codes

__all__ = ["Shown", "shown_items"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Shown:
    """Items that may be shown.

    Parameters
    ----------
    columns : array (C,) int64
        Places 0..V-1 of the items that anybody may see, ascending.
    pairs : (array, array) or None
        (question, item place) that alone may be shown; None = no such limit.
    hides_seen : bool
        Leave out the items of the history.
    """

    columns: Ints
    pairs: tuple[Ints, Ints] | None = None
    hides_seen: bool = True


def shown_items(
    asked: Asked,
    known: Ids,
    *,
    candidates: Any,
    exclude: Any,
    hidden: Ints,
    hides_seen: bool,
    user_col: str,
    item_col: str,
) -> Shown:
    """Read candidate and exclusion lists.

    Parameters
    ----------
    candidates : list, column, table or file of items, table with users too, or None
    exclude : list, column, table or file of items, or None
    hidden : array of int64
        Places of items that are not recommended yet.

    Raises
    ------
    DataError
        None of the candidates, or of the excluded items, is known.
    """
    columns, pairs = np.arange(len(known)), None
    if candidates is not None:
        is_list = isinstance(candidates, list | tuple | np.ndarray | pl.Series)
        table = None if is_list else frames.read(candidates)[0]
        if table is not None and user_col in table.columns:
            frames.require_columns(table, {item_col: "item_col"})
            pairs = _pairs(asked, known, table[user_col], table[item_col])
            columns = np.unique(pairs[1])
        else:
            named = candidates if table is None else table
            columns = np.unique(item_codes(named, item_col, known, "candidates"))
    if exclude is not None:
        codes = item_codes(exclude, item_col, known, "excluded items")
        columns = np.setdiff1d(columns, codes)
    return Shown(np.setdiff1d(columns, hidden), pairs, hides_seen)


def _pairs(asked: Asked, known: Ids, users: pl.Series, items: pl.Series) -> tuple[Ints, Ints]:
    """Return (question, item place) of a table of candidates per user."""
    codes = known.codes(items)
    if not (codes >= 0).any():
        raise DataError(
            f"none of the {len(items)} candidates is known to the model (first: {items[0]!r}).",
            column=items.name,
            value=items[0],
        )
    questions = pl.DataFrame({"id": asked.ids.cast(pl.String)}).with_row_index("question")
    wanted = pl.DataFrame({"id": users.cast(pl.String), "item": codes})
    joined = wanted.filter(pl.col("item") >= 0).join(questions, on="id")
    return joined["question"].cast(pl.Int64).to_numpy(), joined["item"].to_numpy()
