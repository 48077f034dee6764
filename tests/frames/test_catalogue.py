"""The catalogue of troublesome tables (reliability specification, section 5), CSV and Parquet.

A case is accepted as the exact table, or refused with one sentence that names the place.
"""

import gzip
import io
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet
import pytest

from seqmamba.errors import DataError
from seqmamba.frames import numeric, read, require_columns, times
from seqmamba.frames.delimited import encoding

NUMBERS = b"a,b\n1,2\n3,4\n"
LONG = b"a,b\n" + b"1,2\n" * 200
TABLE: dict[str, list[Any]] = {"a": [1, 3], "b": [2, 4]}


def _wide(width: int) -> bytes:
    header = ",".join(f"c{i}" for i in range(width))
    return f"{header}\n{','.join('1' * width)}\n".encode()


# name: (bytes, options, columns of the table that must come out)
ACCEPTED: dict[str, tuple[bytes, dict[str, Any], dict[str, list[Any]]]] = {
    "3 one row": (b"a,b\n1,2\n", {}, {"a": [1], "b": [2]}),
    "5 BOM": (b"\xef\xbb\xbf" + NUMBERS, {}, TABLE),
    "5 BOM before a quote": (b'\xef\xbb\xbf"a",b\n1,2\n3,4\n', {}, TABLE),
    "6 CRLF": (NUMBERS.replace(b"\n", b"\r\n"), {}, TABLE),
    "7 CR only": (NUMBERS.replace(b"\n", b"\r"), {}, TABLE),
    "7 CR only, no end": (b"a,b\r1,2\r3,4", {}, TABLE),
    "8 semicolon": (NUMBERS.replace(b",", b";"), {}, TABLE),
    "9 tab": (NUMBERS.replace(b",", b"\t"), {}, TABLE),
    "9 bar": (NUMBERS.replace(b",", b"|"), {}, TABLE),
    "9 colon, given": (NUMBERS.replace(b",", b":"), {"separator": ":"}, TABLE),
    "10 decimal comma": (b"a;b\n1,5;2\n", {"decimal_comma": True}, {"a": [1.5], "b": [2]}),
    "10 decimal comma, not asked": (b"a;b\n1,5;2\n", {}, {"a": ["1,5"], "b": [2]}),
    "11 thousand separators": (b"a;b\n1,500,000;2\n", {}, {"a": ["1,500,000"], "b": [2]}),
    "13 float after 200 integers": (
        LONG + b"1.5,2\n",
        {},
        {"a": [1.0] * 200 + [1.5], "b": [2] * 201},
    ),
    "14 words of nothing": (
        b"a,b\nNaN,1\nnan,2\nNA,3\n,4\nnull,5\nN/A,6\nNone,7\nNULL,8\n1,9\n",
        {},
        {"a": [None] * 8 + [1], "b": [*range(1, 10)]},
    ),
    "14 words of nothing among floats": (
        b"a,b\n0.5,1\nnull,2\n",
        {},
        {"a": [0.5, None], "b": [1, 2]},
    ),
    "15 infinities, null": (
        b"a,b\ninf,1\n-inf,2\nInfinity,3\n1e999,4\n1,5\n",
        {"on_inf": "null"},
        {"a": [None] * 4 + [1.0], "b": [1, 2, 3, 4, 5]},
    ),
    "16 column all null": (b"a,b\n,1\nNA,2\n", {}, {"a": [None, None], "b": [1, 2]}),
    "17 constant column": (b"a,b\n7,1\n7,2\n", {}, {"a": [7, 7], "b": [1, 2]}),
    "22 line break in a name": (b'"a\nz",b\n1,2\n3,4\n', {}, {"a\nz": [1, 3], "b": [2, 4]}),
    "22 quotes in a name": (b'"a""z",b\n1,2\n3,4\n', {}, {'a"z': [1, 3], "b": [2, 4]}),
    "24 extra column": (b"a,b,c\n1,2,x\n3,4,y\n", {}, {**TABLE, "c": ["x", "y"]}),
    "25 leading zeros": (b"a,b\n007,2\n12,4\n", {}, {"a": ["007", "12"], "b": [2, 4]}),
    "25 leading zeros among floats": (
        b"a,b\n007,2\n1.5,4\n",
        {},
        {"a": ["007", "1.5"], "b": [2, 4]},
    ),
    "25 ids as text": (
        b"a,b\n1,2\n1.0,4\n",
        {"text_columns": ["a"]},
        {"a": ["1", "1.0"], "b": [2, 4]},
    ),
    "26 ids beyond 64 bit": (
        b"a,b\n123456789012345678901234,2\n5,4\n",
        {},
        {"a": ["123456789012345678901234", "5"], "b": [2, 4]},
    ),
    "26 largest 64 bit integer": (b"a\n9223372036854775807\n", {}, {"a": [2**63 - 1]}),
    "27 letters of the world": (
        "a,b\n😀,1\ne\u0301,2\n\u05d0\u05d1,3\né,4\n".encode(),
        {},
        {"a": ["😀", "e\u0301", "\u05d0\u05d1", "é"], "b": [1, 2, 3, 4]},
    ),
    "28 case and trailing space": (
        b"a,b\nX,1\nx,2\nx ,3\n",
        {},
        {"a": ["X", "x", "x "], "b": [1, 2, 3]},
    ),
    "33 quoted line break": (
        b'a,b\n"x\ny",1\n"p\r\nq",2\n',
        {},
        {"a": ["x\ny", "p\r\nq"], "b": [1, 2]},
    ),
    "33 quoted blank line": (
        b'a,b\n"x\n\ny",1\n\nz,2\n\n',
        {},
        {"a": ["x\n\ny", "z"], "b": [1, 2]},
    ),
    "33 quoted separator": (
        b'a,b\n"x,y",1\n"say ""hi""",2\n',
        {},
        {"a": ["x,y", 'say "hi"'], "b": [1, 2]},
    ),
    "36 500 columns": (_wide(500), {}, {f"c{i}": [1] for i in range(500)}),
    "36 10 000 columns": (_wide(10_000), {}, {f"c{i}": [1] for i in range(10_000)}),
    "blank lines": (b"\n\na,b\n\n1,2\n\n3,4\n\n\n", {}, TABLE),
    "blank lines, CRLF": (b"a,b\r\n\r\n1,2\r\n\r\n3,4\r\n\r\n", {}, TABLE),
    "blank line in one column is a gap": (b"a\n1\n\n3\n", {}, {"a": [1, None, 3]}),
    "no line feed at the end": (b"a,b\n1,2\n3,4", {}, TABLE),
    "empty field at the end": (b"a,b\n1,2\n3,", {}, {"a": [1, 3], "b": [2, None]}),
    "blanks around numbers": (b"a,b\n 1, 2\n3 ,4 \n", {}, TABLE),
    "signs and exponents": (b"a,b\n+1,-2e0\n-3,.5\n", {}, {"a": [1, -3], "b": [-2.0, 0.5]}),
    "booleans": (b"a,b\ntrue,1\nFalse,2\nNA,3\n", {}, {"a": [True, False, None], "b": [1, 2, 3]}),
    "a word after 200 booleans": (
        b"a\n" + b"true\n" * 200 + b"maybe\n",
        {},
        {"a": ["true"] * 200 + ["maybe"]},
    ),
    "a number after 200 gaps": (
        b"a,b\n" + b",1\n" * 200 + b"2,1\n",
        {},
        {"a": [None] * 200 + [2], "b": [1] * 201},
    ),
    "a word after 200 numbers": (
        b"a\n" + b"1\n" * 200 + b"x\n",
        {},
        {"a": ["1"] * 200 + ["x"]},
    ),
    "a code after 200 numbers": (
        b"a\n" + b"1\n" * 200 + b"007\n",
        {},
        {"a": ["1"] * 200 + ["007"]},
    ),
    "without a header": (b"1,2\n3,4\n", {"columns": ["a", "b"]}, TABLE),
    "declared types": (
        NUMBERS,
        {"schema": {"a": pl.Float32, "b": pl.Int8}},
        {"a": [1.0, 3.0], "b": [2, 4]},
    ),
}

