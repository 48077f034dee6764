"""Paths, patterns, standard input and file formats at the door."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from seqmamba.errors import DataError
from seqmamba.frames import compressed, formats, read, write

TABLE = pl.DataFrame({"id": ["a", "b"], "k": [1, 2], "y": [0.5, 1.5]})


@pytest.mark.parametrize(
    "suffix",
    ["csv", "tsv", "CSV", "csv.gz", "csv.zst", "parquet", "feather", "json", "json.gz", "npz"],
)
def test_every_format_comes_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table.{suffix}"

    write(TABLE, path)
    found, like = read(path)

    assert found.equals(TABLE)
    assert like.library == "file"


def test_plain_arrays_come_back(tmp_path: Path) -> None:
    numbers = TABLE.select("y")

    write(numbers, tmp_path / "y.npy")

    assert read(tmp_path / "y.npy")[0].to_dict(as_series=False) == {"x0": [0.5, 1.5]}


@pytest.mark.parametrize(
    "text",
    [
        '[{"a": 1, "b": "x"}, {"a": 2.5, "b": null}]',
        '{"a": 1, "b": "x"}\n{"a": 2.5, "b": null}\n',
        '{"a": [1, 2.5], "b": ["x", null]}',
        '{\n"a": [1, 2.5],\n"b": ["x", null]\n}',
    ],
    ids=["records", "lines", "columns", "columns over lines"],
)
def test_json_of_each_shape(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.json").write_text(text)

    assert read(tmp_path / "t.json")[0].rows() == [(1.0, "x"), (2.5, None)]


def test_a_pattern_joins_files_by_name(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("y,id\n1.5,007\n")
    (tmp_path / "a.csv").write_text("id,y\nx,1\n")

    frame, _ = read(f"{tmp_path}/*.csv")

    assert frame.rows() == [("x", 1.0), ("007", 1.5)]


def test_files_of_a_pattern_must_agree(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,y\nx,1\n")
    (tmp_path / "b.csv").write_text("id,z\nx,1\n")

    with pytest.raises(DataError, match=r"a.csv and .*b.csv have different columns: \['y', 'z'\]"):
        read(f"{tmp_path}/*.csv")


def test_types_of_a_pattern_must_agree(tmp_path: Path) -> None:
    pl.DataFrame({"y": [1]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"y": [[1]]}).write_parquet(tmp_path / "b.parquet")

    with pytest.raises(DataError, match="columns of different types"):
        read(f"{tmp_path}/*.parquet")


def test_a_name_with_brackets_is_no_pattern(tmp_path: Path) -> None:
    path = tmp_path / "data[1].csv"
    path.write_text("y\n1\n")

    assert read(path)[0]["y"].to_list() == [1]


def test_standard_input_is_delimited_text(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(b"id;y\nx;0.5\n"))
    monkeypatch.setattr("sys.stdin", stream)

    assert read("-")[0].rows() == [("x", 0.5)]


def test_errors_of_standard_input_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a,b\n1\n")))

    with pytest.raises(DataError, match="<stdin>, row 1 has 1 fields"):
        read("-")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("absent.csv", FileNotFoundError, r"there is no file .*absent\.csv"),
        ("*.csv", FileNotFoundError, r"no file fits the pattern .*\*\.csv"),
        ("", DataError, "is a directory. Pass a file or a pattern"),
    ],
)
def test_missing_files_are_named(
    tmp_path: Path, name: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read(f"{tmp_path}/{name}")


@pytest.mark.parametrize("suffix", ["xlsx", "pkl", ""])
def test_an_unknown_suffix_lists_the_known(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table.{suffix}"
    path.write_bytes(b"x")

    with pytest.raises(DataError, match=r"no suffix that is known. Known: \.csv"):
        read(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.json", b"{"),
        ("t.json", b"3"),
        ("t.json", b""),
        ("t.json", b'{"a": [1, 2], "b": [1]}'),
        ("t.npy", b"\x93NUMPY"),
        ("t.npy", b""),
        ("t.npz", b"PK\x03\x04"),
        ("t.npz", b""),
        ("t.feather", b"ARROW1"),
        ("t.feather", b""),
        ("t.csv.gz", b"no gzip"),
        ("t.csv.gz", gzip.compress(b"a,b\n1,2\n" * 1000)[:-30]),
        ("t.csv.zst", b"no zstd"),
    ],
    ids=str,
)
def test_damaged_files_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(DataError, match=name) as caught:
        read(path)

    assert "\n" not in str(caught.value)


def test_objects_in_arrays_are_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "t.npz", a=np.array([{"a": 1}], dtype=object))

    for name in ("t.npy", "t.npz"):
        with pytest.raises(DataError, match="allow_pickle=False"):
            read(tmp_path / name)


@pytest.mark.parametrize("suffix", ["csv.gz", "csv.zst"])
def test_a_compression_bomb_stops_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = tmp_path / f"bomb.{suffix}"
    write(pl.DataFrame({"x": [0] * 500_000}), path)
    monkeypatch.setattr(compressed, "ALWAYS_ALLOWED", 1000)

    with pytest.raises(DataError, match=r"unpacks to more than \d+ bytes"):
        read(path)


def test_an_archive_that_unpacks_hugely_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "t.npz", a=np.zeros(1_000_000))
    monkeypatch.setattr(formats, "ALWAYS_ALLOWED", 1000)

    with pytest.raises(DataError, match="more than 100 times its size"):
        read(tmp_path / "t.npz")


def test_an_archive_of_one_array_is_its_table(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", data=np.zeros((3, 2)))

    assert read(tmp_path / "t.npz")[0].columns == ["x0", "x1"]


def test_an_archive_of_columns_is_a_table(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", a=np.arange(2), b=np.array(["x", "y"]))

    assert read(tmp_path / "t.npz")[0].to_dict(as_series=False) == {"a": [0, 1], "b": ["x", "y"]}


def test_an_archive_of_other_shapes_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", a=np.zeros((2, 2)), b=np.zeros(2))

    with pytest.raises(DataError, match=r"columns of one axis; shapes: \{'a': \(2, 2\)\}"):
        read(tmp_path / "t.npz")


def test_text_columns_of_typed_files_are_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps([{"code": "12"}]))

    assert read(tmp_path / "t.json")[0]["code"].to_list() == ["12"]


@pytest.mark.parametrize(
    ("source", "kind", "expected"),
    [
        ({"y": ["1", "2"]}, pl.Float32, [1.0, 2.0]),
        ({"y": [1, 2]}, pl.Int8, [1, 2]),
    ],
)
def test_declared_types_hold_for_tables(source: Any, kind: Any, expected: list[Any]) -> None:
    frame, _ = read(source, schema={"y": kind, "absent": pl.Int8})

    assert frame["y"].dtype == kind
    assert frame["y"].to_list() == expected


def test_a_type_that_no_value_can_take_is_named() -> None:
    with pytest.raises(DataError, match=r"column 'y' of the table holds List\(Int64\), not Int8"):
        read({"y": [[1]]}, schema={"y": pl.Int8})


def test_a_value_beyond_its_declared_type_is_named() -> None:
    with pytest.raises(DataError, match=r"column 'y' holds 300 at the table, row 2, .* not Int8"):
        read({"y": [1, 300]}, schema={"y": pl.Int8})
