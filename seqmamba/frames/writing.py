"""Answers leave as a table of the caller's library, or as a file written in one step."""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

from seqmamba.errors import DataError
from seqmamba.frames.compressed import CODECS
from seqmamba.frames.like import Like, to_native
from seqmamba.storage.atomic import write_atomic

__all__ = ["write"]

# A spreadsheet runs a cell that starts like this as a formula, unless it is a plain number.
_FORMULA = r"^[=+\-@\t\r]"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"


def write(table: pl.DataFrame | pl.LazyFrame, like_or_path: Like | str | os.PathLike[str]) -> Any:
    """Give a table back in the caller's library, or write it to a file.

    Parameters
    ----------
    table : polars DataFrame or LazyFrame
    like_or_path : Like, path or "-"
        What :func:`~seqmamba.frames.read` returned (the answer of a file is a polars frame), or
        a path ``.csv .tsv .parquet .feather .json .npz .npy`` (text and JSON also with ``.gz`` or
        ``.zst``), or ``"-"`` for CSV on standard output.

    Returns
    -------
    table, or None if it went to a file
        Ids come back in the type they had. In delimited text, a text cell that a spreadsheet
        would run as a formula (``= + - @`` at its start) gets a leading apostrophe.

    Raises
    ------
    DataError
        Unknown suffix, or a column that the format cannot hold.
    CheckpointError
        The file could not be written; a former file is intact.

    Examples
    --------
    >>> frame = pl.DataFrame({"y": [1.5]})
    >>> write(frame, Like("dict", frame.schema))
    {'y': array([1.5])}
    """
    frame = table.collect() if isinstance(table, pl.LazyFrame) else table
    if isinstance(like_or_path, Like):
        return to_native(frame, like_or_path)
    if os.fspath(like_or_path) == "-":
        sys.stdout.write(_csv(frame, ",").decode())
        return None
    path = Path(like_or_path)
    packed = path.suffix.lower() if path.suffix.lower() in CODECS else ""
    suffix = Path(path.stem).suffix.lower() if packed else path.suffix.lower()
    if suffix not in _WRITERS or (packed and suffix not in (".csv", ".tsv", ".json")):
        raise DataError(f"cannot write {path}: known suffixes are {' '.join(_WRITERS)}.")
    try:
        content = _WRITERS[suffix](frame)
    except (pl.exceptions.PolarsError, pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(f"{path} cannot hold this table: {error}.", where=str(path)) from error
    write_atomic(path, _packed(content, CODECS[packed]) if packed else content)
    return None


def _csv(frame: pl.DataFrame, separator: str) -> bytes:
    texts = [name for name, kind in frame.schema.items() if kind in (pl.String, pl.Categorical)]
    texts += [name for name, kind in frame.schema.items() if isinstance(kind, pl.Enum)]
    frame = frame.with_columns(_harmless(frame.get_column(name)) for name in texts)
    frame.columns = _harmless(pl.Series(frame.columns, dtype=pl.String)).to_list()
    return frame.write_csv(separator=separator).encode()


def _harmless(column: pl.Series) -> pl.Series:
    text = column.cast(pl.String)
    runs = text.str.contains(_FORMULA) & ~text.str.contains(_NUMBER)
    if not runs.any():
        return text
    return pl.select(
        pl.when(runs).then(pl.concat_str(pl.lit("'"), text)).otherwise(text).alias(column.name)
    ).to_series()


def _parquet(frame: pl.DataFrame) -> bytes:
    """Write through Arrow, which adds the page checksums that let a reader notice damage."""
    sink = io.BytesIO()
    pa.parquet.write_table(frame.to_arrow(), sink, write_page_checksum=True, compression="zstd")
    return sink.getvalue()


def _feather(frame: pl.DataFrame) -> bytes:
    sink = io.BytesIO()
    pa.feather.write_feather(frame.to_arrow(), sink, compression="zstd")
    return sink.getvalue()


def _npz(frame: pl.DataFrame) -> bytes:
    sink = io.BytesIO()
    columns = {column.name: _array(column) for column in frame.iter_columns()}
    np.savez(sink, allow_pickle=False, **columns)
    return sink.getvalue()


def _npy(frame: pl.DataFrame) -> bytes:
    sink = io.BytesIO()
    np.save(sink, _plain(frame.to_numpy(), "the table"), allow_pickle=False)
    return sink.getvalue()


def _array(column: pl.Series) -> np.ndarray[Any, Any]:
    text = column.dtype in (pl.String, pl.Categorical) or isinstance(column.dtype, pl.Enum)
    if text and not column.null_count():
        return np.asarray(column.cast(pl.String).to_list(), dtype=np.str_)
    return _plain(column.to_numpy(), f"column {column.name!r}")


def _plain(array: np.ndarray[Any, Any], what: str) -> np.ndarray[Any, Any]:
    if array.dtype == object:
        raise ValueError(f"{what} is neither numbers nor text without gaps")
    return array


def _packed(content: bytes, codec: str) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, codec) as stream:
        stream.write(content)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


_WRITERS: dict[str, Callable[[pl.DataFrame], bytes]] = {
    ".csv": lambda frame: _csv(frame, ","),
    ".tsv": lambda frame: _csv(frame, "\t"),
    ".parquet": _parquet,
    ".feather": _feather,
    ".json": lambda frame: frame.write_json().encode(),
    ".npz": _npz,
    ".npy": _npy,
}
