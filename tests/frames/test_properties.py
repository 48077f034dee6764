"""Properties of reading that hold for every table, found by generation.

The default run draws few examples; ``-m slow`` draws many.
"""

import io
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqmamba.errors import DataError
from seqmamba.frames import numeric, read, times, write
from seqmamba.frames.inference import NULL_WORDS

FEW, MANY = 8, 500

# Text that a spreadsheet would run gets an apostrophe (tested elsewhere); NUL is refused.
TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8
).filter(lambda text: text[0] not in "=+-@\t\r")
INTEGERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=6)
KINDS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "text": (pl.String, TEXTS),
    "integer": (pl.Int64, INTEGERS),
    "float": (pl.Float64, FLOATS),
    "boolean": (pl.Boolean, st.booleans()),
}


@st.composite
def tables(draw: st.DrawFn, min_rows: int = 1) -> pl.DataFrame:
    """Draw a table with a text column ``id`` and up to four others, gaps included."""
    names = draw(st.lists(NAMES.filter(lambda name: name != "id"), max_size=4, unique=True))
    height = draw(st.integers(min_rows, 6))
    ids = draw(st.lists(TEXTS, min_size=height, max_size=height))
    columns = [pl.Series("id", ids, dtype=pl.String)]
    for name in names:
        kind, values = KINDS[draw(st.sampled_from(sorted(KINDS)))]
        drawn = draw(st.lists(st.none() | values, min_size=height, max_size=height))
        columns.append(pl.Series(name, drawn, dtype=kind))
    return pl.DataFrame(columns)


def holds(check: Callable[..., None], strategy: Any, examples: int) -> None:
    """Run a property over drawn examples."""
    settings(
        max_examples=examples,
        deadline=None,
        derandomize=examples == FEW,
        database=None,
        suppress_health_check=[*HealthCheck],
    )(given(strategy)(check))()  # type: ignore[no-untyped-call]  # given hides the signature


def round_trip(frame: pl.DataFrame, suffix: str, **options: Any) -> pl.DataFrame:
    """Write a table and read it again; text columns are declared, as ids are."""
    texts = [name for name, kind in frame.schema.items() if kind == pl.String]
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"table{suffix}"
        write(frame, path)
        return read(path, text_columns=texts, **options)[0]


