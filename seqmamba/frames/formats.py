"""Table files that carry their own types: Parquet, Feather, JSON, NumPy."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
from polars.exceptions import PanicException, PolarsError

from seqmamba.errors import DataError
from seqmamba.frames.compressed import ALWAYS_ALLOWED, MAX_RATIO
from seqmamba.frames.like import from_array, from_columns

__all__ = ["READERS"]

Content = Path | bytes


def _parquet(content: Content) -> pl.DataFrame:
    """Read through Arrow, which verifies page checksums where the writer left them."""
    table = pa.parquet.read_table(_source(content), page_checksum_verification=True)
    return _frame(table)


def _feather(content: Content) -> pl.DataFrame:
    return _frame(pa.feather.read_table(_source(content)))


def _frame(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # a table of Arrow gives a frame, an array a series
    return frame


def _json(content: Content) -> pl.DataFrame:
    """Read an array of records, records line by line, or an object of columns."""
    data = content if isinstance(content, bytes) else content.read_bytes()
    text = data.lstrip()
    if text.startswith(b"["):
        return pl.read_json(io.BytesIO(data), infer_schema_length=None)
    first_line = text.split(b"\n", 1)[0].strip()
    if first_line.endswith(b"}") and text.startswith(b"{"):
        first = json.loads(first_line)
        if not all(isinstance(value, list) for value in first.values()):
            return pl.read_ndjson(io.BytesIO(data), infer_schema_length=None)
    columns = json.loads(data)
    if not isinstance(columns, dict):
        raise ValueError("neither records nor columns")
    return from_columns(columns)


def _npy(content: Content) -> pl.DataFrame:
    return from_array(np.load(_stream(content), allow_pickle=False))


def _npz(content: Content) -> pl.DataFrame:
    """Read an archive of one table, or of one-dimensional columns."""
    stream = _stream(content)
    with zipfile.ZipFile(stream) as archive:
        sizes = [(entry.file_size, entry.compress_size) for entry in archive.infolist()]
    if any(size > max(ALWAYS_ALLOWED, MAX_RATIO * packed) for size, packed in sizes):
        raise ValueError("an array unpacks to more than 100 times its size")
    stream.seek(0)
    with np.load(stream, allow_pickle=False) as arrays:
        columns = {name: arrays[name] for name in arrays.files}
    if len(columns) == 1:
        return from_array(next(iter(columns.values())))
    wrong = {name: array.shape for name, array in columns.items() if array.ndim != 1}
    if wrong:
        raise ValueError(f"several arrays must be columns of one axis; shapes: {wrong}")
    return from_columns(columns)


def _stream(content: Content) -> io.BytesIO:
    return io.BytesIO(content if isinstance(content, bytes) else content.read_bytes())


def _source(content: Content) -> Any:
    return io.BytesIO(content) if isinstance(content, bytes) else str(content)


def _guarded(read: Callable[[Content], pl.DataFrame]) -> Callable[[Content, str], pl.DataFrame]:
    """Turn whatever a parser raises on broken bytes into a DataError that names the file."""

    def guarded(content: Content, label: str) -> pl.DataFrame:
        try:
            return read(content)
        except DataError as error:
            raise DataError(f"{label}: {error}", column=error.column, where=label) from error
        except (
            # Arrow's errors derive from ValueError, KeyError, NotImplementedError and OSError.
            *(PolarsError, PanicException, pa.ArrowException),
            *(ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, NotImplementedError),
            *(TypeError, OverflowError, MemoryError, RecursionError, AttributeError),
        ) as error:
            reason = str(error).strip().split("\n", 1)[0] or type(error).__name__
            message = f"{label} cannot be read: {reason}. It is damaged or of another format."
            raise DataError(message, where=label) from error

    return guarded


READERS = {
    ".parquet": _guarded(_parquet),
    ".feather": _guarded(_feather),
    ".arrow": _guarded(_feather),
    ".json": _guarded(_json),
    ".npy": _guarded(_npy),
    ".npz": _guarded(_npz),
}
