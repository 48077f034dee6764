"""Files are written whole, and no cell becomes a formula."""

import io
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from seqmamba.errors import CheckpointError, DataError
from seqmamba.frames import read, write


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\tx", "\rx"])
@pytest.mark.parametrize("kind", [pl.String, pl.Categorical], ids=str)
def test_formulas_become_text(tmp_path: Path, cell: str, kind: Any) -> None:
    path = tmp_path / "t.csv"

    write(pl.DataFrame({"id": pl.Series([cell, "plain"], dtype=kind), "y": [1, 2]}), path)

    assert read(path)[0]["id"].to_list() == [f"'{cell}", "plain"]


@pytest.mark.parametrize("cell", ["-5", "+49123", "-1e+16", "+0.5", "a=b", "x-y", ""])
def test_plain_text_and_numbers_stay(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "t.csv"

    write(pl.DataFrame({"id": [cell], "y": [-1.5]}), path)

    frame, _ = read(path, text_columns=["id"])
    assert frame.rows() == [(cell, -1.5)]


def test_names_of_columns_are_no_formulas(tmp_path: Path) -> None:
    write(pl.DataFrame({"=x": [1]}), tmp_path / "t.csv")

    assert (tmp_path / "t.csv").read_text() == "'=x\n1\n"


def test_parquet_keeps_every_text(tmp_path: Path) -> None:
    write(pl.DataFrame({"id": ["=1+1"]}), tmp_path / "t.parquet")

    assert read(tmp_path / "t.parquet")[0]["id"].to_list() == ["=1+1"]


def test_standard_output_gets_csv(capsys: pytest.CaptureFixture[str]) -> None:
    write(pl.LazyFrame({"id": ["ä"], "y": [0.5]}), "-")

    assert capsys.readouterr().out == "id,y\nä,0.5\n"


@pytest.mark.parametrize("name", ["t.xlsx", "t", "t.parquet.gz"])
def test_an_unknown_suffix_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="known suffixes are"):
        write(pl.DataFrame({"y": [1]}), tmp_path / name)


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("t.csv", {"y": [[1, 2]]}),
        ("t.npz", {"y": [[1, 2]]}),
        ("t.npz", {"id": ["a", None]}),
        ("t.npy", {"id": ["a"]}),
    ],
)
def test_what_a_format_cannot_hold_is_refused(
    tmp_path: Path, name: str, table: dict[str, list[Any]]
) -> None:
    with pytest.raises(DataError, match="cannot hold this table"):
        write(pl.DataFrame(table), tmp_path / name)

    assert os.listdir(tmp_path) == []


def test_a_missing_directory_is_a_writing_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file or directory"):
        write(pl.DataFrame({"y": [1]}), tmp_path / "absent" / "t.csv")


def test_a_failing_write_keeps_the_former_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    write(pl.DataFrame({"y": [1]}), path)

    with pytest.raises(DataError):
        write(pl.DataFrame({"y": [[1]]}), path)

    assert path.read_text() == "y\n1\n"


def test_a_packed_file_is_smaller_and_plain_inside(tmp_path: Path) -> None:
    import gzip

    frame = pl.DataFrame({"y": [0] * 1000})
    write(frame, tmp_path / "t.csv.gz")

    packed = (tmp_path / "t.csv.gz").read_bytes()
    assert len(packed) < 200
    assert pl.read_csv(io.BytesIO(gzip.decompress(packed))).equals(frame)
