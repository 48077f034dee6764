"""Separators, line ends and quotes of a delimited file, counted block by block."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqmamba.errors import DataError
from seqmamba.frames.delimited.encoding import BOM, blocks

__all__ = ["NEWLINE", "QUOTE", "RETURN", "Counts", "count", "outside", "place"]

QUOTE, NEWLINE, RETURN = b'"\n\r'
_LONE_RETURN = re.compile(rb"\r(?!\n)")


@dataclass
class Counts:
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
        """Lines outside of quotes; the last one may lack its line feed."""
        return self.newlines + self.ends_open

    def add(self, block: bytes) -> None:
        """Count one block.

        Raises
        ------
        DataError
            A NUL byte, or a quote that no field can have; with its row.
        """
        if 0 in block:
            lines = block.count(b"\n", 0, block.find(0))
            where = place(self.label, self.first + self.newlines + lines)
            message = f"{where} holds a NUL byte. Save the file as UTF-8 text without NUL bytes."
            raise DataError(message, where=where, value="\0")
        codes = np.frombuffer(block, np.uint8)
        lone = block.count(b"\r") - block.count(b"\r\n") if b"\r" in block else 0
        if self.inside or b'"' in block:
            self._add_quoted(codes, bool(lone))
        else:
            if lone and not self.returns:
                found = _LONE_RETURN.search(block)
                assert found is not None  # there is one: they were counted
                self.first_return = (
                    self.first + self.newlines + block.count(b"\n", 0, found.start())
                )
            self.returns += lone
            self.separators += int(np.count_nonzero(codes == self.separator))
            self.newlines += int(np.count_nonzero(codes == NEWLINE))
        self.ends_open = not block.endswith(b"\n")
        self.has_blank_lines |= block.startswith((b"\n", b"\r\n")) or b"\n\n" in block
        self.has_blank_lines |= b"\r" in block and b"\n\r\n" in block

    def _add_quoted(self, codes: NDArray[np.uint8], has_lone_returns: bool) -> None:
        quotes = np.flatnonzero(codes == QUOTE)
        lines = outside(np.flatnonzero(codes == NEWLINE), quotes, self.inside)
        self._check_quotes(codes, quotes, lines)
        if has_lone_returns:
            returns = outside(np.flatnonzero(codes == RETURN), quotes, self.inside)
            following = codes[np.minimum(returns + 1, len(codes) - 1)]
            lone = returns[(following != NEWLINE) | (returns == len(codes) - 1)]
            if len(lone) and not self.returns:
                before = int(np.searchsorted(lines, lone[0]))
                self.first_return = self.first + self.newlines + before
            self.returns += len(lone)
        commas = outside(np.flatnonzero(codes == self.separator), quotes, self.inside)
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


def count(content: Path | bytes, label: str, separator: str, first: int) -> Counts:
    """Count a whole file; ``first`` is the row number of its first line, 0 for a header."""
    counts = Counts(label, ord(separator), first)
    for index, block in enumerate(blocks(content)):
        counts.add(block.removeprefix(BOM) if index == 0 else block)
    if counts.inside:
        raise _open_quote(label, counts.opened)
    return counts


def _open_quote(label: str, row: int) -> DataError:
    where = place(label, row)
    message = f"{where} has a quote that is never closed or stands inside an unquoted field."
    return DataError(f'{message} Quote the whole field and double inner quotes ("").', where=where)


def place(label: str, row: int) -> str:
    """Name a row; row 0 is the header."""
    return f"{label}, row {row}" if row else f"{label}, header"


def outside(positions: NDArray[np.intp], quotes: NDArray[np.intp], inside: int) -> NDArray[np.intp]:
    """Keep the positions that lie outside of quoted fields."""
    if not len(quotes) and not inside:
        return positions
    is_outside = (np.searchsorted(quotes, positions) + inside) % 2 == 0
    return np.compress(is_outside, positions)
