"""Folds keep shares and patients; their files survive a round trip."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from seqmamba.datasets.bags.labels import read_labels
from seqmamba.datasets.bags.splits import (
    Split,
    check_groups,
    make_folds,
    read_split,
    read_splits,
    write_split,
)
from seqmamba.errors import DataError

IDS = [f"s{i}" for i in range(9)]
SPLIT = Split(np.array([0, 3, 5, 7]), np.array([1]), np.array([2, 8]))


@given(st.lists(st.integers(0, 2), min_size=10, max_size=60), st.integers(2, 5), st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_every_fold_has_its_share_of_each_class(
    classes: list[int], n_folds: int, seed: int
) -> None:
    codes = np.array(classes)

    fold = make_folds(codes, None, n_folds, seed)

    for code in np.unique(codes):
        counts = np.bincount(fold[codes == code], minlength=n_folds)
        assert counts.max() - counts.min() <= 1


@given(st.lists(st.integers(0, 11), min_size=20, max_size=60), st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_a_group_is_never_cut(patients: list[int], seed: int) -> None:
    groups = np.array([*patients, *range(12)])

    fold = make_folds(groups % 2, groups, 3, seed)

    assert all(len(np.unique(fold[groups == g])) == 1 for g in range(12))


def test_more_folds_than_groups_is_an_error() -> None:
    with pytest.raises(DataError, match="2 groups cannot be dealt to 3 folds"):
        make_folds(np.zeros(4), np.array([0, 0, 1, 1]), 3, 0)


def test_a_split_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "splits_0.csv"

    write_split(path, SPLIT, IDS)
    written = path.read_bytes()
    (found,) = read_splits(tmp_path, IDS)
    write_split(path, found, IDS)

    assert path.read_bytes() == written
    for part, expected in zip(found, SPLIT, strict=True):
        assert_array_equal(part, expected)


def test_the_boolean_form_reads_the_same(tmp_path: Path) -> None:
    path = tmp_path / "splits_0_bool.csv"
    rows = [[name + ".svs", *(i in part for part in SPLIT)] for i, name in enumerate(IDS)]
    text = "\n".join([",train,val,test", *(",".join(map(str, row)) for row in rows)])
    path.write_text(text + "\n", encoding="utf-8")

    found = read_splits(tmp_path, IDS)[0]

    for part, expected in zip(found, SPLIT, strict=True):
        assert_array_equal(part, expected)


def test_an_unknown_bag_in_a_split_is_named(tmp_path: Path) -> None:
    write_split(tmp_path / "splits_0.csv", SPLIT, IDS)

    with pytest.raises(DataError, match="bag 's8' into test"):
        read_split(tmp_path / "splits_0.csv", IDS[:8])


def test_a_patient_on_both_sides_is_named() -> None:
    groups = np.array(["p0"] * 3 + ["p1"] * 6)

    with pytest.raises(DataError, match="patient 'p0' is in train and in val"):
        check_groups(SPLIT, groups, "splits_0.csv")


def test_labels_come_in_the_order_of_the_bags() -> None:
    table = pl.DataFrame(
        {
            "case_id": ["p1", "p0"],
            "slide_id": ["b.svs", "a.svs"],
            "label": ["x", "y"],
            "survival_months": [2, 1],
            "censorship": [1, 0],
        }
    )

    found = read_labels(table, ["a", "b"])

    assert found.label is not None
    assert found.group is not None
    assert found.time is not None
    assert found.event is not None
    assert found.label.tolist() == ["y", "x"]
    assert found.group.tolist() == ["p0", "p1"]
    assert found.time.tolist() == [1.0, 2.0]
    assert found.event.tolist() == [True, False]


def test_a_bag_without_label_and_a_label_without_bag_are_named() -> None:
    table = pl.DataFrame({"bag_id": ["a", "b"], "label": [0, 1]})

    with pytest.raises(DataError, match="bag 'c' has no label"):
        read_labels(table, ["a", "b", "c"])
    with pytest.raises(DataError, match="no bag for the label of 'b'"):
        read_labels(table, ["a"])


def test_a_repeated_or_missing_label_is_named() -> None:
    with pytest.raises(DataError, match="bag 'a' twice"):
        read_labels(pl.DataFrame({"bag_id": ["a", "a"], "label": [0, 1]}), ["a"])
    with pytest.raises(DataError, match="bag 'a' has no label"):
        read_labels(pl.DataFrame({"bag_id": ["a", "b"], "label": [None, 1]}), ["a", "b"])
