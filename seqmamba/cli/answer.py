"""Answers of commands: tables on standard output or in a file."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import click
import numpy as np
import polars as pl

from seqmamba import frames
from seqmamba.cli.terminal import printable

__all__ = ["as_table", "give", "json_text", "show"]

SCHEMA = 1  # of the JSON answers


def give(answer: Any, *, command: str, out: str | None = None, as_json: bool = False) -> None:
    """Write the answer of a command that ends in a table for further use.

    Parameters
    ----------
    out : path or None
        The suffix names the format; None or "-" = CSV on standard output.
    as_json : bool
        JSON on standard output instead.
    """
    table = as_table(answer)
    if as_json:
        click.echo(json_text(command, table))
    if out is not None or not as_json:
        frames.write(table, out or "-")


def show(answer: Any, *, command: str, out: str | None = None, as_json: bool = False) -> None:
    """Write the answer of a command that ends in a table for reading: aligned columns.

    A mapping is shown as name and value; as JSON it is ``{"schema", "command", "facts"}``.
    """
    if as_json and isinstance(answer, Mapping) and not _is_columns(answer):
        facts = {str(k): _plain(v) for k, v in answer.items()}
        click.echo(json.dumps({"schema": SCHEMA, "command": command, "facts": facts}))
        return
    if out is not None or as_json:
        give(answer, command=command, out=out, as_json=as_json)
        return
    table = as_table(answer)
    table = table.select(s for s in table if s.null_count() < len(s) or not len(s))
    cells = [table.columns, *([_cell(v) for v in row] for row in table.iter_rows())]
    widths = [max(len(row[i]) for row in cells) for i in range(len(table.columns))]
    numeric = [dtype.is_numeric() for dtype in table.dtypes]
    for row in cells:
        padded = [
            word.rjust(width) if right else word.ljust(width)
            for word, width, right in zip(row, widths, numeric, strict=True)
        ]
        click.echo("  ".join(padded).rstrip())


def as_table(answer: Any) -> pl.DataFrame:
    """Turn what an estimator returned into a polars table.

    Tables of any library keep their columns, a list of mappings becomes rows; an array (n,) or
    (n, k) becomes columns ``y`` or ``y0, y1, …``; a mapping of names to scalars becomes rows
    ``name, value``; a single value one cell.
    """
    if isinstance(answer, Mapping):
        if _is_columns(answer):
            return pl.DataFrame(dict(answer))
        rows = [{"name": str(k), "value": _cell(v)} for k, v in answer.items()]
        return pl.DataFrame(rows)
    if isinstance(answer, list) and all(isinstance(row, Mapping) for row in answer):
        return pl.DataFrame([dict(row) for row in answer], infer_schema_length=None)
    if isinstance(answer, np.ndarray):
        many = answer.ndim == 2
        names = [f"y{i}" for i in range(answer.shape[1])] if many else ["y"]
        return pl.DataFrame(answer.reshape(len(answer), -1), schema=names)
    if isinstance(answer, str | int | float):
        return pl.DataFrame({"value": [answer]})
    return frames.read(answer)[0]


def json_text(command: str, table: pl.DataFrame) -> str:
    """Return the JSON answer ``{"schema", "command", "rows"}``; NaN and infinity become null."""
    rows = [{k: _plain(v) for k, v in row.items()} for row in table.iter_rows(named=True)]
    return json.dumps({"schema": SCHEMA, "command": command, "rows": rows}, ensure_ascii=True)


def _is_columns(answer: Mapping[Any, Any]) -> bool:
    return all(isinstance(v, Sequence) and not isinstance(v, str) for v in answer.values())


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, Sequence):
        return [_plain(v) for v in value]
    return str(value)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else printable(str(value))
