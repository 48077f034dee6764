"""Tables of any library become polars frames; answers go back into the caller's library."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl
from narwhals.exceptions import NarwhalsError
from polars.exceptions import PanicException, PolarsError

from seqmamba.errors import DataError

__all__ = ["Like", "from_native", "to_native"]

_INTEGERS = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)

_NUMBERS = (int, float, type(None))


@dataclass(frozen=True)
class Like:
    """Where a table came from, so that the answer can go back there.

    Attributes
    ----------
    library : str
        ``"pandas", "polars", "polars_lazy", "pyarrow", "dict", "numpy", "file"``, or another
        eager library that narwhals knows.
    schema : polars Schema
        Types before ids became text; restored for columns of the same name.
    native_types : mapping
        pandas only: extension types (nullable integers, categories), restored likewise.
    """

    library: str = "polars"
    schema: pl.Schema = field(default_factory=pl.Schema)
    native_types: Mapping[str, Any] = field(default_factory=dict)


def from_native(source: Any) -> tuple[pl.DataFrame, Like]:
    """Return a table of any library as a polars frame, and where it came from.

    Raises
    ------
    DataError
        Unknown type, a column that cannot be represented, or two columns of one name.
    """
    if isinstance(source, pl.LazyFrame):
        return source.collect(), Like("polars_lazy", source.collect_schema())
    if isinstance(source, pl.DataFrame):
        return source, Like("polars", source.schema)
    if isinstance(source, np.ndarray):
        frame = from_array(source)
        return frame, Like("numpy", frame.schema)
    if isinstance(source, Mapping):
        frame = from_columns(source)
        return frame, Like("dict", frame.schema)
    if nw.dependencies.is_pandas_dataframe(source):
        return _from_pandas(source)
    try:
        table = nw.from_native(source, eager_only=True)
    except NarwhalsError as error:
        raise DataError(f"the table cannot be read: {error}") from error
    except TypeError:
        raise DataError(
            f"cannot read a {type(source).__name__}. Pass a path, a pandas, polars or arrow "
            "table, a dict of columns, or an array.",
            value=type(source).__name__,
        ) from None
    frame = _guarded(table.to_polars, source)
    return frame, Like(table.implementation.value, frame.schema)


def to_native(frame: pl.DataFrame, like: Like) -> Any:
    """Return a polars frame as a table of the caller's library."""
    frame = frame.with_columns(
        _restored(column, like.schema[column.name])
        for column in frame.iter_columns()
        if column.dtype == pl.String and column.name in like.schema
    )
    match like.library:
        case "polars" | "file":
            return frame
        case "polars_lazy":
            return frame.lazy()
        case "numpy":
            return frame.to_numpy()
        case "dict":
            return {column.name: column.to_numpy() for column in frame.iter_columns()}
        case "pandas":
            return _to_pandas(frame, like)
        case "pyarrow":
            return frame.to_arrow()
        case _:
            backend = nw.Implementation.from_string(like.library)
            return nw.from_arrow(frame, backend=backend).to_native()  # type: ignore[arg-type]  # eager by construction


def from_array(array: np.ndarray[Any, Any]) -> pl.DataFrame:
    """Return an array (n,), (n, channels) or a structured one as columns ``x0, x1, ...``.

    Raises
    ------
    DataError
        More than two axes, or values that are neither numbers nor text.
    """
    if array.dtype.names:
        return from_columns({name: array[name] for name in array.dtype.names})
    if array.ndim not in (1, 2) or array.dtype.kind not in "biufUMm":
        message = f"an array of shape {array.shape} and type {array.dtype} is no table."
        raise DataError(f"{message} Pass numbers of shape (rows,) or (rows, channels).")
    table = array.reshape(len(array), -1)
    return pl.DataFrame({f"x{i}": np.ascontiguousarray(table[:, i]) for i in range(table.shape[1])})


