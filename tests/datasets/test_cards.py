"""Data cards are complete, and a wrong copy of a data set is noticed."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from seqmamba import storage
from seqmamba.datasets import cards
from seqmamba.datasets.cards import Card, CardFile, card, card_names, check, load
from seqmamba.errors import ConfigError, DataError

CONTENT = b"date,a,OT\n2020-01-01,1,2.5\n2020-01-02,2,3.5\n"
TOY: dict[str, Any] = {
    "name": "toy",
    "task": "forecast",
    "title": "Two rows",
    "source_url": "https://example.org/toy",
    "licence": "CC0",
    "citation": "none",
    "files": [
        {
            "path": "toy.csv",
            "sha256": hashlib.sha256(CONTENT).hexdigest(),
            "bytes": len(CONTENT),
        }
    ],
    "format": "csv",
    "columns": {"time": "date", "target": "OT", "values": 2, "rows": 2},
    "borders": {"train": 1, "valid": 1, "test": 0},
}


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the toy data; its card is the only one."""
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "toy.yaml").write_text(yaml.safe_dump(TOY))
    (tmp_path / "toy.csv").write_bytes(CONTENT)
    monkeypatch.setattr(storage, "share", lambda kind, name: tmp_path / kind / name)
    card.cache_clear()
    monkeypatch.setenv("SEQMAMBA_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture(autouse=True)
def _fresh_cards() -> Any:
    yield
    card.cache_clear()


@pytest.mark.parametrize("name", card_names())
def test_every_shipped_card_is_complete(name: str) -> None:
    found = card(name)

    assert found.name == name
    assert found.source_url.startswith("https://")
    assert all([found.title, found.licence, found.citation])
    for entry in found.files:
        assert entry.sha256 is None or len(entry.sha256) == 64
        assert (entry.sha256 is None) == (entry.bytes is None)


@pytest.mark.parametrize("name", card_names("forecast"))
def test_borders_of_forecasting_sets_fit_their_rows(name: str) -> None:
    found = card(name)
    parts = [found.borders[part] for part in ("train", "valid", "test")]

    assert all(isinstance(rows, int) and rows > 0 for rows in parts)
    assert 0.8 * found.columns["rows"] < sum(parts) <= found.columns["rows"] or "ett" in name
    assert found.borders["context"] is not name.startswith(("pems", "los"))


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("ETTh1", (17420, 8)),
        ("ETTm1", (69680, 8)),
        ("exchange_rate", (7588, 9)),
        ("los_speed", (2016, 207)),
    ],
)
def test_the_true_copies_are_accepted(data_dir: Path, name: str, shape: tuple[int, int]) -> None:
    assert load(name, data_dir / "forecasting").shape == shape


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no data card 'etth3'\. Did you mean 'etth[12]'\?"):
        card("etth3")


@pytest.mark.parametrize("name", ["../../README", "/etc/passwd", "a/b", ""])
def test_a_name_is_no_path(name: str) -> None:
    with pytest.raises(ConfigError, match="no data card"):
        card(name)


def test_a_sound_copy_is_loaded(toy: Path) -> None:
    assert load("toy", toy).rows() == [("2020-01-01", 1, 2.5), ("2020-01-02", 2, 3.5)]
    assert card_names("forecast") == ["toy"]
    assert card_names("ecg") == []


def test_the_cache_folder_is_the_default_place(toy: Path) -> None:
    place = cards.data_home() / "toy"
    place.mkdir(parents=True)
    (toy / "toy.csv").rename(place / "toy.csv")

    assert load("toy").height == 2


def test_a_missing_copy_names_the_source(toy: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"no file .*toy\.csv.* at https://example\.org/toy"
    ):
        load("toy")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONTENT + b"\n", f"has {len(CONTENT) + 1} bytes, the card of toy says {len(CONTENT)}"),
        (CONTENT.replace(b"2.5", b"2.6"), "has sha256 .* the card of toy says"),
    ],
    ids=["size", "digest"],
)
def test_a_wrong_copy_is_refused(toy: Path, content: bytes, message: str) -> None:
    (toy / "toy.csv").write_bytes(content)

    with pytest.raises(DataError, match=message):
        check(card("toy"), toy)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONTENT + b"2020-01-03,3,4.5\n", "should have 2 rows, this copy has 3"),
        (b"date,OT\n2020-01-01,1\n2020-01-02,2\n", "should have 2 values, this copy has 1"),
    ],
    ids=["rows", "values"],
)
def test_without_a_checksum_the_shape_is_checked(
    toy: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    unsigned = dataclasses.replace(card("toy"), files=(CardFile("toy.csv", None, None),))
    monkeypatch.setattr(cards, "card", lambda name: unsigned)
    (toy / "toy.csv").write_bytes(content)

    with pytest.raises(DataError, match=message):
        load("toy", toy)


def _load_as(monkeypatch: pytest.MonkeyPatch, folder: Path, **changes: Any) -> Any:
    changed: Card = dataclasses.replace(card("toy"), **changes)
    monkeypatch.setattr(cards, "card", lambda name: changed)
    return load("toy", folder)


def test_a_file_without_a_header_gets_numbered_columns(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (toy / "solar.txt").write_text("0.0,0.5\n0.0,1.5\n")

    table = _load_as(
        monkeypatch,
        toy,
        files=(CardFile("solar.txt", None, None),),
        columns={"header": False, "values": 2, "rows": 2},
    )

    assert table.to_dict(as_series=False) == {"x0": [0.0, 0.0], "x1": [0.5, 1.5]}


def test_one_channel_of_an_array_is_a_table(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(toy / "pems.npz", data=np.arange(12.0).reshape(2, 2, 3))

    table = _load_as(
        monkeypatch,
        toy,
        files=(CardFile("pems.npz", None, None),),
        columns={"array": "data", "channel": 1, "values": 2, "rows": 2},
    )

    assert table.rows() == [(1.0, 4.0), (7.0, 10.0)]


def test_a_set_of_several_files_is_left_to_its_task(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="has 2 files; use the reader of its task"):
        _load_as(monkeypatch, toy, files=card("toy").files * 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"licens": "MIT"}, "unknown field 'licens'. Did you mean 'licence'?"),
        ({"title": None}, r"lacks the fields \['title'\]"),
        ({"files": []}, "at least one file"),
        ({"files": [{"path": "a"}]}, "needs path, sha256 and bytes"),
        ({"files": [{"path": "../a", "sha256": None, "bytes": None}]}, "must stay in its folder"),
        ({"files": [{"path": "/a", "sha256": None, "bytes": None}]}, "must stay in its folder"),
    ],
)
def test_a_broken_card_is_refused(toy: Path, change: dict[str, Any], message: str) -> None:
    broken = {key: value for key, value in {**TOY, **change}.items() if value is not None}
    (toy / "datasets" / "toy.yaml").write_text(yaml.safe_dump(broken))

    with pytest.raises(ConfigError, match=message):
        card("toy")


def test_a_card_that_is_no_mapping_is_refused(toy: Path) -> None:
    (toy / "datasets" / "toy.yaml").write_text("- a\n- b\n")

    with pytest.raises(ConfigError, match=r"toy\.yaml is not a mapping"):
        card("toy")
