"""The door for tables: a path, a pattern, standard input, or a table of any library."""

import glob
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import polars as pl
from polars.exceptions import PanicException, PolarsError

from seqmamba.errors import DataError
from seqmamba.frames.columns import refuse_infinities
from seqmamba.frames.compressed import CODECS, unpack
from seqmamba.frames.delimited import read_text_columns
from seqmamba.frames.formats import READERS
from seqmamba.frames.inference import infer_types
from seqmamba.frames.like import Like, from_native

__all__ = ["TEXT_SUFFIXES", "read"]

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".inter", ".item", ".user")


def read(
    source: Any,
    *,
    text_columns: Collection[str] = (),
    columns: Sequence[str] | None = None,
    schema: Mapping[str, Any] | None = None,
    separator: str | None = None,
    decimal_comma: bool = False,
    on_inf: Literal["error", "null"] = "error",
) -> tuple[pl.DataFrame, Like]:
    """Read a table exactly, or say what is wrong with it.

    Parameters
    ----------
    source : path, pattern, "-", table, dict or array
        ``.csv .tsv .txt .parquet .feather .json .npz .npy``, the text and JSON ones also with
        ``.gz`` or ``.zst``; a pattern (``data/*.csv``) joins its files in the order of their
        names; ``"-"`` is delimited text on standard input; pandas, polars (eager, lazy), arrow
        and other tables that narwhals knows; a mapping of columns; an array (rows,) or
        (rows, channels), whose columns are called ``x0, x1, ...``.
    text_columns : collection of str
        Ids: always text, with every leading zero. Names that are not there are ignored.
    columns : sequence of str or None
        Names for delimited text without a header.
    schema : mapping of name to polars type, or None
        Types of columns that are not to be guessed.
    separator : str or None
        Of delimited text; None detects comma, semicolon, tab or bar.
    decimal_comma : bool, default False
        Delimited text writes ``1,5`` for one and a half.
    on_inf : {"error", "null"}
        What to do with infinite values in files.

    Returns
    -------
    frame : polars DataFrame
        Rows in the order of the source.
    like : Like
        For :func:`~seqmamba.frames.write`.

    Raises
    ------
    DataError
        Names file, row, column and value.
    FileNotFoundError
        No such file.

    Examples
    --------
    >>> frame, like = read({"unique_id": ["a", "a"], "y": [1.0, 2.5]})
    >>> frame.shape, like.library
    ((2, 2), 'dict')
    """
    if not isinstance(source, str | os.PathLike):
        frame, like = from_native(source)
        return _typed(frame, text_columns, schema or {}, "the table"), like
    label, files = _find(source)
    read_one = partial(_read_one, separator=separator, columns=columns, schema=schema or {})
    frame = _joined([(name, read_one(content, name)) for name, content in files])
    if _suffix(files[0][1]) in TEXT_SUFFIXES:  # other formats carry their types
        frame = infer_types(frame, text_columns=text_columns, decimal_comma=decimal_comma)
    frame = _typed(frame, text_columns, schema or {}, label)
    if frame.is_empty():
        raise DataError(f"{label} has no rows.", where=label)
    return refuse_infinities(frame, label, on_inf), Like("file", frame.schema)


def _find(source: str | os.PathLike[str]) -> tuple[str, list[tuple[str, Path | bytes]]]:
    """Return a label, and name and content of every file that is meant."""
    text = os.fspath(source)
    if text == "-":
        return "<stdin>", [("<stdin>", sys.stdin.buffer.read())]
    path = Path(text).expanduser()
    if path.is_dir():
        raise DataError(f"{text} is a directory. Pass a file or a pattern such as '{text}/*.csv'.")
    if path.exists():
        return text, [(text, path)]
    found = sorted(glob.glob(str(path), recursive=True)) if glob.has_magic(text) else []
    if not found:
        kind = "no file fits the pattern" if glob.has_magic(text) else "there is no file"
        raise FileNotFoundError(f"{kind} {text} (working directory {Path.cwd()}).")
    return text, [(name, Path(name)) for name in found]


def _read_one(
    content: Path | bytes,
    name: str,
    *,
    separator: str | None,
    columns: Sequence[str] | None,
    schema: Mapping[str, Any],
) -> pl.DataFrame:
    suffix = _suffix(content)
    if isinstance(content, Path) and content.suffix.lower() in CODECS:
        content = unpack(content)
    if suffix in READERS:
        return READERS[suffix](content, name)
    if suffix not in TEXT_SUFFIXES:
        known = " ".join([*TEXT_SUFFIXES, *READERS])
        raise DataError(f"{name} has no suffix that is known. Known: {known}.", where=name)
    separator = separator or ("\t" if suffix == ".tsv" else None)
    return read_text_columns(content, name, separator=separator, columns=columns, schema=schema)


def _suffix(content: Path | bytes) -> str:
    """Return the suffix that tells the format; standard input is delimited text."""
    if isinstance(content, bytes):
        return ".csv"
    is_packed = content.suffix.lower() in CODECS
    return Path(content.stem).suffix.lower() if is_packed else content.suffix.lower()


def _joined(parts: list[tuple[str, pl.DataFrame]]) -> pl.DataFrame:
    """Join the files of a pattern; their columns must agree."""
    first_name, first = parts[0]
    for name, part in parts[1:]:
        if set(part.columns) != set(first.columns):
            odd = sorted(set(part.columns) ^ set(first.columns))
            message = f"{first_name} and {name} have different columns: {odd[:20]}."
            raise DataError(message, where=name, value=odd[0])
    frames = [part.select(first.columns) for _, part in parts]
    try:
        return frames[0] if len(frames) == 1 else pl.concat(frames, how="vertical_relaxed")
    except PolarsError as error:
        message = f"the files of the pattern have columns of different types: {error}."
        raise DataError(message, where=parts[-1][0]) from error


def _typed(
    frame: pl.DataFrame, text_columns: Collection[str], schema: Mapping[str, Any], label: str
) -> pl.DataFrame:
    """Turn ids into text and declared columns into their types."""
    texts = [_as_text(frame.get_column(name)) for name in frame.columns if name in text_columns]
    frame = frame.with_columns(texts)
    for name, kind in schema.items():
        if name in frame.columns and frame.schema[name] != kind:
            frame = frame.with_columns(_cast(frame.get_column(name), kind, label))
    return frame


def _as_text(column: pl.Series) -> pl.Series:
    """Spell ids; whole numbers that a missing value turned into floats lose their point."""
    if column.dtype.is_float() and (column == column.round(0)).all():
        return column.cast(pl.Int64).cast(pl.String)
    return column.cast(pl.String)


def _cast(column: pl.Series, kind: Any, label: str) -> pl.Series:
    try:
        cast = column.cast(kind, strict=False)
    except (PolarsError, PanicException) as error:
        message = f"column {column.name!r} of {label} holds {column.dtype}, not {kind}."
        raise DataError(message, column=column.name) from error
    wrong = (cast.is_null() & column.is_not_null()).arg_true()
    if len(wrong):
        row, value = int(wrong[0]), column[int(wrong[0])]
        where = f"{label}, row {row + 1}"
        message = (
            f"column {column.name!r} holds {value!r} at {where}, which is not {kind}. Mend it."
        )
        raise DataError(message, column=column.name, where=where, value=value)
    return cast
