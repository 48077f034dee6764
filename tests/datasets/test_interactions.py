"""Interactions are read exactly, whatever their form, or one sentence says why not."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmamba.datasets.interactions.formats import read_atomic, write_atomic
from seqmamba.datasets.interactions.ids import Ids, encode, id_series
from seqmamba.datasets.interactions.table import Interactions, read_interactions
from seqmamba.errors import DataError


def histories(data: Interactions) -> dict[Any, list[Any]]:
    items = data.items.take(data.sequence - 1).to_list()
    return {
        user: items[a:b]
        for user, a, b in zip(data.users.values, data.offsets, data.offsets[1:], strict=False)
    }


LOG = {"user_id": ["b", "a", "b", "a"], "item_id": [7, 5, 5, 5], "timestamp": [3, 1, 2, 1]}
EXPECTED = {"b": [5, 7], "a": [5, 5]}


@pytest.mark.parametrize("kind", ["dict", "pandas", "polars", "lazy", "category", "dates", "text"])
def test_every_table_gives_the_same_histories(kind: str) -> None:
    frame = pd.DataFrame(LOG)
    tables: dict[str, Any] = {
        "dict": LOG,
        "pandas": frame,
        "polars": pl.DataFrame(LOG),
        "lazy": pl.DataFrame(LOG).lazy(),
        "category": frame.astype({"user_id": "category"}),
        "dates": frame.assign(timestamp=pd.to_datetime(frame.timestamp, unit="D")),
        "text": frame.assign(timestamp=[f"2020-01-0{day}" for day in frame.timestamp]),
    }

    assert histories(read_interactions(tables[kind])) == EXPECTED


def test_files_give_the_same_histories(tmp_path: Path) -> None:
    table = pl.DataFrame(LOG)
    table.write_parquet(tmp_path / "log.parquet")
    table.write_csv(tmp_path / "log.csv")
    write_atomic(table, tmp_path / "log.inter")
    (tmp_path / "log.inter.gz").write_bytes(gzip.compress((tmp_path / "log.inter").read_bytes()))
    (tmp_path / "pairs.txt").write_text("b 5\na 5\nb 7\na 5\n")
    (tmp_path / "rows.txt").write_text("b 5 7\na 5 5\n")

    assert histories(read_interactions(tmp_path / "log.parquet")) == EXPECTED
    text = {user: [str(item) for item in items] for user, items in EXPECTED.items()}
    for name in ("log.csv", "log.inter", "log.inter.gz", "pairs.txt"):
        assert histories(read_interactions(tmp_path / name)) == text, name
    assert histories(read_interactions(tmp_path / "rows.txt", format="sequences")) == text
    assert histories(read_interactions([[5, 7], [5, 5]])) == {0: [5, 7], 1: [5, 5]}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_ties_in_time_keep_the_order_of_rows(rows: list[tuple[int, int]]) -> None:
    users, items = (list(column) for column in zip(*rows, strict=True))
    table = {"user_id": users, "item_id": items, "timestamp": [0] * len(rows)}

    found = histories(read_interactions(table))

    assert found == {user: [i for u, i in rows if u == user] for user in set(users)}


@given(st.permutations(range(12)))
@settings(max_examples=40, deadline=None)
def test_the_order_of_rows_does_not_matter_where_times_differ(order: list[int]) -> None:
    generator = np.random.default_rng(0)
    users, items = generator.integers(0, 3, 12), generator.integers(0, 4, 12)
    plain = read_interactions({"user_id": users, "item_id": items, "timestamp": np.arange(12)})
    rows = np.array(order)

    mixed = read_interactions({"user_id": users[rows], "item_id": items[rows], "timestamp": rows})

    assert mixed.sequence.tolist() == plain.sequence.tolist()
    assert mixed.users.values.to_list() == plain.users.values.to_list()


@pytest.mark.parametrize(("which", "kept"), [("keep", "abab"), ("first", "ab"), ("last", "ab")])
def test_duplicates_stay_as_asked(which: Any, kept: str) -> None:
    table = {"user_id": [1] * 4, "item_id": list("abab"), "timestamp": [1, 2, 3, 4]}
    data = read_interactions(table, duplicates=which)

    assert "".join(histories(data)[1]) == kept
    assert data.times is not None
    assert data.times.tolist() == {"keep": [1, 2, 3, 4], "first": [1, 2], "last": [3, 4]}[which]


def test_the_core_is_a_fixed_point() -> None:
    # Without item z user 3 falls below two events, without user 3 item y does.
    table = {"user_id": [1, 1, 2, 2, 3, 3], "item_id": list("wxwxyz")}

    data = read_interactions(table, min_user=2, min_item=2)

    assert histories(data) == {1: ["w", "x"], 2: ["w", "x"]}
    with pytest.raises(DataError, match="no interaction is left"):
        read_interactions(table, min_user=5)


def test_low_ratings_are_left_out() -> None:
    table = {"user_id": [1, 1, 1], "item_id": list("abc"), "rating": [5.0, 1.0, 4.0]}

    assert histories(read_interactions(table, min_rating=4)) == {1: ["a", "c"]}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item_id": [1, None]}, "1 rows have no item_id; first: row 2"),
        ({"item_id": [1.0, float("inf")]}, "item_id of row 2 is inf"),
        ({"timestamp": [1.0, float("nan")]}, "row 2"),
        ({"timestamp": ["2020-01-01T00:00:00Z", "2020-01-01T00:00:00"]}, "row 2"),
    ],
    ids=["null item", "infinite id", "nan time", "mixed zones"],
)
def test_bad_rows_are_named(columns: dict[str, list[Any]], message: str) -> None:
    table = {"user_id": [1, 1], "item_id": [1, 2], "timestamp": [1, 2], **columns}

    with pytest.raises(DataError, match=message):
        read_interactions(table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user_id:token\titem_id:tokn\n1\t2\n", r"'item_id:tokn'.*Did you mean 'token'"),
        ("user_id\titem_id\n1\t2\n", "no known type"),
        ("user_id:token\tr:float\n1\tx\n", "line 2: r is 'x', not a number"),
        ("user_id:token\titem_id:token\n", "no rows"),
        ("", "empty"),
    ],
    ids=["misspelt", "no type", "no number", "header only", "empty"],
)
def test_atomic_files_that_do_not_parse(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.inter"
    path.write_text(text)

    with pytest.raises(DataError, match=message):
        read_atomic(path)


def test_atomic_files_keep_types_and_come_back_equal(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {"user_id": ["007", "x"], "rating": [1.5, 2.0], "genre": [["a", "b"], ["c"]]}
    )

    back = read_atomic(write_atomic(table, tmp_path / "a.inter"))

    assert back.equals(table)


def test_ids_are_found_by_their_spelling() -> None:
    words, _ = encode(id_series(pl.Series(["7", "07", "é"]), "item_id"))
    numbers, codes = encode(id_series(pl.Series([30.0, 7.0, 30.0]), "item_id"))

    assert words.codes([7]).tolist() == [0]
    assert words.codes(["07", "é", "?"]).tolist() == [1, 2, -1]
    assert numbers.codes(["7", "x"]).tolist() == [1, -1]
    assert codes.tolist() == [0, 1, 0]
    for ids in (words, numbers):
        assert Ids.from_bytes(ids.to_bytes()).values.equals(ids.values)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "options", "counts"),
    [
        ("ml-100k.inter.gz", {}, (943, 1682, 100_000)),
        (
            "ml-1m.sequences.parquet",
            {"time_col": "position", "min_user": 5, "min_item": 5},
            (6040, 3416, 999_611),
        ),
    ],
)
def test_published_counts(
    data_dir: Path, name: str, options: dict[str, Any], counts: tuple[int, int, int]
) -> None:
    data = read_interactions(data_dir / "recommendation" / name, **options)

    assert (len(data.users), len(data.items), len(data.sequence)) == counts
