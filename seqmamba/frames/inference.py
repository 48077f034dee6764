"""Text columns become numbers where every value is one; nothing changes its meaning in between.

A column is integer, floating, boolean, or it stays text. Codes with leading zeros and integers
beyond 64 bits stay text, because a number could not give them back.
"""

from collections.abc import Collection

import polars as pl

__all__ = ["NULL_WORDS", "infer_types", "parse_floats", "without_null_words"]

NULL_WORDS = ("", "NA", "N/A", "null", "NULL", "None", "NaN", "nan")
SAMPLE = 100  # values that decide which type is tried on the whole column

_INTEGER = r"^[+-]?[0-9]+$"
_FLOAT = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$|^[+-]?(?i:inf|infinity|nan)$"
_COMMA_FLOAT = r"^[+-]?([0-9]+,?[0-9]*|,[0-9]+)([eE][+-]?[0-9]+)?$"
_LEADING_ZERO = r"^[+-]?0[0-9]"  # quick to refute; also begins a float such as 00.5
_CODE = r"^[+-]?0[0-9]+$"
_TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


def infer_types(
    frame: pl.DataFrame, *, text_columns: Collection[str], decimal_comma: bool
) -> pl.DataFrame:
    """Give every text column the narrowest type that keeps all of its values.

    Parameters
    ----------
    frame : DataFrame
        Columns that are not text stay as they are.
    text_columns : collection of str
        Stay text; only missing fields are null in them.
    decimal_comma : bool
        ``1,5`` is a number.

    Returns
    -------
    DataFrame
        Same rows, same columns.
    """
    texts = frame.select(
        name
        for name, kind in frame.schema.items()
        if kind == pl.String and name not in text_columns
    )
    plain = _plain_numbers(texts, decimal_comma)
    others = texts.drop(plain.columns).iter_columns()
    return frame.with_columns(*plain, *(_infer(column, decimal_comma) for column in others))


def without_null_words(column: pl.Series) -> pl.Series:
    """Return a text column without surrounding blanks and with null for the words of nothing."""
    stripped = column.str.strip_chars()
    return stripped.set(stripped.is_in(NULL_WORDS), None)


def parse_floats(column: pl.Series, decimal_comma: bool = False) -> pl.Series:
    """Return text as Float64; null where it is not a number."""
    if decimal_comma:
        is_number = column.str.contains(_COMMA_FLOAT)
        column = column.set(~is_number, None).str.replace(",", ".", literal=True)
    return column.cast(pl.Float64, strict=False)


def _plain_numbers(texts: pl.DataFrame, decimal_comma: bool) -> pl.DataFrame:
    """Return the columns that are numbers throughout, all at once: wide tables have thousands."""
    if not texts.width:
        return texts
    sample = pl.all().drop_nulls().head(SAMPLE).str
    is_integer = texts.select(sample.contains(_INTEGER).all()).row(0)
    is_float = texts.select(sample.contains(_FLOAT).all() & (not decimal_comma)).row(0)
    has_codes = texts.select(pl.all().str.contains(_LEADING_ZERO).any()).row(0)
    kinds = {
        name: pl.Int64 if integer else pl.Float64
        for name, integer, float_, codes in zip(
            texts.columns, is_integer, is_float, has_codes, strict=True
        )
        if (integer or float_) and not codes
    }
    numbers = texts.select(pl.col(name).cast(kinds[name], strict=False) for name in kinds)
    gaps, before = numbers.null_count(), texts.null_count()
    whole = [n for n in kinds if gaps.item(0, n) == before.item(0, n) < texts.height]
    return numbers.select(whole).with_columns(pl.selectors.float().fill_nan(None))


def _infer(column: pl.Series, decimal_comma: bool) -> pl.Series:
    sample = without_null_words(column.drop_nulls().head(SAMPLE)).drop_nulls()
    if len(sample) and not _may_be_number(sample, decimal_comma):
        if sample.is_in(list(_TRUTH)).all():
            return _booleans(column)
        return _text(column)
    parsed = _parse_whole(column, decimal_comma)
    if parsed is not None:
        return parsed
    clean = without_null_words(column)
    if clean.null_count() == len(clean):
        return clean.cast(pl.Float64)
    parsed = _parse_whole(clean, decimal_comma)
    return _text(column) if parsed is None else parsed


def _text(column: pl.Series) -> pl.Series:
    """Null words become null; the other values keep every character."""
    is_nothing = column.is_in(NULL_WORDS)
    return column.set(is_nothing, None) if is_nothing.any() else column


def _booleans(column: pl.Series) -> pl.Series:
    clean = without_null_words(column)
    if not clean.is_in(list(_TRUTH)).all():  # nulls do not count
        return _text(column)
    return clean.replace_strict(_TRUTH, return_dtype=pl.Boolean)


def _may_be_number(sample: pl.Series, decimal_comma: bool) -> bool:
    form = _COMMA_FLOAT if decimal_comma else _FLOAT
    return bool(sample.str.contains(form).all())


def _parse_whole(column: pl.Series, decimal_comma: bool) -> pl.Series | None:
    """Return the column as numbers, or None if a single value is not one."""
    if column.null_count() == len(column):
        return None
    if column.str.contains(_LEADING_ZERO).any() and column.str.contains(_CODE).any():
        return None
    if column.drop_nulls().head(SAMPLE).str.contains(_INTEGER).all():
        integers = column.cast(pl.Int64, strict=False)
        if integers.null_count() == column.null_count():
            return integers
        if column.str.contains(_INTEGER).all():  # beyond 64 bits
            return None
    return _floats(column, decimal_comma)


def _floats(column: pl.Series, decimal_comma: bool) -> pl.Series | None:
    floats = parse_floats(column, decimal_comma)
    return floats.fill_nan(None) if floats.null_count() == column.null_count() else None
