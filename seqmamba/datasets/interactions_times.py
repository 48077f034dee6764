"""Times of interactions as sortable numbers."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.errors import DataError

__all__ = ["time_values"]


def time_values(column: pl.Series) -> NDArray[Any]:
    """Return times as int64 (integers; dates in microseconds of UTC) or float64.

    Raises
    ------
    DataError
        A time is missing, not finite, not a time, or only some carry a time zone; column, row and
        value are named.
    """
    if column.null_count():
        raise _error(column, int(column.is_null().arg_true()[0]), "has no time")
    if column.dtype.is_integer():
        return column.cast(pl.Int64).to_numpy()
    if column.dtype.is_float():
        strange = ~column.is_finite()
        if strange.any():
            raise _error(column, int(strange.arg_true()[0]), "has a time that is not finite")
        return column.cast(pl.Float64).to_numpy()
    if column.dtype.is_temporal():
        return column.cast(pl.Datetime("us")).dt.epoch("us").to_numpy()
    return _from_text(column.cast(pl.String))


def _from_text(column: pl.Series) -> NDArray[Any]:
    numbers = column.cast(pl.Float64, strict=False)
    if numbers.null_count() == 0:
        return time_values(numbers.alias(column.name))
    zoned = column.str.contains(r"(?:Z|[+-]\d\d:?\d\d)$")
    if zoned.any() and not zoned.all():
        row = int((zoned != zoned[0]).arg_true()[0])
        raise _error(column, row, f"and row 1 ({column[0]!r}) mix times with and without a zone")
    parsed = _parse_dates(column, bool(zoned.all()))
    broken = parsed.is_null()
    if broken.any():
        raise _error(column, int(broken.arg_true()[0]), "has a time that does not parse")
    return parsed.dt.epoch("us").to_numpy()


def _parse_dates(column: pl.Series, zoned: bool) -> pl.Series:
    if zoned:
        text = column.str.replace(r"Z$", "+00:00")
        for form in ("%Y-%m-%dT%H:%M:%S%.f%:z", "%Y-%m-%d %H:%M:%S%.f%:z"):
            parsed = text.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False)
            if parsed.null_count() < len(parsed):
                return parsed
        return parsed
    text = column.str.replace("T", " ", literal=True)
    whole_days = text.str.len_chars() <= 10
    if whole_days.all():
        return text.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
    return text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)


def _error(column: pl.Series, row: int, what: str) -> DataError:
    value = column[row]
    return DataError(
        f"row {row + 1} of column {column.name!r} ({value!r}) {what}; "
        "give finite numbers, dates or ISO texts of one kind in every row.",
        column=column.name,
        where=f"row {row + 1}",
        value=np.nan if value is None else value,
    )
