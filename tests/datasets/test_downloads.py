"""Files are fetched on request, and only the right ones are kept."""

import hashlib
import io
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest

from seqmamba.datasets.cards import Card, CardFile
from seqmamba.datasets.downloads import fetch
from seqmamba.errors import ConfigError, DataError

CONTENT = b"date,OT\n2020-01-01,2.5\n"
URL = "https://example.org/toy.csv"


def toy(**changes: Any) -> Card:
    """Return the card of one small file."""
    entry = {"path": "in/toy.csv", "sha256": hashlib.sha256(CONTENT).hexdigest(), "url": URL}
    file = CardFile(**{**entry, "bytes": len(CONTENT), **changes})
    return Card("toy", "forecast", "Toy", "https://example.org", "CC0", "none", (file,), "csv")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[str]]:
    """Let every address answer with some content, or with an error."""

    def set_answer(answer: Any) -> list[str]:
        asked: list[str] = []

        def urlopen(url: str, timeout: float) -> Any:
            asked.append(url)
            if isinstance(answer, Exception):
                raise answer
            return io.BytesIO(answer) if isinstance(answer, bytes) else answer

        monkeypatch.setattr(urllib.request, "urlopen", urlopen)
        return asked

    return set_answer


class _Breaking(io.BytesIO):
    """An answer that ends in an error after its first block."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise TimeoutError("timed out")
        return super().read(5)


def test_a_missing_file_is_fetched_checked_and_told(tmp_path: Path, answers: Any) -> None:
    asked = answers(CONTENT)
    seen: list[tuple[str, int, int]] = []

    found = fetch(toy(), tmp_path, progress=lambda *step: seen.append(step))

    assert found == [tmp_path / "in" / "toy.csv"]
    assert found[0].read_bytes() == CONTENT
    assert asked == [URL]
    assert seen == [("in/toy.csv", len(CONTENT), len(CONTENT))]


def test_a_file_that_is_there_is_not_fetched_again(tmp_path: Path, answers: Any) -> None:
    asked = answers(CONTENT)

    assert fetch(toy(), tmp_path) == fetch(toy(), tmp_path)
    assert len(asked) == 1


def test_files_go_to_the_cache_by_default(
    tmp_path: Path, answers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQMAMBA_HOME", str(tmp_path / "home"))
    answers(CONTENT)

    assert fetch(toy()) == [tmp_path / "home" / "toy" / "in" / "toy.csv"]


@pytest.mark.parametrize(
    "answer",
    [CONTENT[:-1], CONTENT + b" ", CONTENT.replace(b"2.5", b"3.5"), b"<html>moved</html>", b""],
    ids=["short", "long", "changed", "page", "empty"],
)
def test_another_content_is_refused_and_not_kept(
    tmp_path: Path, answers: Any, answer: bytes
) -> None:
    answers(answer)

    with pytest.raises(DataError, match="nothing was kept"):
        fetch(toy(), tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("answer", [URLError("no route"), _Breaking(CONTENT)], ids=["dead", "cut"])
def test_an_address_that_fails_leaves_nothing(tmp_path: Path, answers: Any, answer: Any) -> None:
    answers(answer)

    with pytest.raises(FileNotFoundError, match="does not answer"):
        fetch(toy(), tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("unknown", ["url", "sha256", "bytes"])
def test_without_address_or_checksum_the_source_is_named(
    tmp_path: Path, answers: Any, unknown: str
) -> None:
    asked = answers(CONTENT)

    with pytest.raises(ConfigError, match=r"Get it from https://example\.org and put it into"):
        fetch(toy(**{unknown: None}), tmp_path)
    assert asked == []


def test_a_wrong_copy_is_not_replaced(tmp_path: Path, answers: Any) -> None:
    answers(CONTENT)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "toy.csv").write_bytes(b"mine")

    with pytest.raises(DataError, match="has 4 bytes"):
        fetch(toy(), tmp_path)
    assert (tmp_path / "in" / "toy.csv").read_bytes() == b"mine"
