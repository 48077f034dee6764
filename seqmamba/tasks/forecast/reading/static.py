"""Static covariates of series: numbers standardised, categories as one column per value."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba import frames
from seqmamba.errors import ConfigError, DataError
from seqmamba.params import nearest

__all__ = ["encode_static", "learn_static", "refuse_unknown"]


def learn_static(static_df: Any, id_col: str, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return how each column is to be encoded: JSON-serialisable, one entry per column.

    Raises
    ------
    DataError
        The table or a column is missing.
    """
    frame = _read(static_df, id_col, columns)
    encodings: list[dict[str, Any]] = []
    for name in columns:
        column = frame[name]
        if column.dtype.is_numeric():
            values = column.cast(pl.Float64).drop_nulls().drop_nans()
            mean, deviation = values.mean() or 0.0, values.std(ddof=0) or 1.0
            encodings.append({"name": name, "center": mean, "scale": deviation})
        else:
            known = column.cast(pl.String).drop_nulls().unique().sort().to_list()
            encodings.append({"name": name, "values": known})
    return encodings


def encode_static(
    static_df: Any, id_col: str, ids: Sequence[str], encodings: Sequence[dict[str, Any]]
) -> NDArray[np.float32]:
    """Return the features of each series: (len(ids), S); unknown categories are all zero.

    Raises
    ------
    DataError
        A series has no row.
    """
    frame = _read(static_df, id_col, [e["name"] for e in encodings])
    wanted = pl.DataFrame({id_col: list(ids)}, schema={id_col: pl.String})
    joined = wanted.join(frame, on=id_col, how="left", maintain_order="left")
    absent = set(ids) - set(frame[id_col].to_list())
    if absent:
        raise DataError(
            f"static_df has no row for {len(absent)} series; first: {min(absent)!r}. Add them, or "
            "fit without stat_exog.",
            column=id_col,
            where=min(absent),
        )
    parts = [_encode(joined[e["name"]], e) for e in encodings]
    return np.concatenate(parts, axis=1).astype(np.float32)


def refuse_unknown(method: str, tables: Mapping[str, Any]) -> None:
    """Raise :class:`ConfigError` for tables that no forecaster knows."""
    for name in tables:
        hint = nearest(name, ["static_df", "eval_set"])
        raise ConfigError(f"{method} has no argument {name!r}.{hint}")


def _encode(column: pl.Series, encoding: dict[str, Any]) -> NDArray[np.float64]:
    if "values" not in encoding:
        values = column.cast(pl.Float64).to_numpy()
        scaled = (values - encoding["center"]) / encoding["scale"]
        return np.nan_to_num(np.asarray(scaled, np.float64))[:, None]
    text = column.cast(pl.String).to_numpy()
    known = np.array(encoding["values"], object)
    return np.asarray(text[:, None] == known[None, :], np.float64)


def _read(static_df: Any, id_col: str, columns: Sequence[str]) -> pl.DataFrame:
    if static_df is None:
        raise DataError(
            f"stat_exog={tuple(columns)!r} needs static_df, a table with the columns {id_col!r} "
            f"and {', '.join(columns)}."
        )
    read, _ = frames.read(static_df)
    frame = read.collect() if isinstance(read, pl.LazyFrame) else read
    for name in (id_col, *columns):
        if name not in frame.columns:
            raise DataError(
                f"static_df has no column {name!r}. Columns: {', '.join(frame.columns)}."
                f"{nearest(name, frame.columns)}",
                column=name,
            )
    frame = frame.with_columns(pl.col(id_col).cast(pl.String))
    if frame[id_col].is_duplicated().any():
        name = frame[id_col].filter(frame[id_col].is_duplicated())[0]
        raise DataError(f"static_df repeats series {name!r}; keep one row each.", column=id_col)
    return frame