# name: (bytes, options, what the sentence says)
REFUSED: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "1 empty": (b"", {}, "is empty"),
    "1 only line feeds": (b"\n\r\n\n", {}, "is empty"),
    "1 only a BOM": (b"\xef\xbb\xbf", {}, "is empty"),
    "2 header only": (b"a,b\n", {}, "has a header but no rows"),
    "2 header only, no end": (b"a,b", {}, "has a header but no rows"),
    "15 inf": (b"a,b\n1,2\ninf,3\n", {}, r"column 'a' is infinite at .*, row 2"),
    "15 -inf": (b"a,b\n1,2\n1.5,3\n-inf,3\n", {}, r"column 'a' is infinite at .*, row 3"),
    "15 1e999": (b"a,b\n1,2\n1e999,3\n", {}, r"column 'a' is infinite at .*, row 2"),
    "18 too many fields": (LONG + b"1,2,3\n4,5\n", {}, r"row 201 has 3 fields, the header has 2"),
    "18 too many fields, quoted": (b'a,b\n"x\ny",2\n1,"2",3\n', {}, r"row 2 has 3 fields"),
    "19 too few fields": (LONG + b"1\n4,5\n", {}, r"row 201 has 1 fields, the header has 2"),
    "19 too few, then too many": (b"a,b\n1\n1,2,3\n", {}, r"row 1 has 1 fields"),
    "19 too few, quoted": (b'a,b,c\n"x\ny",2,3\n"1,2",3\n', {}, r"row 2 has 2 fields"),
    "20 duplicate names": (b"a,b,a\n1,2,3\n", {}, "columns 1 and 3 .* are both named 'a'"),
    "21 empty name": (b"a,,c\n1,2,3\n", {}, "column 2 .* has no name"),
    "21 empty first name": (b",a\n0,2\n", {}, r"column 1 .* to_csv\(index=False\)"),
    "22 name of 10 kB": (b"x" * 10_000 + b",b\n1,2\n", {}, "column 1 .* name of 10000 characters"),
    "29 Latin-1": ("a,b\nx,1\né,2\n".encode("latin-1"), {}, "byte 0xE9 at offset 8, line 3"),
    "29 Latin-1 in a name": ("é,b\nx,1\n".encode("latin-1"), {}, "byte 0xE9 at offset 0, line 1"),
    "30 UTF-16": ("a,b\n1,2\n".encode("utf-16"), {}, "UTF-16 text.*save it as UTF-8"),
    "30 UTF-16, no BOM": ("a,b\n1,2\n".encode("utf-16-le"), {}, "header holds a NUL byte"),
    "31 NUL": (b"a,b\n1,2\n3\x00,4\n", {}, "row 2 holds a NUL byte"),
    "32 unclosed quote": (b'a,b\n1,2\n"3,4\n5,6\n', {}, "row 2 has a quote"),
    "32 unclosed quote before others": (b'a,b\n1,2\n3,"4\n5,"6"\n', {}, "row 2 has a quote"),
    "32 quote inside a field": (b'a,b\n1,2\n5"x,6"y\n', {}, "row 2 has a quote"),
    "32 unclosed quote in the header": (b'a,"b\n1,2\n', {}, "header has a quote"),
    "34 binary garbage": (bytes(range(128, 256)) * 20, {}, "not UTF-8: byte 0x80 at offset 0"),
    "34 a spreadsheet": (b"PK\x03\x04rest", {}, "zip archive or a spreadsheet.*export it as CSV"),
    "35 gzip": (gzip.compress(NUMBERS), {}, r"gzip data.*suffix \.gz"),
    "35 Zstandard": (b"\x28\xb5\x2f\xfdrest", {}, r"Zstandard data.*suffix \.zst"),
    "35 Parquet": (b"PAR1rest", {}, r"Parquet file.*suffix \.parquet"),
    "36 20 001 columns": (_wide(20_001), {}, "20001 columns; at most 20000"),
    "mixed line ends, quoted": (b'a,b\n"1",2\n"3"\r4,5\n', {}, "row 2 holds a carriage return"),
    "19 too few after a quoted break": (b'a,b\n"x\n\n\ny",2\n"z\n"\n', {}, "row 2 has 1 fields"),
    "19 too few after separators and breaks": (
        b'a,b,c\n1,2,"x\n\n\n\ny"\n1,2\n',
        {},
        r"row 2 has 2 fields",
    ),
    "32 quote opened long before": (b'a,b\n1,"2\n3\n4\n5\n6\n"7,8\n', {}, "row 1 has a quote"),
    "22 endless quoted name": (b'"' + b"x" * 200_000 + b'",b\n1,2\n', {}, "header .* is malformed"),
    "29 Latin-1 in a quoted name": (b'"\xe9\n",b\n1,2\n', {}, "byte 0xE9 at offset 1, line 1"),
    "other names than fields": (
        b"1,2\n",
        {"columns": ["a"]},
        "row 1 has 2 fields, columns= names 1",
    ),
    "mixed line ends": (
        b"a,b\n1,2\n3\r4,5\n",
        {},
        "row 2 holds a carriage return among line feeds",
    ),
    "declared type does not fit": (
        b"a,b\n1,2\nx,4\n",
        {"schema": {"a": pl.Float64}},
        r"column 'a' holds 'x' at .*, row 2, which is not Float64",
    ),
}


