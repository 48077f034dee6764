"""Labels of recordings: 0 and 1 per class, codes of diagnoses, or one class per record."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba import frames
from seqmamba.datasets.records.diagnoses import class_of_code
from seqmamba.errors import DataError

__all__ = ["Labels", "codes_to_labels", "read_labels"]

NO_CLASS = ("record", "split", "group", "fold", "age", "fs", "n_leads", "n_samples", "strat_fold")


@dataclass(frozen=True)
class Labels:
    """Labels in the order of the records.

    Parameters
    ----------
    values : array (n, K) of 0, 1 or NaN (unknown)
    classes : tuple of str
    groups : array (n,) or None
        Patients, where the table names them.
    """

    values: NDArray[np.float64]
    classes: tuple[str, ...]
    groups: NDArray[Any] | None = None


def read_labels(source: Any, names: Sequence[str], classes: Sequence[str] | None = None) -> Labels:
    """Read a label table and put it in the order of the records.

    Parameters
    ----------
    source : path, table or array
        ``record`` and one column per class of 0, 1 or empty; or ``record, dx`` with codes
        separated by ``|`` or ``,``; other columns are ignored. Without ``record`` the rows are in
        the order of the records. An array is (n, K).
    names : sequence of str
        Records.
    classes : sequence of str or None
        Classes of a fitted model; None = those of the table.

    Raises
    ------
    DataError
        A record has no labels, a class is missing, or a label is neither 0, 1 nor empty.
    """
    if isinstance(source, np.ndarray | list | tuple):
        return _of_array(np.asarray(source, dtype=np.float64), names, classes)
    table, _ = frames.read(source, text_columns=("record", "dx", "group"))
    table = _in_order(table, names)
    groups = table["group"].to_numpy() if "group" in table.columns else None
    if "dx" in table.columns:
        texts = table["dx"].cast(pl.String).fill_null("").to_list()
        return _of_codes([re.split(r"[|,;\s]+", text) for text in texts], classes, groups)
    chosen = list(classes) if classes is not None else _class_columns(table)
    missing = [name for name in chosen if name not in table.columns]
    if missing:
        raise DataError(
            f"the labels lack the classes {', '.join(missing[:10])}. Columns: "
            f"{', '.join(table.columns[:30])}.",
            column=missing[0],
        )
    if not chosen:
        raise DataError(f"no column of 0 and 1. Columns: {', '.join(table.columns)}.")
    values = table.select(pl.col(chosen).cast(pl.Float64)).to_numpy()
    return Labels(_checked(values, chosen), tuple(chosen), groups)


def codes_to_labels(codes: Sequence[Sequence[str]], classes: Sequence[str] | None = None) -> Labels:
    """Turn codes of diagnoses, as headers hold them, into labels; unknown codes are ignored."""
    return _of_codes(codes, classes, None)


def _of_codes(
    codes: Sequence[Sequence[str]],
    classes: Sequence[str] | None,
    groups: NDArray[Any] | None,
) -> Labels:
    found = [{class_of_code(code) for code in row if code.strip()} for row in codes]
    if classes is None:
        classes = sorted(set().union(*found))
        if not classes:
            raise DataError("no record has a diagnosis. Pass a table of labels.")
    values = np.array([[float(name in row) for name in classes] for row in found])
    return Labels(values.reshape(len(found), len(classes)), tuple(classes), groups)


def _of_array(
    values: NDArray[np.float64], names: Sequence[str], classes: Sequence[str] | None
) -> Labels:
    if values.ndim != 2 or len(values) != len(names):
        raise DataError(
            f"labels of shape {values.shape} for {len(names)} records; expected (n, classes)."
        )
    chosen = tuple(str(k) for k in range(values.shape[1])) if classes is None else tuple(classes)
    if values.shape[1] != len(chosen):
        raise DataError(f"{values.shape[1]} columns of labels for {len(chosen)} classes.")
    return Labels(_checked(values, chosen), chosen)


def _in_order(table: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    if "record" not in table.columns:
        if table.height != len(names):
            raise DataError(
                f"{table.height} rows of labels for {len(names)} records. Name the records in a "
                "column 'record'.",
                column="record",
            )
        return table
    row_of = {name: row for row, name in enumerate(table["record"])}
    lost = [name for name in names if name not in row_of]
    if lost:
        known = ", ".join(list(row_of)[:3])
        raise DataError(
            f"{len(lost)} records have no labels; first: {lost[0]!r}. The table names {known}, …",
            column="record",
            where=lost[0],
        )
    return table[[row_of[name] for name in names]]


def _class_columns(table: pl.DataFrame) -> list[str]:
    """Return the columns of nothing but 0, 1 and empty cells."""
    chosen = []
    for name, kind in table.schema.items():
        if name in NO_CLASS or not (kind.is_numeric() or kind == pl.Boolean):
            continue
        if table[name].cast(pl.Float64).fill_nan(None).drop_nulls().is_in([0.0, 1.0]).all():
            chosen.append(name)
    return chosen


def _checked(values: NDArray[np.float64], classes: Sequence[str]) -> NDArray[np.float64]:
    odd = np.argwhere(~(np.isnan(values) | (values == 0) | (values == 1)))
    if len(odd):
        row, column = odd[0]
        raise DataError(
            f"class {classes[column]!r} of row {row + 1} is {values[row, column]:g}; expected 0, "
            "1 or empty.",
            column=classes[column],
            value=values[row, column],
        )
    return values
