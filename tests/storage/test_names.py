"""Names that users chose never become paths."""

from pathlib import Path

import pytest

from seqmamba.storage import file_name, share

HOSTILE = [
    "",
    ".",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "C:\\windows",
    "con",
    "NUL.txt",
    "com1",
    "a\0b",
    "line\nbreak",
    "\x1b[31mred",
    ".hidden",
    "ends.",
    "ends ",
    "x" * 300,
    "ü" * 300,
    "\u202egnp.exe",
    "\ud800",
    "%",
    "a:b",
]


@pytest.mark.parametrize("identifier", HOSTILE)
def test_any_identifier_becomes_one_plain_file(tmp_path: Path, identifier: str) -> None:
    path = tmp_path / file_name(identifier)
    path.touch()

    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert len(path.name) <= 120
    assert path.name.isascii()
    assert path.name.upper().split(".")[0] not in {"CON", "NUL", "COM1"}


def test_different_identifiers_get_different_names() -> None:
    identifiers = [*HOSTILE, "x" * 301, "a%2Fb", "%2E", "%-"]

    assert len({file_name(identifier) for identifier in identifiers}) == len(identifiers)


@pytest.mark.parametrize("name", ["store_7", "H1", "a-b.c", "2024"])
def test_plain_identifiers_stay(name: str) -> None:
    assert file_name(name) == name


def test_shipped_files_are_found() -> None:
    assert share("datasets", "etth1.yaml").is_file()