def settled(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the table as CSV can tell it: an empty column has no type, whole floats one form."""
    empty = [
        c.name for c in frame.iter_columns() if c.null_count() == len(c) and c.dtype != pl.String
    ]
    return frame.with_columns(pl.col(empty).cast(pl.Float64))


def assert_same(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    assert found.schema == expected.schema
    assert found.rows() == expected.rows()


runs = pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])


@runs
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz", ".parquet", ".feather"])
def test_writing_then_reading_is_the_identity(examples: int, suffix: str) -> None:
    def check(frame: pl.DataFrame) -> None:
        expected = frame if suffix in (".parquet", ".feather") else settled(frame)
        assert_same(round_trip(frame, suffix), expected)

    holds(check, tables(), examples)


@runs
def test_parquet_and_csv_tell_the_same(examples: int) -> None:
    def check(frame: pl.DataFrame) -> None:
        assert_same(settled(round_trip(frame, ".parquet")), round_trip(frame, ".csv"))

    holds(check, tables(), examples)


@runs
@pytest.mark.parametrize(
    ("separator", "quoting"),
    [
        (",", "necessary"),
        (",", "always"),
        (";", "always"),
        ("\t", "non_numeric"),
        ("|", "necessary"),
    ],
)
def test_separator_and_quoting_do_not_matter(examples: int, separator: str, quoting: Any) -> None:
    def check(frame: pl.DataFrame) -> None:
        sink = io.BytesIO()
        frame.write_csv(sink, separator=separator, quote_style=quoting)
        texts = [name for name, kind in frame.schema.items() if kind == pl.String]
        with TemporaryDirectory() as folder:
            path = Path(folder) / "table.csv"
            path.write_bytes(sink.getvalue())
            found, _ = read(path, text_columns=texts, separator=separator)
        # A quoted nothing is the empty text, not a gap.
        gap = None if quoting == "necessary" else ""
        filled = pl.selectors.string().fill_null(pl.lit(gap))
        assert_same(found.with_columns(filled), settled(frame).with_columns(filled))

    holds(check, tables(), examples)


@runs
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found(examples: int, separator: str) -> None:
    def check(rows: list[tuple[int, float, str]]) -> None:
        frame = pl.DataFrame(rows, schema=["a", "b", "c"], orient="row")
        with TemporaryDirectory() as folder:
            path = Path(folder) / "table.csv"
            frame.write_csv(path, separator=separator)
            assert_same(read(path)[0], frame)

    words = st.text("xyz ,;|'", min_size=1, max_size=12).map(lambda text: f"w{text}w")
    holds(check, st.lists(st.tuples(INTEGERS, FLOATS, words), min_size=1, max_size=5), examples)


@runs
def test_the_order_of_rows_changes_no_value(examples: int) -> None:
    def check(frame: pl.DataFrame) -> None:
        assert_same(round_trip(frame.reverse(), ".csv").reverse(), round_trip(frame, ".csv"))

    holds(check, tables(), examples)


@runs
def test_the_order_of_columns_changes_no_value(examples: int) -> None:
    def check(frame: pl.DataFrame) -> None:
        names = frame.columns
        assert_same(
            round_trip(frame.select(names[::-1]), ".csv").select(names), round_trip(frame, ".csv")
        )

    holds(check, tables(), examples)


@runs
def test_another_column_changes_no_value(examples: int) -> None:
    def check(frame: pl.DataFrame) -> None:
        wider = frame.with_columns(pl.lit("extra").alias("another column"))
        assert_same(round_trip(wider, ".csv").select(frame.columns), round_trip(frame, ".csv"))

    holds(check, tables(), examples)


@runs
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_pieces_equal_the_whole(examples: int, suffix: str) -> None:
    def check(frame: pl.DataFrame) -> None:
        texts = [name for name, kind in frame.schema.items() if kind == pl.String]
        with TemporaryDirectory() as folder:
            for row in range(frame.height):
                write(frame[row : row + 1], Path(folder) / f"part-{row}.{suffix}")
            found, _ = read(f"{folder}/part-*.{suffix}", text_columns=texts)
        assert_same(found, round_trip(frame, f".{suffix}"))

    holds(check, tables(min_rows=2), examples)


@runs
def test_line_ends_do_not_matter(examples: int) -> None:
    def check(frame: pl.DataFrame, line_end: bytes, at_end: bool) -> None:
        lines = [b"a,b", *(f"{a},{b!r}".encode() for a, b in frame.rows())]
        content = line_end.join(lines) + (line_end if at_end else b"")
        with TemporaryDirectory() as folder:
            path = Path(folder) / "table.csv"
            path.write_bytes(content)
            assert_same(read(path)[0], frame)

    rows = st.lists(st.tuples(INTEGERS, FLOATS), min_size=1, max_size=5)
    frames = rows.map(lambda drawn: pl.DataFrame(drawn, schema=["a", "b"], orient="row"))
    ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
    holds(lambda drawn: check(*drawn), st.tuples(frames, ends, st.booleans()), examples)


@runs
def test_a_wrong_field_count_names_its_row(examples: int) -> None:
    def check(height: int, row: int, fields: int) -> None:
        lines = ["a,b,c", *["1,2,3"] * height]
        lines[1 + row % height] = ",".join("9" * fields)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "table.csv"
            path.write_text("\n".join(lines))
            with pytest.raises(DataError, match=rf"row {1 + row % height} has {fields} fields"):
                read(path)

    drawn = st.tuples(st.integers(1, 50), st.integers(0, 49), st.sampled_from([1, 2, 4, 7]))
    holds(lambda case: check(*case), drawn, examples)


@runs
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_text_among_numbers_names_column_row_and_value(examples: int, suffix: str) -> None:
    def check(numbers: list[float], row: int, word: str) -> None:
        cells = [str(number) for number in numbers]
        cells[row % len(cells)] = f"x{word}"
        frame = pl.DataFrame({"id": cells, "y": cells})
        found = round_trip(frame, suffix)
        with pytest.raises(DataError) as caught:
            numeric(found, "y")
        place = (caught.value.column, caught.value.where, caught.value.value)
        assert place == ("y", f"row {1 + row % len(cells)}", f"x{word}")

    words = st.text("abc, ", max_size=4)
    numbers = st.lists(FLOATS, min_size=1, max_size=20)
    holds(lambda case: check(*case), st.tuples(numbers, st.integers(0, 19), words), examples)


@runs
def test_numbers_and_their_spelling_agree(examples: int) -> None:
    def check(values: list[float | None]) -> None:
        spelled = [
            NULL_WORDS[i % len(NULL_WORDS)] if v is None else f" {v!r}"
            for i, v in enumerate(values)
        ]
        frame = pl.DataFrame({"y": pl.Series(values, dtype=pl.Float64), "s": spelled})

        assert numeric(frame, "s").to_list() == numeric(frame, "y").to_list() == values

    holds(check, st.lists(st.none() | FLOATS, min_size=1, max_size=10), examples)


@runs
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_times_survive(examples: int, suffix: str, zone: str | None) -> None:
    def check(stamps: list[Any]) -> None:
        frame = pl.DataFrame({"ds": pl.Series(stamps, dtype=pl.Datetime("us"))})
        utc = frame["ds"].dt.replace_time_zone("UTC")
        frame = frame.with_columns(utc.dt.convert_time_zone(zone) if zone else frame["ds"])

        found = times(round_trip(frame, suffix), "ds")

        assert found.cast(pl.Int64).to_list() == frame["ds"].cast(pl.Int64).to_list()

    low, high = pl.datetime(1980, 1, 1), pl.datetime(2037, 12, 31)
    years = st.datetimes(*(pl.select(edge).item() for edge in (low, high)))
    holds(check, st.lists(years, min_size=1, max_size=6), examples)


@runs
def test_categories_are_stable_under_recoding(examples: int) -> None:
    def check(frame: pl.DataFrame) -> None:
        coded = frame.with_columns(pl.col("id").cast(pl.Categorical))

        again = coded.with_columns(pl.col("id").cast(pl.String).cast(pl.Categorical))

        texts = [round_trip(table, ".parquet")["id"].cast(pl.String) for table in (coded, again)]
        assert texts[0].to_list() == texts[1].to_list() == frame["id"].to_list()

    holds(check, tables(), examples)


@runs
def test_any_bytes_end_in_a_table_or_a_data_error(examples: int) -> None:
    def check(content: bytes) -> None:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "table.csv"
            path.write_bytes(content)
            try:
                frame, _ = read(path)
            except DataError:
                return
            assert frame.height > 0

    pieces = [
        b"a",
        b"1",
        b",",
        b";",
        b"\n",
        b"\r",
        b'"',
        b"\t",
        b" ",
        b"\xc3\xa9",
        b"\xff",
        b"-",
        b".",
    ]
    soup = st.lists(st.sampled_from(pieces), max_size=40).map(b"".join)
    holds(check, st.binary(max_size=60) | soup, 10 * examples)
