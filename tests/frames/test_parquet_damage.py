"""A damaged Parquet file ends in a DataError or in a table; no panic escapes, nothing aborts."""

import io
import random
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from seqmamba.errors import DataError
from seqmamba.frames import read, write

TABLE = pl.DataFrame(
    {
        "unique_id": pl.Series([f"s{i % 5}" for i in range(500)]),
        "kind": pl.Series(["a", "b"] * 250, dtype=pl.Categorical),
        "ds": pl.datetime_range(
            datetime(2024, 3, 30), datetime(2024, 4, 19, 19), "1h", time_zone="UTC", eager=True
        ).dt.convert_time_zone("Europe/Berlin"),
        "y": [((i * 7919) % 1000) / 7 for i in range(500)],
        "k": [None if i % 7 == 0 else i for i in range(500)],
    }
)
sizes = pytest.mark.parametrize("share", [0.1, pytest.param(1.0, marks=pytest.mark.slow)])


def _outcome(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    try:
        frame, _ = read(path)
    except DataError as error:
        return "refused" if str(path) in str(error) else "refused without its name"
    return "same" if frame.equals(TABLE) and frame.schema == TABLE.schema else "different"


def _flips(content: bytes, count: int) -> list[bytes]:
    rng = random.Random(0)
    damaged = [bytearray(content) for _ in range(count)]
    for copy in damaged:
        copy[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return [bytes(copy) for copy in damaged]


@sizes
def test_flipped_bits_of_our_files_change_no_value(tmp_path: Path, share: float) -> None:
    path = tmp_path / "t.parquet"
    write(TABLE, path)

    found = [_outcome(path, damaged) for damaged in _flips(path.read_bytes(), int(1000 * share))]

    # Page checksums cover all values; names and types stand in the footer, which has none.
    assert found.count("different") <= 0.005 * len(found)
    assert found.count("refused") >= 0.8 * len(found)


@sizes
def test_flipped_bits_of_other_files_never_escape(tmp_path: Path, share: float) -> None:
    sink = io.BytesIO()
    TABLE.write_parquet(sink)  # without checksums

    found = [
        _outcome(tmp_path / "t.parquet", damaged)
        for damaged in _flips(sink.getvalue(), int(1000 * share))
    ]

    assert found.count("refused") > 0


@sizes
def test_truncated_files_are_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "t.parquet"
    write(TABLE, path)
    content = path.read_bytes()
    rng = random.Random(1)

    cuts = [rng.randrange(len(content)) for _ in range(int(200 * share))]

    assert {_outcome(path, content[:cut]) for cut in cuts} == {"refused"}
