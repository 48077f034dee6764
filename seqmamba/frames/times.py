"""A column of times: stamps of one written form, or integers that count steps.

The first value fixes the form; every other value must have it. Whatever could be read in two ways
(day before month, with and without a zone) is an error that shows both rows.
"""

import re
from typing import Any

import polars as pl

from seqmamba.errors import DataError
from seqmamba.frames.columns import require_columns
from seqmamba.frames.inference import without_null_words

__all__ = ["times"]

_DATE = r"(?P<a>\d{1,4})(?P<mark>[-/.])(?P<b>\d{1,2})(?P=mark)(?P<c>\d{1,4})"
_CLOCK = r"(?P<gap>[T ])\d{1,2}:\d{2}(?P<seconds>:\d{2}(\.\d+)?)?"
_ZONE = r"(?P<blank> ?)(?P<zone>Z|UTC|[+-]\d{2}:?\d{2})"
_STAMP = re.compile(rf"^{_DATE}(?P<clock>{_CLOCK}({_ZONE})?)?$")
_HAS_ZONE = r"(Z|UTC|:\d{2}(\.\d+)? ?[+-]\d{2}:?\d{2})$"


def times(frame: pl.DataFrame, column: str, *, time_format: str | None = None) -> pl.Series:
    """Return a column of times as Datetime, or as integers if it counts steps.

    Parameters
    ----------
    frame : DataFrame
    column : str
        Datetime (kept with unit and zone), Date, integers (kept), or text such as
        ``2016-07-01 00:00:00``, ``1990/1/1 0:00``, ``2020-01-01T00:00:00.5+01:00``, ``13.2.2020``.
    time_format : str or None
        ``strptime`` form of text or of integers such as 20240131 (``"%Y%m%d"``); None reads it
        off the first value.

    Returns
    -------
    Series of Datetime, Int64 or Float64
        Text with offsets is given in UTC. Floats (seconds) stay if they are finite.

    Raises
    ------
    DataError
        A time is missing, no date, ambiguous, or written in another form than the first.
    """
    require_columns(frame, [column])
    series = frame.get_column(column)
    kind = series.dtype
    if kind == pl.Null or len(missing := series.is_null().arg_true()):
        raise _fault(column, 0 if kind == pl.Null else int(missing[0]), None, "a time is missing")
    if isinstance(kind, pl.Datetime):
        return series
    if kind == pl.Date:
        return series.cast(pl.Datetime("us"))
    if time_format is not None and (kind.is_integer() or kind in (pl.Categorical, pl.Enum)):
        series, kind = series.cast(pl.String), pl.String()
    if kind.is_integer():
        return series.cast(pl.Int64)
    if kind.is_float():
        return _finite(series)
    if kind in (pl.Categorical, pl.Enum):
        series, kind = series.cast(pl.String), pl.String()
    if kind != pl.String:
        raise DataError(f"column {column!r} holds {kind}, not times.", column=column)
    return _from_text(series, time_format)


def _finite(series: pl.Series) -> pl.Series:
    wrong = (~series.is_finite()).arg_true()
    if len(wrong):
        row = int(wrong[0])
        raise _fault(series.name, row, series[row], "is not a finite time")
    whole = series.cast(pl.Int64)
    return whole if (whole.cast(pl.Float64) == series.cast(pl.Float64)).all() else series


def _from_text(series: pl.Series, time_format: str | None) -> pl.Series:
    text = without_null_words(series)
    missing = text.is_null().arg_true()
    if len(missing):
        raise _fault(series.name, int(missing[0]), series[int(missing[0])], "a time is missing")
    if not len(text) or (time_format is None and text.str.contains(r"^[+-]?\d{1,18}$").all()):
        return text.cast(pl.Int64)
    _check_zones(text)
    form = time_format or _form_of(text)
    # Letters for the zone are spelled as the offset that they mean.
    plain = text.str.replace(r"(Z|UTC)$", "+00:00") if form.endswith("%z") else text
    unit = "ns" if text.str.contains(r"\.\d{7,}").any() else "us"
    parsed = plain.str.to_datetime(form, strict=False, time_unit=unit)  # type: ignore[arg-type]  # unit is one of its two literals
    wrong = parsed.is_null().arg_true()
    if len(wrong):
        raise _other_form(text, int(wrong[0]), form, is_given=time_format is not None)
    return parsed


