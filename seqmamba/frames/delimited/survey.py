"""One cheap pass over the bytes of a delimited text file, before a parser sees them.

Parsers fill short rows, rename columns and swallow foreign encodings in silence. The pass counts
separators and line ends outside of quotes block by block, which is enough to know that every row
is complete; only if the sums do not fit, a second pass finds the row.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqmamba.errors import DataError
from seqmamba.frames.delimited.counts import NEWLINE, QUOTE, RETURN, count, outside, place
from seqmamba.frames.delimited.encoding import BOM, beginning, blocks, refuse_foreign
from seqmamba.frames.delimited.header import detect_separator, read_names

__all__ = ["Survey", "bad_row", "clean", "survey"]


@dataclass(frozen=True)
class Survey:
    """What the pass found."""

    separator: str
    names: list[str]
    records: int  # lines outside of quotes, the header among them
    needs_cleaning: bool  # line ends of CR alone, or blank lines between rows


def survey(
    content: Path | bytes,
    label: str,
    *,
    separator: str | None,
    columns: list[str] | None,
    is_clean: bool = False,
) -> Survey:
    """Check the bytes of a delimited file and learn its form.

    Parameters
    ----------
    content : path or bytes
    label : str
        Name of the file in messages.
    separator : str or None
        None detects one of comma, semicolon, tab, bar.
    columns : list of str or None
        Names for a file without a header.
    is_clean : bool
        The bytes come from :func:`clean`: line feeds that follow each other are inside quotes.

    Raises
    ------
    DataError
        Foreign bytes, a broken header, open quotes, or a row with too few or too many fields.
    """
    head = beginning(content)
    refuse_foreign(head, label)
    head = head.removeprefix(BOM).lstrip(b"\r\n")
    if not head.strip():
        raise DataError(f"{label} is empty.", where=label)
    separator = separator or detect_separator(head)
    names = columns or read_names(head, label, separator)
    counts = count(content, label, separator, first=1 if columns else 0)
    only_returns = counts.newlines == 0 and counts.returns > 0
    if counts.returns and not only_returns:
        where = place(label, counts.first_return)
        message = f"{where} holds a carriage return among line feeds. Save it with one line end."
        raise DataError(message, where=where)
    needs_cleaning = only_returns or (counts.has_blank_lines and len(names) > 1 and not is_clean)
    if not needs_cleaning and counts.separators != counts.records * (len(names) - 1):
        error = bad_row(content, label, separator, len(names), first=1 if columns else 0)
        assert error is not None  # the sums differ, hence a row does
        raise error
    return Survey(separator, names, counts.records, needs_cleaning)


def clean(content: Path | bytes) -> bytes:
    """Return the bytes with line feeds for carriage returns and without blank lines."""
    data = (content if isinstance(content, bytes) else content.read_bytes()).removeprefix(BOM)
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    codes = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(codes == QUOTE)
    lines = outside(np.flatnonzero(codes == NEWLINE), quotes, 0)
    after_return = (lines > 0) & (codes[lines - 1] == RETURN)
    starts = np.r_[0, lines[:-1] + 1]
    blank = lines - after_return == starts
    drop = np.r_[lines[blank], lines[blank & after_return] - 1]
    return bytes(np.delete(codes, drop))


def bad_row(
    content: Path | bytes, label: str, separator: str, width: int, first: int
) -> DataError | None:
    """Return an error that names the first row with another number of fields, or None."""
    record, inside, open_fields = first, 0, 0
    for block in blocks(content):
        codes = np.frombuffer(block.removeprefix(BOM), np.uint8)
        quotes = np.flatnonzero(codes == QUOTE)
        lines = outside(np.flatnonzero(codes == NEWLINE), quotes, inside)
        commas = outside(np.flatnonzero(codes == ord(separator)), quotes, inside)
        if not block.endswith(b"\n"):
            lines = np.r_[lines, len(codes)]
        fields = np.diff(np.searchsorted(commas, lines), prepend=0) + 1
        if len(fields):
            fields[0] += open_fields
        wrong = np.flatnonzero(fields != width)
        if len(wrong):
            where = place(label, record + int(wrong[0]))
            count = int(fields[wrong[0]])
            expected = "columns= names" if first else "the header has"
            message = f"{where} has {count} fields, {expected} {width}. Mend that row"
            cure = ", or quote the fields that hold a separator." if count > width else "."
            return DataError(message + cure, where=where, value=count)
        record += len(lines)
        inside = (inside + len(quotes)) & 1
        closed = int(np.searchsorted(commas, lines[-1])) if len(lines) else -open_fields
        open_fields = len(commas) - closed
    return None
