"""Columns that a task needs: present, and numeric where numbers are meant."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import polars as pl

from seqmamba.errors import DataError
from seqmamba.frames.inference import parse_floats, without_null_words
from seqmamba.params import nearest

__all__ = ["numeric", "refuse_infinities", "require_columns"]

_LISTED = 20
_HINTS = (
    (r"^[+-]?\d{1,3}([.' ]\d{3})+(,\d+)?$|^[+-]?\d{1,3}(,\d{3}){2,}", "Remove the separators."),
    (r"^[+-]?\d{1,3},\d{3}$", "Remove the thousand separator, or pass decimal_comma=True."),
    (r"^[+-]?\d*,\d+$", "Pass decimal_comma=True if the comma is the decimal sign."),
)


def require_columns(
    frame: pl.DataFrame | pl.LazyFrame, names: Iterable[str] | Mapping[str, str]
) -> None:
    """Raise if a column is missing.

    Parameters
    ----------
    frame : DataFrame or LazyFrame
    names : iterable of str, or mapping of name to parameter
        With a mapping the message says which parameter names the column, for instance
        ``{"ds": "time_col"}``.

    Raises
    ------
    DataError
        Lists the columns that are there and the nearest name.

    Examples
    --------
    >>> require_columns(pl.DataFrame({"date": [1]}), {"ds": "time_col"})
    Traceback (most recent call last):
    seqmamba.errors.DataError: no column 'ds'. Columns: 'date'. Pass time_col="...".
    """
    present = frame.collect_schema().names()
    for name in names:
        if name in present:
            continue
        listed = ", ".join(repr(known) for known in present[:_LISTED])
        more = f" and {len(present) - _LISTED} more" if len(present) > _LISTED else ""
        cure = f' Pass {names[name]}="...".' if isinstance(names, Mapping) else ""
        hint = nearest(name, present)
        raise DataError(f"no column {name!r}. Columns: {listed}{more}.{hint}{cure}", column=name)


def numeric(
    frame: pl.DataFrame, column: str, *, on_inf: Literal["error", "null"] = "error"
) -> pl.Series:
    """Return a column as Float64; missing values and NaN are null.

    Parameters
    ----------
    frame : DataFrame
    column : str
        Numbers, booleans (0 and 1), or text that spells numbers.
    on_inf : {"error", "null"}

    Returns
    -------
    Series of Float64
        Same length and name.

    Raises
    ------
    DataError
        Names column, row (from 1) and value of the first entry that is not a number.
    """
    require_columns(frame, [column])
    series = frame.get_column(column)
    if series.dtype in (pl.String, pl.Categorical, pl.Enum):
        text = without_null_words(series.cast(pl.String))
        numbers = parse_floats(text)
        wrong = (numbers.is_null() & text.is_not_null()).arg_true()
        if len(wrong):
            raise _not_a_number(column, int(wrong[0]), series[int(wrong[0])])
    elif series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null):
        numbers = series.cast(pl.Float64)
    else:
        message = f"column {column!r} holds {series.dtype}, not numbers."
        raise DataError(message, column=column, value=series.drop_nulls().head(1).to_list())
    infinite = numbers.is_infinite().fill_null(False)
    if infinite.any():
        if on_inf == "error":
            row = int(infinite.arg_true()[0])
            message = f"column {column!r} is infinite at row {row + 1}. Mend or remove it."
            raise DataError(message, column=column, where=f"row {row + 1}", value=numbers[row])
        numbers = numbers.set(infinite, None)
    return numbers.fill_nan(None)


def refuse_infinities(frame: pl.DataFrame, label: str, on_inf: str) -> pl.DataFrame:
    """Refuse infinite values, or make them null."""
    floats = [column for column in frame.iter_columns() if column.dtype.is_float()]
    found = [column for column in floats if column.is_infinite().any()]
    if on_inf == "null":
        return frame.with_columns(column.set(column.is_infinite(), None) for column in found)
    for column in found:
        row = int(column.is_infinite().arg_true()[0])
        where = f"{label}, row {row + 1}"
        raise DataError(
            f"column {column.name!r} is infinite at {where}. Mend it, or pass on_inf='null'.",
            column=column.name,
            where=where,
            value=column[row],
        )
    return frame


def _not_a_number(column: str, row: int, value: Any) -> DataError:
    hint = next((cure for form, cure in _HINTS if re.match(form, str(value).strip())), "Mend it.")
    message = f"column {column!r} holds {value!r} at row {row + 1}, not a number. {hint}"
    return DataError(message, column=column, where=f"row {row + 1}", value=value)
