"""Text forms of interactions: RecBole's atomic files, one pair a line, one user a line."""

from pathlib import Path

import polars as pl

from seqmamba.errors import DataError
from seqmamba.params import nearest

__all__ = ["read_atomic", "read_pairs", "read_sequences", "sniff", "write_atomic"]

ATOMIC_TYPES = ("token", "token_seq", "float", "float_seq")
ATOMIC_SUFFIXES = (".inter", ".item", ".user")


def sniff(path: Path) -> str | None:
    """Return the text form that a file name or its first lines speak for; None = a plain table."""
    if any(suffix in ATOMIC_SUFFIXES for suffix in path.suffixes):
        return "recbole"
    if path.suffix != ".txt":
        return None
    words = {len(line.split()) for line in _lines(path, 100)}
    return "pairs" if words == {2} else "sequences"


def read_atomic(path: str | Path) -> pl.DataFrame:
    """Read a RecBole atomic file: tab separated, each header ``name:type``.

    ``token`` stays text, ``float`` becomes Float64, ``*_seq`` becomes a list (blank separated).

    Raises
    ------
    DataError
        A header has no or an unknown type, a row has too many or too few fields, or a float field
        does not parse; column, row and value are named.
    """
    path = Path(path)
    raw = _read_text(path, "\t")
    columns, names = [], []
    for header in raw.columns:
        name, _, kind = header.rpartition(":")
        if kind not in ATOMIC_TYPES or not name:
            raise DataError(
                f"{path.name}: header {header!r} has no known type; write it as name:type with "
                f"one of {', '.join(ATOMIC_TYPES)}.{nearest(kind, ATOMIC_TYPES)}",
                column=header,
                where=str(path),
            )
        names.append(name)
        columns.append(_parse(raw[header], name, kind, path))
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path.name}: column {twice!r} stands twice.", column=twice)
    return pl.DataFrame(columns)


def write_atomic(table: pl.DataFrame, path: str | Path) -> Path:
    """Write a table as a RecBole atomic file; numbers that are no ids become ``float``."""
    path = Path(path)
    headers, columns = [], []
    for column in table:
        is_id = column.name.endswith("_id") or column.dtype in (pl.String, pl.Categorical)
        if isinstance(column.dtype, pl.List):
            inner = "float_seq" if column.dtype.inner.is_float() else "token_seq"
            headers.append(f"{column.name}:{inner}")
            columns.append(column.cast(pl.List(pl.String)).list.join(" "))
            continue
        headers.append(f"{column.name}:{'token' if is_id else 'float'}")
        if column.dtype.is_temporal():
            columns.append(column.cast(pl.Datetime("us")).dt.epoch("us") / 1e6)
        else:
            columns.append(column)
    renamed = pl.DataFrame([c.alias(h) for c, h in zip(columns, headers, strict=True)])
    renamed.write_csv(path, separator="\t", quote_style="never")
    return path


def read_pairs(path: str | Path) -> pl.DataFrame:
    """Read ``user item`` lines, parted by one blank; their order is the order in time."""
    path = Path(path)
    fields = pl.Series("line", _lines(path)).str.strip_chars().str.split(" ")
    _check_widths(fields, 2, 2, path)
    return pl.DataFrame(
        {"user_id": fields.list.get(0), "item_id": fields.list.get(1)},
    )


def read_sequences(path: str | Path) -> pl.DataFrame:
    """Read lines ``user item item ...``, each the whole history of a user in order."""
    path = Path(path)
    fields = pl.Series("line", _lines(path)).str.strip_chars().str.split(" ")
    _check_widths(fields, 2, None, path)
    lists = pl.DataFrame({"user_id": fields.list.get(0), "item_id": fields.list.slice(1)})
    return lists.explode("item_id")


def _parse(text: pl.Series, name: str, kind: str, path: Path) -> pl.Series:
    if kind == "token":
        return text.alias(name)
    if kind == "token_seq":
        return text.str.split(" ").alias(name)
    if kind == "float_seq":
        return text.str.split(" ").cast(pl.List(pl.Float64)).alias(name)
    numbers = text.cast(pl.Float64, strict=False)
    broken = numbers.is_null() & text.is_not_null() & (text != "")
    if broken.any():
        row = int(broken.arg_true()[0])
        raise DataError(
            f"{path.name}, line {row + 2}: {name} is {text[row]!r}, not a number; "
            f"mend the line, or declare the column as {name}:token.",
            column=name,
            where=f"{path}:{row + 2}",
            value=text[row],
        )
    return numbers.alias(name)


def _read_text(path: Path, separator: str) -> pl.DataFrame:
    """Read a delimited file with every field as text; a row of another width is an error."""
    if not path.exists():
        raise FileNotFoundError(f"no file {path}")
    try:
        raw = pl.read_csv(
            path, separator=separator, infer_schema=False, quote_char=None, encoding="utf8"
        )
    except pl.exceptions.NoDataError:
        raise DataError(f"{path.name} is empty.", where=str(path)) from None
    except (pl.exceptions.ComputeError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path.name} does not parse: {reason}.", where=str(path)) from error
    if raw.height == 0:
        raise DataError(f"{path.name} has a header and no rows.", where=str(path))
    return raw


def _lines(path: Path, n: int | None = None) -> list[str]:
    if not path.exists():
        raise FileNotFoundError(f"no file {path}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path.name} is not UTF-8 (byte {error.start}); convert it first.", where=str(path)
        ) from error
    lines = [line for line in text.splitlines()[:n] if line.strip()]
    if not lines:
        raise DataError(f"{path.name} is empty.", where=str(path))
    return lines


def _check_widths(fields: pl.Series, low: int, high: int | None, path: Path) -> None:
    widths = fields.list.len()
    wrong = (widths < low) | (widths > high) if high is not None else widths < low
    if wrong.any():
        row = int(wrong.arg_true()[0])
        raise DataError(
            f"{path.name}, line {row + 1}: {widths[row]} fields, expected "
            f"{low if high is not None else f'at least {low}'} parted by single blanks.",
            where=f"{path}:{row + 1}",
            value=" ".join(fields[row].to_list())[:80],
        )
