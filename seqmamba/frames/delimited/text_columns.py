"""Delimited text becomes a table of text columns, or an error that names the row."""

import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import PanicException, PolarsError

from seqmamba.errors import DataError
from seqmamba.frames.delimited.encoding import undecodable
from seqmamba.frames.delimited.survey import bad_row, clean, survey

__all__ = ["read_text_columns"]

logger = logging.getLogger(__name__)


def read_text_columns(
    content: Path | bytes,
    label: str,
    *,
    separator: str | None,
    columns: Sequence[str] | None,
    schema: Mapping[str, Any],
) -> pl.DataFrame:
    """Read a delimited file; every column is text unless ``schema`` declares it.

    Parameters
    ----------
    content : path or bytes
    label : str
        Name of the file in messages.
    separator : str or None
        None detects comma, semicolon, tab or bar.
    columns : sequence of str or None
        Names for a file without a header.
    schema : mapping of name to polars type
        Declared columns are parsed as that type at once, which needs the least memory.

    Raises
    ------
    DataError
        The file is empty, foreign, malformed, or holds no rows.
    """
    listed = list(columns) if columns is not None else None
    form = survey(content, label, separator=separator, columns=listed)
    if form.needs_cleaning:
        content = clean(content)
        form = survey(content, label, separator=separator, columns=listed, is_clean=True)
    logger.info("%s: separator %r, %d columns", label, form.separator, len(form.names))
    first = 0 if columns is None else 1
    frame = _parse(content, label, form.separator, form.names, first, schema)
    frame.columns = form.names
    if frame.height != form.records - 1 + first:
        rows = form.records - 1 + first
        message = f"{label} has {rows} rows, but the parser found {frame.height}. Please report it."
        raise DataError(message, where=label, value=frame.height)
    if frame.is_empty():
        raise DataError(f"{label} has a header but no rows.", where=label)
    return frame


def _parse(
    content: Path | bytes,
    label: str,
    separator: str,
    names: list[str],
    first: int,
    schema: Mapping[str, Any],
) -> pl.DataFrame:
    types = [schema.get(name, pl.String) for name in names]
    source = io.BytesIO(content) if isinstance(content, bytes) else content
    try:
        frame = pl.read_csv(
            source,
            separator=separator,
            has_header=first == 0,
            schema_overrides=types,
            infer_schema=False,
            glob=False,  # a bracket in a name is a bracket
        )
    except (PolarsError, PanicException) as error:
        if schema:  # as text, so that the cast which follows can name the row
            return _parse(content, label, separator, names, first, {})
        raise (
            undecodable(content, label)
            or bad_row(content, label, separator, len(names), first)
            or DataError(f"{label} cannot be parsed: {_first_line(error)}", where=label)
        ) from error
    return frame.with_columns(pl.selectors.float().fill_nan(None))


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0]
