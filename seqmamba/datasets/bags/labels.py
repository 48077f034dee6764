"""What is known of each bag: label, group (patient), split, time and event."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba import frames
from seqmamba.datasets.bags.files import bag_name
from seqmamba.errors import DataError

__all__ = ["Labels", "read_labels"]

IDS = ("bag_id", "slide_id")
NAMES = {  # our name: the names that label tables give it
    "label": ("label",),
    "group": ("group", "case_id", "patient", "patient_id"),
    "split": ("split",),
    "time": ("time", "survival_months"),
    "event": ("event",),
    "censored": ("censored", "censorship"),
}


@dataclass(frozen=True)
class Labels:
    """Columns in the order of the bags; None = not given."""

    label: NDArray[Any] | None = None
    group: NDArray[Any] | None = None
    split: NDArray[Any] | None = None
    time: NDArray[np.float64] | None = None
    event: NDArray[np.bool_] | None = None

    def with_label(self, values: Any) -> "Labels":
        """Return a copy with other labels."""
        return replace(self, label=np.asarray(values))


def read_labels(source: Any, ids: Sequence[str], *, complete: bool = True) -> Labels:
    """Read a label table and bring it into the order of the bags.

    Parameters
    ----------
    source : path or table
        ``bag_id`` or ``slide_id`` (a slide's suffix is dropped), and some of ``label``,
        ``group`` or ``case_id``, ``split``, ``time`` or ``survival_months``, ``event``,
        ``censored`` or ``censorship``.
    ids : sequence of str
        Of the bags.
    complete : bool
        False: a label without a bag is no error (a table of all slides, a folder of some).

    Raises
    ------
    DataError
        An id is missing on either side, is repeated, or a value is missing; names it.
    """
    table, _ = frames.read(source, text_columns=(*IDS, *NAMES["group"]))
    key = next((name for name in IDS if name in table.columns), None)
    if key is None:
        raise DataError(
            f"the labels have no column bag_id or slide_id. Columns: {', '.join(table.columns)}.",
            column="bag_id",
        )
    known = [bag_name(str(name)) for name in table[key]]
    row_of = {name: row for row, name in enumerate(known)}
    if len(row_of) < len(known):
        twice = next(name for i, name in enumerate(known) if row_of[name] != i)
        raise DataError(
            f"the labels name bag {twice!r} twice; keep one row.", column=key, value=twice
        )
    _compare(known, ids, key, complete)
    rows = [row_of[name] for name in ids]
    return _columns(table[rows])


def _compare(known: Sequence[str], ids: Sequence[str], key: str, complete: bool) -> None:
    labelled, present = set(known), set(ids)
    for name in ids:
        if name not in labelled:
            raise DataError(
                f"bag {name!r} has no label; add a row with {key} {name!r} or remove the bag.",
                column=key,
                where=f"bag {name}",
            )
    for name in known if complete else ():
        if name not in present:
            raise DataError(
                f"there is no bag for the label of {name!r}: its features are missing. "
                "Add them or remove the row.",
                column=key,
                where=f"bag {name}",
            )


def _columns(table: pl.DataFrame) -> Labels:
    found = {}
    for name, spellings in NAMES.items():
        column = next((spelling for spelling in spellings if spelling in table.columns), None)
        if column is None:
            continue
        values = table[column]
        if name != "split" and values.null_count():
            row = int(values.is_null().arg_true()[0])
            bag = next((table[key][row] for key in IDS if key in table.columns), row)
            raise DataError(f"bag {bag!r} has no {column}.", column=column, where=f"bag {bag}")
        found[name] = values.to_numpy()
    if "censored" in found:
        found["event"] = ~_flags(found.pop("censored"), "censored")
    elif "event" in found:
        found["event"] = _flags(found["event"], "event")
    if "time" in found:
        found["time"] = found["time"].astype(np.float64)
    return Labels(**found)


def _flags(values: NDArray[Any], name: str) -> NDArray[np.bool_]:
    wrong = ~np.isin(values, (0, 1))
    if wrong.any():
        value = values[wrong].tolist()[0]
        raise DataError(f"column {name!r} holds {value!r}; 0 and 1 are expected.", column=name)
    return values.astype(bool)