def _saved(tmp_path: Path, content: bytes, suffix: str = ".csv") -> Path:
    path = tmp_path / f"table{suffix}"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=pytest.mark.slow if "10 000" in case else ()) for case in ACCEPTED],
)
def test_csv_is_read_exactly(tmp_path: Path, case: str) -> None:
    content, options, expected = ACCEPTED[case]

    frame, like = read(_saved(tmp_path, content), **options)

    assert repr(frame.to_dict(as_series=False)) == repr(expected)  # 1, 1.0 and True differ
    assert like.library == "file"


@pytest.mark.parametrize("case", REFUSED)
def test_csv_is_refused_with_the_place(tmp_path: Path, case: str) -> None:
    content, options, message = REFUSED[case]

    with pytest.raises(DataError, match=message) as caught:
        read(_saved(tmp_path, content), **options)

    assert "table.csv" in str(caught.value)
    assert caught.value.where is not None
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("block", [1, 7])
@pytest.mark.parametrize("case", [case for case in ACCEPTED if "columns" not in case])
def test_the_size_of_blocks_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, block: int
) -> None:
    monkeypatch.setattr(encoding, "BLOCK", block)

    test_csv_is_read_exactly(tmp_path, case)


@pytest.mark.parametrize("block", [1, 7])
@pytest.mark.parametrize("case", [case for case in REFUSED if not case.startswith("34 a spread")])
def test_places_do_not_depend_on_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, block: int
) -> None:
    monkeypatch.setattr(encoding, "BLOCK", block)

    test_csv_is_refused_with_the_place(tmp_path, case)


