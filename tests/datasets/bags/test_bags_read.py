"""Bags of every format are the same bags, and what is wrong is named."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.testing import assert_array_equal

from seqmamba.datasets.bags.files import FileBags, write_h5
from seqmamba.datasets.bags.packed import from_arrays
from seqmamba.datasets.bags.read import read_bags
from seqmamba.datasets.bags.stream import ParquetBags
from seqmamba.errors import DataError, MissingPackageError

SIZES = (3, 1, 5)


@pytest.fixture
def arrays() -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(n, 4)).astype(np.float32) for n in SIZES]


@pytest.fixture
def table(arrays: list[Any]) -> pl.DataFrame:
    rows = np.concatenate(arrays)
    ids = np.repeat(["a", "b", "c"], SIZES).tolist()
    order = np.concatenate([np.arange(n) for n in SIZES])
    head = pl.DataFrame({"bag_id": ids, "instance": order, "instance_label": 0})
    return head.hstack([pl.Series(f"f{j}", rows[:, j]) for j in range(4)])


def all_rows(bags: Any) -> list[Any]:
    return [bags.take(np.array([i])) for i in range(len(bags.ids))]


def check_same(bags: Any, arrays: list[Any]) -> None:
    assert bags.lengths.tolist() == list(SIZES)
    for found, array in zip(all_rows(bags), arrays, strict=True):
        assert_array_equal(found, array)
    both = bags.take(np.array([2, 0]))
    assert_array_equal(both, np.concatenate([arrays[2], arrays[0]]))


def test_a_list_of_arrays_or_tensors(arrays: list[Any]) -> None:
    check_same(read_bags(arrays).bags, arrays)
    check_same(read_bags([torch.from_numpy(a) for a in arrays]).bags, arrays)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_long_table(table: pl.DataFrame, arrays: list[Any], suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"bags{suffix}"
    table.write_csv(path) if suffix == ".csv" else table.write_parquet(path)

    check_same(read_bags(path).bags, arrays)


def test_a_list_column_of_features(table: pl.DataFrame, arrays: list[Any]) -> None:
    names = [f"f{j}" for j in range(4)]
    short = table.select("bag_id", features=pl.concat_list(names))

    check_same(read_bags(short).bags, arrays)


def test_rows_may_come_in_any_order(table: pl.DataFrame, arrays: list[Any]) -> None:
    shuffled = read_bags(table.sample(fraction=1, shuffle=True, seed=1)).bags

    for name, array in zip("abc", arrays, strict=True):
        assert_array_equal(shuffled.take(np.array([shuffled.ids.index(name)])), array)


def test_labels_and_places_are_no_features(table: pl.DataFrame) -> None:
    more = table.with_columns(x=0.0, y=1.0, label=1, group=pl.lit("p"), focus=3.0)

    found = read_bags(more)

    assert found.bags.names == ("f0", "f1", "f2", "f3")
    assert found.bags.coords(0) is not None
    assert found.labels is not None
    assert found.labels.columns == ["bag_id", "label", "group"]


def test_a_large_parquet_file_is_read_bag_by_bag(
    table: pl.DataFrame, arrays: list[Any], tmp_path: Path
) -> None:
    path = tmp_path / "bags.parquet"
    table.with_columns(label=1).write_parquet(path, row_group_size=2)

    found = read_bags(path, cache_bytes=32)

    assert isinstance(found.bags, ParquetBags)
    check_same(found.bags, arrays)


def test_a_large_parquet_file_must_be_sorted(table: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "bags.parquet"
    table[[0, 1, 3, 2]].write_parquet(path)

    with pytest.raises(DataError, match="bag 'a' do not lie together"):
        read_bags(path, cache_bytes=1)


@pytest.mark.parametrize("suffix", [".h5", ".pt", ".npz", ".npy"])
def test_a_folder_of_files(arrays: list[Any], suffix: str, tmp_path: Path) -> None:
    for name, array in zip("abc", arrays, strict=True):
        write_file(tmp_path / f"{name}{suffix}", array)

    found = read_bags(tmp_path, cache_bytes=64)

    assert found.bags.ids == ("a", "b", "c")
    check_same(found.bags, arrays)


def write_file(path: Path, array: Any) -> None:
    if path.suffix == ".h5":
        write_h5(path, array[None], np.zeros((1, len(array), 2), int))  # axes as TRIDENT has them
    elif path.suffix == ".pt":
        torch.save(torch.from_numpy(array), path)
    elif path.suffix == ".npz":
        np.savez(path, features=array)
    else:
        np.save(path, array)


def test_clam_folders_are_looked_into(arrays: list[Any], tmp_path: Path) -> None:
    for folder, suffix in (("h5_files", ".h5"), ("pt_files", ".pt")):
        (tmp_path / folder).mkdir()
        for name, array in zip("abc", arrays, strict=True):
            write_file(tmp_path / folder / f"{name}{suffix}", array)

    bags = read_bags(tmp_path).bags

    assert isinstance(bags, FileBags)
    assert bags.coords(0) is not None  # those of the .h5 files


def test_half_precision_stays_so(tmp_path: Path) -> None:
    write_h5(tmp_path / "a.h5", np.ones((3, 2), np.float16))

    assert read_bags(tmp_path).bags.take(np.array([0])).dtype == np.float16


def test_the_cache_keeps_to_its_budget(arrays: list[Any], tmp_path: Path) -> None:
    for name, array in zip("abc", arrays, strict=True):
        write_file(tmp_path / f"{name}.npy", array)
    bags = FileBags(sorted(tmp_path.iterdir()), cache_bytes=arrays[0].nbytes + arrays[1].nbytes)

    all_rows(bags)

    assert list(bags._kept) == [2]


class Payload:
    """What a hostile file would run."""

    def __reduce__(self) -> Any:
        return print, ("run",)


def test_a_pickle_in_a_pt_file_is_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(Payload(), tmp_path / "a.pt")
    capsys.readouterr()

    with pytest.raises(DataError, match=r"a\.pt is not a plain tensor"):
        read_bags(tmp_path)

    assert capsys.readouterr().out == ""


def test_widths_that_differ_name_the_bag(arrays: list[Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="bag 1 has 2 features, bag 0 has 4"):
        read_bags([arrays[0], np.zeros((2, 2))])
    np.save(tmp_path / "a.npy", arrays[0])
    np.save(tmp_path / "b.npy", np.zeros((2, 2)))
    with pytest.raises(DataError, match=r"b\.npy has 2 features, a\.npy has 4"):
        read_bags(tmp_path)


def test_an_empty_bag_is_named(arrays: list[Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="bag 1 is empty"):
        read_bags([arrays[0], np.zeros((0, 4))])
    np.save(tmp_path / "a.npy", np.zeros((0, 4)))
    with pytest.raises(DataError, match=r"a\.npy is an empty bag"):
        read_bags(tmp_path)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"no HDF5")

    with pytest.raises(DataError, match=r"a\.h5 is no HDF5 file"):
        read_bags(tmp_path)


def test_a_bag_of_two_labels_is_named(table: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="bag 'a' has more than one label"):
        read_bags(table.with_columns(label=pl.col("instance")))


def test_a_table_without_features_says_so(table: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="no features"):
        read_bags(table.select("bag_id", "instance"))


def test_coords_must_fit(arrays: list[Any]) -> None:
    with pytest.raises(DataError, match="bag 0 has 3 instances"):
        from_arrays(arrays, [np.zeros((2, 2))] * 3)


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.h5").write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)

    with pytest.raises(MissingPackageError, match=r"seqmamba\[mil\]"):
        read_bags(tmp_path)
