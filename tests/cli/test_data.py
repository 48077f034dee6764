"""``seqmamba data``: cards of public data sets."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from seqmamba.datasets import cards


def test_list_shows_every_card(command: Any) -> None:
    rows = json.loads(command("data", "list", "--json").out)["rows"]

    assert [row["name"] for row in rows] == cards.card_names()
    assert {"name", "task", "licence", "title"} == set(rows[0])


def test_list_can_be_narrowed(command: Any) -> None:
    assert command("data", "list", "--task", "no-such-task").code == 0


def test_show_prints_source_licence_and_checksum(command: Any) -> None:
    name = cards.card_names()[0]

    facts = json.loads(command("data", "show", name, "--json").out)["facts"]

    assert facts["source_url"] == cards.card(name).source_url
    assert facts["licence"] == cards.card(name).licence


def test_unknown_card_gets_the_nearest(command: Any) -> None:
    name = cards.card_names()[0]

    ended = command("data", "show", f"{name}x")

    assert ended.code == 2
    assert repr(name) in ended.err


def test_missing_files_are_named(command: Any) -> None:
    name = cards.card_names()[0]

    ended = command("data", "check", name, "empty")

    assert ended.code == 66
    assert cards.card(name).files[0].path in ended.err


@pytest.mark.data
def test_real_files_pass_the_check(command: Any, data_dir: Path) -> None:
    ended = command("data", "check", "etth1", data_dir / "forecasting")

    assert ended.code == 0
    assert ended.out.strip().endswith("ETTh1.csv")


def test_fetch_says_where_to_get_what_it_cannot(command: Any) -> None:
    ended = command("data", "fetch", "ml-1m", "here")

    assert ended.code == 2
    assert "grouplens.org" in ended.err
    assert ended.out == ""


def test_fetch_is_content_with_files_that_are_there(command: Any, monkeypatch: Any) -> None:
    content = b"a,b\n"
    file = cards.CardFile("toy.csv", hashlib.sha256(content).hexdigest(), len(content))
    toy = cards.Card("toy", "forecast", "Toy", "https://x.org", "CC0", "none", (file,), "csv")
    monkeypatch.setattr(cards, "card", lambda name: toy)
    Path("toy.csv").write_bytes(content)

    ended = command("data", "fetch", "toy", ".")

    assert (ended.code, ended.out) == (0, "toy.csv\n")
    assert "CC0" in ended.err
