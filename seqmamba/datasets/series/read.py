"""A table of series, long or wide, as a panel."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba import frames
from seqmamba.datasets.series.columns import Columns, Roles, find_roles
from seqmamba.datasets.series.frequency import Frequency, Int64
from seqmamba.datasets.series.grid import Gaps, Grouping, group_records, group_wide
from seqmamba.datasets.series.infer import infer_frequency
from seqmamba.datasets.series.panel import Panel
from seqmamba.datasets.series.records import Duplicates, Records
from seqmamba.errors import DataError

__all__ = ["ReadOptions", "read_panel", "read_records"]

SINGLE = "y"  # id of the series of a table without ids


@dataclass(frozen=True)
class ReadOptions:
    """How a table becomes a panel.

    Parameters
    ----------
    grouping : {"auto", "all", "each", "column"}
        "column" follows ``Columns.group``.
    frequency : Frequency, str, int or "infer"
    gaps : {"fill", "error"}
        What to do with stamps that are missing inside a series.
    duplicates : {"error", "first", "last", "mean"}
    na_values : tuple of float
        Numbers that stand for a missing cell.
    shared : (bool, bool) or None
        Whether covariates have one column per group; see :class:`Panel`. None = find out.
    last : int or None
        Only the last rows are needed, if the series are the ``known`` ones.
    known : tuple of str
    """

    grouping: Grouping = "auto"
    frequency: Frequency | str | int = "infer"
    gaps: Gaps = "fill"
    duplicates: Duplicates = "error"
    na_values: tuple[float, ...] = ()
    shared: tuple[bool, bool] | None = None
    last: int | None = None
    known: tuple[str, ...] = ()


def read_panel(
    frame: pl.DataFrame, columns: Columns, options: ReadOptions | None = None
) -> tuple[Panel, Roles]:
    """Read a long or wide table; the same content gives the same panel in either form.

    Raises
    ------
    DataError
        The table is empty, lacks a column, repeats a key, leaves its grid, holds infinities.
    """
    options = options or ReadOptions()
    if frame.height == 0:
        raise DataError("the table has no rows. Pass at least one row per series.")
    roles = find_roles(frame, columns)
    if roles.form == "wide":
        panel = _read_wide(frame, columns, roles, options)
        if panel is not None:
            return panel, roles
    records, groups = read_records(frame, columns, roles, options)
    named = roles.time or columns.time  # the column as the table has it, for messages
    frequency = _frequency(options, records.stamps, records.codes, records.ids, named)
    return group_records(records, groups, frequency, columns, options), roles


def _read_wide(
    frame: pl.DataFrame, columns: Columns, roles: Roles, options: ReadOptions
) -> Panel | None:
    """Read a wide table as one group without going through rows; None if that cannot serve."""
    if options.grouping not in ("auto", "all") or columns.group is not None:
        return None
    if options.grouping == "auto" and len(roles.values) > 2_000:
        return None
    stamps = _stamps(frame, roles.time)
    order = None if stamps.is_sorted() else stamps.arg_sort().to_numpy().astype(np.int64)
    if order is not None:
        stamps, frame = stamps[order], frame[order]
    ids = tuple(sorted(roles.values))
    zeros = np.zeros(len(stamps), np.int64)
    frequency = _frequency(options, stamps, zeros, (ids[0],), roles.time or columns.time)
    if options.last is not None and options.last < frame.height and ids == options.known:
        stamps, frame = stamps.tail(options.last), frame.tail(options.last)
    values = _numbers(frame, [*ids, *columns.hist, *columns.futr], options.na_values)
    appearance = np.array([ids.index(name) for name in roles.values])
    return group_wide(stamps, values, ids, appearance, frequency, columns, options)


def read_records(
    frame: pl.DataFrame, columns: Columns, roles: Roles, options: ReadOptions
) -> tuple[Records, tuple[str, ...]]:
    """Return the rows of a table in long form, and the group of each series."""
    values = [columns.target, *columns.hist, *columns.futr]
    if roles.form == "wide":
        rest = [*columns.hist, *columns.futr]
        if roles.time is None:
            frame = frame.with_row_index(columns.time)
            roles = Roles("wide", columns.time, values=roles.values)
        assert roles.time is not None
        frame = frame.unpivot(
            on=list(roles.values),
            index=[roles.time, *rest],
            variable_name=columns.id,
            value_name=columns.target,
        )
    names = _ids(frame, columns.id, roles.has_id)
    unique = names.unique(maintain_order=True)
    ids = tuple(sorted(unique.to_list()))
    place = {name: k for k, name in enumerate(ids)}
    appearance = np.array([place[name] for name in unique.to_list()], np.int64)
    codes = appearance[names.rle_id().to_numpy()] if _is_grouped(names, unique) else None
    if codes is None:
        known = pl.Enum(ids)
        codes = names.cast(known).to_physical().to_numpy().astype(np.int64)
    groups = _groups(frame, columns.group, codes, ids) if columns.group else ()
    records = Records(
        codes=codes,
        stamps=_stamps(frame, roles.time),
        values=_numbers(frame, [v for v in values if v in frame.columns], options.na_values),
        ids=ids,
        appearance=appearance,
        rows=np.arange(frame.height),
    )
    return records, groups


def _is_grouped(names: pl.Series, unique: pl.Series) -> bool:
    """Say whether the rows of each series stand together."""
    return int(names.rle_id()[-1]) + 1 == len(unique)


def _ids(frame: pl.DataFrame, column: str, has_id: bool) -> pl.Series:
    if not has_id:
        return pl.repeat(SINGLE, frame.height, dtype=pl.String, eager=True)
    names = frame[column].cast(pl.String)
    if names.null_count():
        row = int(names.is_null().arg_max() or 0)
        raise DataError(
            f"{names.null_count()} rows have no series name in {column!r}; first: row {row + 1}. "
            "Name them or drop them.",
            column=column,
        )
    return names


def _groups(
    frame: pl.DataFrame, column: str, codes: Int64, ids: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the group of each series; a series lies in one group."""
    labels = frame[column].cast(pl.String).fill_null("").to_numpy()
    group = np.empty(len(ids), object)
    group[codes] = labels
    wrong = np.flatnonzero(group[codes] != labels)
    if len(wrong):
        name = ids[int(codes[wrong[0]])]
        raise DataError(
            f"series {name!r} lies in two groups of {column!r}: {labels[wrong[0]]!r} (row "
            f"{int(wrong[0]) + 1}) and {group[codes[wrong[0]]]!r}. A series needs one group.",
            column=column,
        )
    return tuple(str(g) for g in group)


