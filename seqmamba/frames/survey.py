"""One cheap pass over the bytes of a delimited text file, before a parser sees them.

Parsers fill short rows, rename columns and swallow foreign encodings in silence. The pass counts
separators and line ends outside of quotes block by block, which is enough to know that every row
is complete; only if the sums do not fit, a second pass finds the row.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqmamba.errors import DataError

__all__ = ["Survey", "blocks", "clean", "survey", "undecodable"]

BLOCK = 4 * 2**20
SAMPLE = 2**16  # bytes on which the separator is detected
LONGEST_HEADER = 2**24
LONGEST_NAME = 4096
MAX_COLUMNS = 20_000
SEPARATORS = (",", ";", "\t", "|")
BOM = b"\xef\xbb\xbf"
QUOTE, NEWLINE, RETURN = b'"\n\r'

_LONE_RETURN = re.compile(rb"\r(?!\n)")
_FOREIGN = (
    (b"\x1f\x8b", "gzip data", "give it the suffix .gz"),
    (b"\x28\xb5\x2f\xfd", "Zstandard data", "give it the suffix .zst"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet", "unpack it, or export it as CSV"),
    (b"BZh", "bzip2 data", "unpack it"),
    (b"\xfd7zXZ", "xz data", "unpack it"),
    (b"PAR1", "a Parquet file", "give it the suffix .parquet"),
    (b"ARROW1", "a Feather file", "give it the suffix .feather"),
    (b"\xff\xfe", "UTF-16 text", "save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text", "save it as UTF-8"),
)


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
    head = next(blocks(content), b"")
    _refuse_foreign(head, label)
    head = head.removeprefix(BOM).lstrip(b"\r\n")
    if not head.strip():
        raise DataError(f"{label} is empty.", where=label)
    separator = separator or _detect(head[:SAMPLE])
    names = columns or _header(head, label, separator)
    counts = _count(content, label, separator, first=1 if columns else 0)
    only_returns = counts.newlines == 0 and counts.returns > 0
    if counts.returns and not only_returns:
        where = _place(label, counts.first_return)
        message = f"{where} holds a carriage return among line feeds. Save it with one line end."
        raise DataError(message, where=where)
    needs_cleaning = only_returns or (counts.has_blank_lines and len(names) > 1 and not is_clean)
    if not needs_cleaning and counts.separators != counts.records * (len(names) - 1):
        error = bad_row(content, label, separator, len(names), first=1 if columns else 0)
        assert error is not None  # the sums differ, hence a row does
        raise error
    return Survey(separator, names, counts.records, needs_cleaning)


def blocks(content: Path | bytes) -> Iterator[bytes]:
    """Yield the bytes in blocks that end at a line feed (the last one perhaps not)."""
    with io.BytesIO(content) if isinstance(content, bytes) else open(content, "rb") as file:
        while block := file.read(BLOCK):
            yield block + file.readline()


def clean(content: Path | bytes) -> bytes:
    """Return the bytes with line feeds for carriage returns and without blank lines."""
    data = (content if isinstance(content, bytes) else content.read_bytes()).removeprefix(BOM)
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    codes = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(codes == QUOTE)
    lines = _outside(np.flatnonzero(codes == NEWLINE), quotes, 0)
    after_return = (lines > 0) & (codes[lines - 1] == RETURN)
    starts = np.r_[0, lines[:-1] + 1]
    blank = lines - after_return == starts
    drop = np.r_[lines[blank], lines[blank & after_return] - 1]
    return bytes(np.delete(codes, drop))


def undecodable(content: Path | bytes, label: str) -> DataError | None:
    """Return an error that names the first byte which is not UTF-8, if there is one."""
    offset, line = 0, 1
    for block in blocks(content):
        try:
            block.decode()
        except UnicodeDecodeError as error:
            line += block.count(b"\n", 0, error.start)
            byte = block[error.start]
            return DataError(
                f"{label} is not UTF-8: byte 0x{byte:02X} at offset {offset + error.start}, "
                f"line {line}. Save it as UTF-8 (Latin-1 and Windows texts need converting).",
                where=f"{label}, line {line}",
                value=byte,
            )
        offset += len(block)
        line += block.count(b"\n")
    return None


def bad_row(
    content: Path | bytes, label: str, separator: str, width: int, first: int
) -> DataError | None:
    """Return an error that names the first row with another number of fields, or None."""
    record, inside, open_fields = first, 0, 0
    for block in blocks(content):
        codes = np.frombuffer(block.removeprefix(BOM), np.uint8)
        quotes = np.flatnonzero(codes == QUOTE)
        lines = _outside(np.flatnonzero(codes == NEWLINE), quotes, inside)
        commas = _outside(np.flatnonzero(codes == ord(separator)), quotes, inside)
        if not block.endswith(b"\n"):
            lines = np.r_[lines, len(codes)]
        fields = np.diff(np.searchsorted(commas, lines), prepend=0) + 1
        if len(fields):
            fields[0] += open_fields
        wrong = np.flatnonzero(fields != width)
        if len(wrong):
            where = _place(label, record + int(wrong[0]))
            count = int(fields[wrong[0]])
            message = f"{where} has {count} fields, the header has {width}. Mend that row"
            cure = ", or quote the fields that hold a separator." if count > width else "."
            return DataError(message + cure, where=where, value=count)
        record += len(lines)
        inside = (inside + len(quotes)) & 1
        open_fields = len(commas) - int(np.searchsorted(commas, lines[-1] if len(lines) else 0))
    return None


def _refuse_foreign(head: bytes, label: str) -> None:
    for magic, what, cure in _FOREIGN:
        if head.startswith(magic):
            raise DataError(f"{label} holds {what}, not plain text. Please {cure}.", where=label)


def _detect(sample: bytes) -> str:
    """Return the separator that splits most sampled lines like the first one."""
    bare = b"".join(sample.split(b'"')[::2])  # drops quoted parts
    lines = [line for line in bare.splitlines() if line.strip()][:200]
    if len(sample) == SAMPLE and len(lines) > 1:
        lines.pop()  # cut in the middle

    def rank(separator: str) -> tuple[float, int]:
        counts = [line.count(separator.encode()) for line in lines]
        agree = sum(count == counts[0] for count in counts) / len(counts)
        return (agree if counts[0] else 0.0, counts[0])

    return max(SEPARATORS, key=rank) if lines else ","


def _header(head: bytes, label: str, separator: str) -> list[str]:
    line_end = b"\n" if b"\n" in head else b"\r"
    end = head.find(line_end)
    while end >= 0 and head.count(b'"', 0, end) % 2:
        end = head.find(line_end, end + 1)
    record = head[: end if end >= 0 else len(head)].removesuffix(b"\r")
    if len(record) > LONGEST_HEADER:
        raise DataError(f"the first line of {label} is longer than 16 MiB.", where=label)
    try:
        text = record.decode()
        names = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except UnicodeDecodeError:
        raise undecodable(head, label) or DataError(f"{label} is not UTF-8.") from None
    except csv.Error as error:
        raise DataError(f"the header of {label} is malformed: {error}.", where=label) from error
    _check_names(names, label)
    return names


def _check_names(names: list[str], label: str) -> None:
    where = f"{label}, header"
    if len(names) > MAX_COLUMNS:
        message = f"{label} has {len(names)} columns; at most {MAX_COLUMNS}. Use the long form."
        raise DataError(message, where=where, value=len(names))
    seen: dict[str, int] = {}
    for position, name in enumerate(names, start=1):
        if not name:
            message = f"column {position} of {label} has no name. Name it, or leave it out"
            cure = " (pandas: to_csv(index=False))." if position == 1 else "."
            raise DataError(message + cure, where=where, value=name)
        if len(name) > LONGEST_NAME:
            message = f"column {position} of {label} has a name of {len(name)} characters."
            raise DataError(message, where=where, value=len(name))
        if name in seen:
            message = f"columns {seen[name]} and {position} of {label} are both named {name!r}."
            cure = " Rename one (or pass columns=[...] if the file has no header)."
            raise DataError(message + cure, column=name, where=where, value=name)
        seen[name] = position


@dataclass
class _Counts:
    """Running sums over the blocks of a file."""

    label: str
    separator: int
    first: int  # row number of the first record
    separators: int = 0
    newlines: int = 0
    returns: int = 0  # carriage returns that no line feed follows
    first_return: int = 0
    inside: int = 0  # 1 while a quoted field is open
    opened: int = 0  # row in which it was opened
    ends_open: bool = False
    has_blank_lines: bool = False

    @property
    def records(self) -> int:
        return self.newlines + self.ends_open

    def add(self, block: bytes) -> None:
        if 0 in block:
            lines = block.count(b"\n", 0, block.find(0))
            where = _place(self.label, self.first + self.newlines + lines)
            message = f"{where} holds a NUL byte. Save the file as UTF-8 text without NUL bytes."
            raise DataError(message, where=where, value="\0")
        codes = np.frombuffer(block, np.uint8)
        lone = block.count(b"\r") - block.count(b"\r\n") if b"\r" in block else 0
        if self.inside or b'"' in block:
            self._add_quoted(codes, bool(lone))
        else:
            if lone and not self.returns:
                place = _LONE_RETURN.search(block)
                assert place is not None  # there is one: they were counted
                self.first_return = (
                    self.first + self.newlines + block.count(b"\n", 0, place.start())
                )
            self.returns += lone
            self.separators += int(np.count_nonzero(codes == self.separator))
            self.newlines += int(np.count_nonzero(codes == NEWLINE))
        self.ends_open = not block.endswith(b"\n")
        self.has_blank_lines |= block.startswith((b"\n", b"\r\n")) or b"\n\n" in block
        self.has_blank_lines |= b"\r" in block and b"\n\r\n" in block

    def _add_quoted(self, codes: NDArray[np.uint8], has_lone_returns: bool) -> None:
        quotes = np.flatnonzero(codes == QUOTE)
        lines = _outside(np.flatnonzero(codes == NEWLINE), quotes, self.inside)
        self._check_quotes(codes, quotes, lines)
        if has_lone_returns:
            returns = _outside(np.flatnonzero(codes == RETURN), quotes, self.inside)
            following = codes[np.minimum(returns + 1, len(codes) - 1)]
            lone = returns[(following != NEWLINE) | (returns == len(codes) - 1)]
            if len(lone) and not self.returns:
                before = int(np.searchsorted(lines, lone[0]))
                self.first_return = self.first + self.newlines + before
            self.returns += len(lone)
        commas = _outside(np.flatnonzero(codes == self.separator), quotes, self.inside)
        self.inside = (self.inside + len(quotes)) & 1
        if self.inside and len(quotes):
            self.opened = self.first + self.newlines + int(np.searchsorted(lines, quotes[-1]))
        self.separators += len(commas)
        self.newlines += len(lines)

    def _check_quotes(
        self, codes: NDArray[np.uint8], quotes: NDArray[np.intp], lines: NDArray[np.intp]
    ) -> None:
        """Refuse a quote that neither surrounds a field nor is doubled inside one."""
        if not len(quotes):
            return
        closes = (np.arange(len(quotes)) + self.inside) % 2 == 1
        neighbour = np.where(closes, quotes + 1, quotes - 1)
        at_edge = (neighbour < 0) | (neighbour >= len(codes))
        code = codes[np.clip(neighbour, 0, len(codes) - 1)]
        allowed = at_edge | np.isin(code, [self.separator, NEWLINE, RETURN, QUOTE])
        if allowed.all():
            return
        index = int(np.argmin(allowed))
        if closes[index]:  # the field began earlier, perhaps in a former block
            row = self.opened if index == 0 else self._row(lines, quotes[index - 1])
        else:
            row = self._row(lines, quotes[index])
        raise _open_quote(self.label, row)

    def _row(self, lines: NDArray[np.intp], position: np.intp) -> int:
        return self.first + self.newlines + int(np.searchsorted(lines, position))


def _count(content: Path | bytes, label: str, separator: str, first: int) -> _Counts:
    counts = _Counts(label, ord(separator), first)
    for index, block in enumerate(blocks(content)):
        counts.add(block.removeprefix(BOM) if index == 0 else block)
    if counts.inside:
        raise _open_quote(label, counts.opened)
    return counts


def _open_quote(label: str, row: int) -> DataError:
    where = _place(label, row)
    message = f"{where} has a quote that is never closed or stands inside an unquoted field."
    return DataError(f'{message} Quote the whole field and double inner quotes ("").', where=where)


def _place(label: str, row: int) -> str:
    return f"{label}, row {row}" if row else f"{label}, header"


def _outside(
    positions: NDArray[np.intp], quotes: NDArray[np.intp], inside: int
) -> NDArray[np.intp]:
    """Keep the positions that lie outside of quoted fields."""
    if not len(quotes) and not inside:
        return positions
    is_outside = (np.searchsorted(quotes, positions) + inside) % 2 == 0
    return np.compress(is_outside, positions)
