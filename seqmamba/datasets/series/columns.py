"""Which column of a table means what: long tables (one row per series and time) and wide ones."""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from seqmamba.errors import DataError
from seqmamba.params import nearest

__all__ = ["Columns", "Roles", "find_roles"]

_TIME_WORDS = ("ds", "date", "time", "timestamp", "datetime", "date_time", "period")


@dataclass(frozen=True)
class Columns:
    """The names that the user gave.

    Parameters
    ----------
    id, time, target : str
    hist, futr : tuple of str
        Historical and known-future covariates.
    group : str or None
        Column whose values part the series into multivariate problems.
    """

    id: str = "unique_id"
    time: str = "ds"
    target: str = "y"
    hist: tuple[str, ...] = ()
    futr: tuple[str, ...] = ()
    group: str | None = None


@dataclass(frozen=True)
class Roles:
    """What was found: a long table, or a wide one with these value columns.

    Parameters
    ----------
    form : {"long", "wide"}
    time : str or None
        None = no time column: rows are numbered from 0 (wide tables only).
    has_id : bool
        False = a long table of a single series.
    values : tuple of str
        Wide tables: one series per column, in the order of the table.
    """

    form: Literal["long", "wide"]
    time: str | None
    has_id: bool = True
    values: tuple[str, ...] = ()


def find_roles(frame: pl.DataFrame, columns: Columns, *, needs_target: bool = True) -> Roles:
    """Say whether a table is long or wide, and which columns hold time and values.

    Raises
    ------
    DataError
        A column that was named is missing, or nothing can be read as series.
    """
    names = frame.columns
    wanted = [*columns.hist, *columns.futr, *([columns.group] if columns.group else [])]
    for name in wanted:
        _require(name, names, "covariate" if name != columns.group else "grouping")
    if columns.id in names:
        _require(columns.time, names, "time", 'time_col="..."')
        if needs_target:
            _require(columns.target, names, "target", 'target_col="..."')
        return Roles("long", columns.time)
    if columns.target in names:
        return Roles("long", _time_column(frame, columns, must=True), has_id=False)
    time = _time_column(frame, columns)
    used = {time, *columns.hist, *columns.futr}
    values = tuple(n for n in names if n not in used and _is_value(frame[n]))
    if not values and not (columns.futr and not needs_target):
        raise DataError(
            f"no column {columns.id!r} (series), and no numeric columns to read as one series "
            f"each. Columns: {_listed(names)}. Pass id_col, time_col and target_col.",
            column=columns.id,
        )
    for name in names:
        if name not in used and name not in values:
            raise DataError(
                f"column {name!r} holds {_kind(frame.schema[name])}, not numbers; a wide table has "
                f"one time column and one numeric column per series. Drop it, or pass "
                f"id_col={name!r} if it names the series.",
                column=name,
            )
    return Roles("wide", time, values=values)


def _require(name: str, names: list[str], role: str, cure: str | None = None) -> None:
    if name in names:
        return
    hint = nearest(name, names)
    cure = f" Pass {cure}." if cure and not hint else ""
    raise DataError(
        f"no column {name!r} ({role}). Columns: {_listed(names)}.{hint}{cure}", column=name
    )


def _time_column(frame: pl.DataFrame, columns: Columns, must: bool = False) -> str | None:
    """Return the named column, else the only temporal one, else one with a usual name."""
    if columns.time in frame.columns:
        return columns.time
    temporal = [n for n, t in frame.schema.items() if t.is_temporal() and t != pl.Duration]
    usual = [n for n in frame.columns if n.lower() in _TIME_WORDS]
    for found in (temporal, usual):
        if found:
            return found[0]
    if must or columns.time != "ds":
        _require(columns.time, frame.columns, "time", 'time_col="..."')
    return None


def _is_value(column: pl.Series) -> bool:
    """Say whether a column holds numbers, or text that mostly spells them (faults come later)."""
    if column.dtype == pl.String:
        return column.head(1_000).cast(pl.Float64, strict=False).null_count() < column.len() / 2
    return column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null)


def _kind(dtype: pl.DataType) -> str:
    return "text" if dtype == pl.String else str(dtype).lower()


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:12])
    return shown if len(names) <= 12 else f"{shown}, ... ({len(names)} in all)"