@pytest.mark.parametrize("packing", [".gz", ".zst"])
@pytest.mark.parametrize("case", ["6 CRLF", "7 CR only", "8 semicolon", "33 quoted line break"])
def test_compressed_csv_is_read_alike(tmp_path: Path, case: str, packing: str) -> None:
    content, options, expected = ACCEPTED[case]
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, {".gz": "gzip", ".zst": "zstd"}[packing]) as stream:
        stream.write(content)

    frame, _ = read(_saved(tmp_path, sink.getvalue().to_pybytes(), f".csv{packing}"), **options)

    assert frame.to_dict(as_series=False) == expected


def _parquet(table: dict[str, list[Any]], tmp_path: Path) -> Path:
    sink = io.BytesIO()
    pl.DataFrame(table).write_parquet(sink)
    return _saved(tmp_path, sink.getvalue(), ".parquet")


PARQUET_ACCEPTED: dict[str, dict[str, list[Any]]] = {
    case: expected for case, (_, _, expected) in ACCEPTED.items() if not case.startswith("36")
}


@pytest.mark.parametrize("case", PARQUET_ACCEPTED)
def test_parquet_keeps_the_same_tables(tmp_path: Path, case: str) -> None:
    expected = PARQUET_ACCEPTED[case]

    frame, _ = read(_parquet(expected, tmp_path))

    assert frame.to_dict(as_series=False) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "table.parquet cannot be read"),
        (b"PAR1", "table.parquet cannot be read"),
        (b"a,b\n1,2\n", "table.parquet cannot be read"),
        (b"PAR1" + bytes(100) + b"PAR1", "table.parquet cannot be read"),
    ],
    ids=["empty", "magic only", "CSV", "hollow"],
)
def test_broken_parquet_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(_saved(tmp_path, content, ".parquet"))


