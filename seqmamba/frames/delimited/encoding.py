"""The bytes of a text file: block by block, UTF-8, and nothing that only looks like text."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from seqmamba.errors import DataError

__all__ = ["BOM", "beginning", "blocks", "refuse_foreign", "undecodable"]

BLOCK = 4 * 2**20
HEAD = 4 * 2**20
BOM = b"\xef\xbb\xbf"

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


def blocks(content: Path | bytes) -> Iterator[bytes]:
    """Yield the bytes in blocks that end at a line feed (the last one perhaps not)."""
    with _opened(content) as file:
        while block := file.read(BLOCK):
            yield block + file.readline()


def beginning(content: Path | bytes) -> bytes:
    """Return the first lines, enough for the header of any table that we read."""
    with _opened(content) as file:
        return file.read(HEAD) + file.readline()


def _opened(content: Path | bytes) -> BinaryIO:
    return io.BytesIO(content) if isinstance(content, bytes) else open(content, "rb")


def refuse_foreign(head: bytes, label: str) -> None:
    """Raise for archives, binary tables and UTF-16, recognised by their first bytes."""
    for magic, what, cure in _FOREIGN:
        if head.startswith(magic):
            raise DataError(f"{label} holds {what}, not plain text. Please {cure}.", where=label)


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
