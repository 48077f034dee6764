"""``seqmamba data``: cards of public data sets."""

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