def _stamps(frame: pl.DataFrame, column: str | None) -> pl.Series:
    if column is None:
        return pl.int_range(frame.height, eager=True)
    stamps = frames.times(frame, column)
    if stamps.dtype.is_float():
        raise DataError(
            f"column {column!r} holds fractions; stamps are dates or whole numbers. Convert them.",
            column=column,
        )
    return stamps.cast(pl.Date) if frame.schema[column] == pl.Date else stamps


def _frequency(
    options: ReadOptions, stamps: pl.Series, codes: Int64, ids: tuple[str, ...], column: str
) -> Frequency:
    wanted = options.frequency
    if isinstance(wanted, Frequency):
        _same_clock(wanted, stamps, column)
        return wanted
    if wanted == "infer":
        return infer_frequency(stamps, codes, ids, column)
    found = Frequency.parse(wanted, getattr(stamps.dtype, "time_zone", None))
    _same_clock(found, stamps, column)
    return found


def _same_clock(frequency: Frequency, stamps: pl.Series, column: str) -> None:
    """Refuse dates where integers are expected and the other way round, and other time zones."""
    if stamps.dtype.is_integer() != (frequency.kind == "integer"):
        found = "integers" if stamps.dtype.is_integer() else "dates"
        raise DataError(
            f"column {column!r} holds {found}, but the period is {frequency.label!r}; "
            "pass stamps of the same kind as in fit.",
            column=column,
        )
    zone = getattr(stamps.dtype, "time_zone", None)
    if zone != frequency.time_zone:
        raise DataError(
            f"the stamps of {column!r} are in time zone {zone}, expected {frequency.time_zone}; "
            "convert them.",
            column=column,
        )


def _numbers(
    frame: pl.DataFrame, names: list[str], na_values: tuple[float, ...]
) -> NDArray[np.float64]:
    """Return columns as float64, missing as NaN: (n, len(names))."""
    values = np.empty((frame.height, len(names)))
    for k, name in enumerate(names):  # by column: a query over the frame costs a millisecond
        column = frame.get_column(name)
        values[:, k] = (
            column if column.dtype.is_numeric() else frames.numeric(frame, name)
        ).to_numpy()
    if na_values:
        values = np.where(np.isin(values, na_values), np.nan, values)
    if np.isinf(values).any():
        row, k = (int(i) for i in np.argwhere(np.isinf(values))[0])
        raise DataError(
            f"column {names[k]!r} holds {int(np.isinf(values[:, k]).sum())} infinite values; "
            f"first: row {row + 1}. Replace them by empty cells.",
            column=names[k],
            value=float(values[row, k]),
        )
    return values