def from_columns(columns: Mapping[Any, Any]) -> pl.DataFrame:
    """Return a mapping of name to values as a frame; a column at fault is named.

    Raises
    ------
    DataError
        Different lengths, or a column of mixed types.
    """
    series = [_series(str(name), values) for name, values in columns.items()]
    lengths = {column.name: len(column) for column in series}
    if len(set(lengths.values())) > 1:
        short, long = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
        raise DataError(
            f"column {short!r} has {lengths[short]} values, {long!r} has {lengths[long]}. "
            "All columns need one length.",
            column=short,
        )
    return pl.DataFrame(series)


def _series(name: str, values: Any) -> pl.Series:
    try:
        return pl.Series(name, values, strict=True)
    except (PolarsError, PanicException, TypeError, ValueError) as error:
        if isinstance(values, list | tuple) and all(type(v) in _NUMBERS for v in values):
            return pl.Series(name, values, dtype=pl.Float64, strict=False)  # [1, 2.5] is fine
        reason = str(error).strip().split("\n", 1)[0]
        message = f"column {name!r} cannot be read: {reason}. Give it one type."
        raise DataError(message, column=name) from error


def _from_pandas(source: Any) -> tuple[pl.DataFrame, Like]:
    """Named index levels become columns; column labels become text."""
    levels = [name for name in source.index.names if name is not None]
    if levels and not set(levels) & set(source.columns):
        source = source.reset_index(level=levels)
    source = source.set_axis([str(name) for name in source.columns], axis=1)
    repeated = source.columns[source.columns.duplicated()]
    if len(repeated):
        message = f"two columns are both named {repeated[0]!r}. Rename one."
        raise DataError(message, column=repeated[0], value=repeated[0])
    frame = _guarded(lambda: pl.from_pandas(source, include_index=False), source)
    types = {name: kind for name, kind in source.dtypes.items() if not isinstance(kind, np.dtype)}
    return frame, Like("pandas", frame.schema, types)


def _to_pandas(frame: pl.DataFrame, like: Like) -> Any:
    table = frame.to_pandas()
    for column in frame.iter_columns():
        if column.null_count() and column.dtype in (*_INTEGERS, pl.Boolean):
            table[column.name] = _nullable(column)
        known = like.native_types.get(column.name)
        if known is not None and _holds(table[column.name], known):
            table[column.name] = table[column.name].astype(known)
    return table


def _nullable(column: pl.Series) -> Any:
    """Return a pandas array that can hold missing integers and booleans; NumPy's cannot."""
    import pandas as pd  # heavy: only when the answer is a pandas table

    is_boolean = column.dtype == pl.Boolean
    values = column.fill_null(False if is_boolean else 0).to_numpy().copy()
    maker = pd.arrays.BooleanArray if is_boolean else pd.arrays.IntegerArray
    return maker(values, column.is_null().to_numpy().copy())


def _holds(values: Any, kind: Any) -> bool:
    """Say whether a pandas type can hold all values: a category must know them."""
    categories = getattr(kind, "categories", None)
    if categories is not None:
        return bool(values.dropna().isin(categories).all())
    try:
        values.astype(kind)
    except (TypeError, ValueError):
        return False
    return True


def _restored(column: pl.Series, kind: Any) -> pl.Series:
    """Return ids in the type they came in, if every one of them allows it."""
    if not (kind.is_integer() or kind in (pl.Categorical, pl.Enum)):
        return column
    before = column.cast(kind, strict=False)
    spelled_alike = before.cast(pl.String).eq_missing(column).all()  # "007" is no integer's name
    return before if spelled_alike else column


def _guarded(convert: Any, source: Any) -> pl.DataFrame:
    """Run a conversion; if it fails, find the column at fault."""
    try:
        frame: pl.DataFrame = convert()
    except (PolarsError, PanicException, NarwhalsError, TypeError, ValueError) as error:
        for name in source.columns if hasattr(source, "columns") else ():
            from_columns({name: list(source[name])})
        raise DataError(f"the table cannot be read: {error}") from error
    return frame