def test_parquet_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no rows"):
        read(_parquet({"a": []}, tmp_path))


def test_parquet_with_infinities_is_refused(tmp_path: Path) -> None:
    path = _parquet({"a": [0.0, float("inf")]}, tmp_path)

    with pytest.raises(DataError, match=r"column 'a' is infinite at .*row 2"):
        read(path)
    assert read(path, on_inf="null")[0]["a"].to_list() == [0.0, None]


def test_integer_ids_of_parquet_become_text(tmp_path: Path) -> None:
    path = _parquet({"unique_id": [7, 12], "y": [1.0, 2.0]}, tmp_path)

    frame, _ = read(path, text_columns=["unique_id"])

    assert frame["unique_id"].to_list() == ["7", "12"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_12_text_in_a_numeric_column_is_named(tmp_path: Path, suffix: str) -> None:
    values = ["1"] * 200 + ["twelve", "3"]
    path = tmp_path / f"table.{suffix}"
    frame = pl.DataFrame({"y": values})
    frame.write_csv(path) if suffix == "csv" else frame.write_parquet(path)

    with pytest.raises(DataError, match="column 'y' holds 'twelve' at row 201") as caught:
        numeric(read(path)[0], "y")

    error = caught.value
    assert (error.column, error.where, error.value) == ("y", "row 201", "twelve")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_23_a_missing_column_lists_the_others(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table.{suffix}"
    frame = pl.DataFrame({"date": ["x"], "sales": [1]})
    frame.write_csv(path) if suffix == "csv" else frame.write_parquet(path)

    with pytest.raises(DataError, match=r"no column 'sale'\. Columns: 'date', 'sales'.*'sales'\?"):
        require_columns(read(path)[0], ["date", "sale"])


@pytest.mark.parametrize(
    ("stamps", "message"),
    [
        (["2020-01-01T00:00:00+01:00", "2020-01-01T01:00:00"], r"\(row 1\) has a zone.*\(row 2\)"),
        (["2020-01-01", "01/02/2020"], r"row 2: '01/02/2020' .* '2020-01-01' \(row 1\)"),
        (["13/01/2020", "01/13/2020"], r"'13/01/2020' \(row 1\) and '01/13/2020' \(row 2\)"),
        (["01/02/2020", "03/04/2020"], "may be day/month or month/day"),
    ],
    ids=["40 naive and aware", "41 mixed forms", "41 mixed order", "41 ambiguous"],
)
def test_troublesome_times_are_refused(tmp_path: Path, stamps: list[str], message: str) -> None:
    path = tmp_path / "table.csv"
    pl.DataFrame({"ds": stamps, "y": [1.0, 2.0]}).write_csv(path)

    with pytest.raises(DataError, match=message) as caught:
        times(read(path)[0], "ds")

    assert caught.value.column == "ds"