def _form_of(text: pl.Series) -> str:
    """Return the strptime form of a column, as its first value shows it."""
    found = _STAMP.match(text[0])
    if found is None:
        cure = "is not a time. Use 2020-01-31 or 2020-01-31 13:45:00, or pass time_format"
        raise _fault(text.name, 0, text[0], cure)
    mark = found["mark"]
    if len(found["a"]) == 4:
        date = mark.join(("%Y", "%m", "%d"))
    elif len(found["c"]) == 4:
        date = mark.join(_day_and_month(text))
    else:
        raise _fault(text.name, 0, text[0], "needs a year of four digits")
    if not found["clock"]:
        return date
    seconds = ":%S%.f" if found["seconds"] else ""
    zone = f"{found['blank'] or ''}%z" if found["zone"] else ""
    return f"{date}{found['gap']}%H:%M{seconds}{zone}"


def _day_and_month(text: pl.Series) -> tuple[str, str, str]:
    """Find out which of the first two numbers is the day; only a value above 12 can tell."""
    first = text.str.extract(r"^(\d{1,2})\D").cast(pl.Int64, strict=False)
    second = text.str.extract(r"^\d{1,2}\D(\d{1,2})\D").cast(pl.Int64, strict=False)
    day_first, month_first = (first > 12).arg_true(), (second > 12).arg_true()
    if len(day_first) and len(month_first):
        one, two = int(day_first[0]), int(month_first[0])
        both = f"{text[one]!r} (row {one + 1}) and {text[two]!r} (row {two + 1})"
        raise _fault(text.name, two, text[two], f"mixes day and month: {both}. Mend it")
    if not len(day_first) and not len(month_first):
        cure = 'may be day/month or month/day. Pass time_format="%d/%m/%Y" or "%m/%d/%Y"'
        raise _fault(text.name, 0, text[0], cure)
    return ("%d", "%m", "%Y") if len(day_first) else ("%m", "%d", "%Y")


def _check_zones(text: pl.Series) -> None:
    """Refuse times with and without zone, and offsets that no single zone has."""
    has_zone = text.str.contains(_HAS_ZONE)
    if not has_zone.any():
        return
    if not has_zone.all():
        one, two = int(has_zone.arg_true()[0]), int((~has_zone).arg_true()[0])
        both = f"{text[one]!r} (row {one + 1}) has a zone, {text[two]!r} (row {two + 1}) has none"
        raise _fault(text.name, max(one, two), text[max(one, two)], f"mixes zones: {both}. Mend it")
    parts = text.str.extract_groups(r"([+-])(\d{2}):?(\d{2})$").struct.unnest()
    sign, hours, minutes = (parts.to_series(i) for i in range(3))
    size = hours.cast(pl.Int64) * 60 + minutes.cast(pl.Int64)
    offset = size * pl.Series((sign == "-").fill_null(False)).replace_strict({True: -1, False: 1})
    offset = offset.fill_null(0)
    low, high = int(offset.arg_min() or 0), int(offset.arg_max() or 0)
    # Summer time moves the offset by at most an hour (half an hour on Lord Howe Island).
    if offset.n_unique() > 2 or offset[high] - offset[low] > 60:
        both = f"{text[low]!r} (row {low + 1}) and {text[high]!r} (row {high + 1})"
        cure = f"mixes time zones: {both}. Convert all to UTC"
        raise _fault(text.name, max(low, high), text[max(low, high)], cure)


def _other_form(text: pl.Series, row: int, form: str, *, is_given: bool) -> DataError:
    value = text[row]
    if is_given:
        return _fault(text.name, row, value, f"does not fit time_format={form!r}")
    if re.sub(r"\d+", "0", value) == re.sub(r"\d+", "0", text[0]):
        return _fault(text.name, row, value, f"is not a date like {text[0]!r} (row 1). Mend it")
    reason = f"is written in another form than {text[0]!r} (row 1). Use one form"
    return _fault(text.name, row, value, reason)


def _fault(column: str, row: int, value: Any, reason: str) -> DataError:
    shown = "" if value is None else f"{value!r} "
    message = f"column {column!r}, row {row + 1}: {shown}{reason}."
    return DataError(message, column=column, where=f"row {row + 1}", value=value)
