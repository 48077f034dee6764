"""The first line of a delimited file: its separator and its names."""

import csv
import io
import re

from seqmamba.errors import DataError
from seqmamba.frames.delimited.encoding import undecodable

__all__ = ["detect_separator", "read_names"]

SEPARATORS = (",", ";", "\t", "|")
SAMPLE = 2**16  # bytes on which the separator is detected
LONGEST_HEADER = 2**24
LONGEST_NAME = 4096
MAX_COLUMNS = 20_000

# Fields up to a line end outside of quotes, in linear time on any input.
_RECORD = re.compile(rb'(?:[^"\n]++|"[^"]*+(?:"|\Z))*+')
_RECORD_OF_RETURNS = re.compile(rb'(?:[^"\r]++|"[^"]*+(?:"|\Z))*+')


def detect_separator(head: bytes) -> str:
    """Return the separator that splits most sampled lines like the first one."""
    sample = head[:SAMPLE]
    bare = b"".join(sample.split(b'"')[::2])  # drops quoted parts
    lines = [line for line in bare.splitlines() if line.strip()][:200]
    if len(sample) == SAMPLE and len(lines) > 1:
        lines.pop()  # cut in the middle

    def rank(separator: str) -> tuple[float, int]:
        counts = [line.count(separator.encode()) for line in lines]
        agree = sum(count == counts[0] for count in counts) / len(counts)
        return (agree if counts[0] else 0.0, counts[0])

    return max(SEPARATORS, key=rank) if lines else ","


def read_names(head: bytes, label: str, separator: str) -> list[str]:
    """Return the names of the columns.

    Raises
    ------
    DataError
        A name is missing, repeated or endless, or there are too many.
    """
    found = (_RECORD if b"\n" in head else _RECORD_OF_RETURNS).match(head)
    assert found is not None  # it matches the empty record
    record = found[0].removesuffix(b"\r")
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
