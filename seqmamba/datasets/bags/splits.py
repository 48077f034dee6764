"""Which bags to learn from and which to score: grouped, stratified, and kept in CLAM's files."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqmamba.datasets.bags.files import bag_name
from seqmamba.errors import DataError
from seqmamba.storage import write_atomic

__all__ = ["Split", "check_groups", "make_folds", "read_split", "read_splits", "write_split"]

PARTS = ("train", "val", "test")
Rows = NDArray[np.int64]


class Split(NamedTuple):
    """Numbers of the bags of each part."""

    train: Rows
    val: Rows
    test: Rows


def make_folds(strata: NDArray[Any], groups: NDArray[Any] | None, n_folds: int, seed: int) -> Rows:
    """Return the fold of each bag, (n,): strata in equal shares, groups never cut.

    A group counts as its most frequent stratum. Its groups are shuffled, those with more bags
    first, and dealt to the folds in turn; the next stratum goes on where the last one stopped.

    Parameters
    ----------
    strata : array (n,)
        Classes, or whatever each fold should have its share of.
    groups : array (n,) or None
        Patients; None = every bag is its own.
    n_folds : int
    seed : int

    Raises
    ------
    DataError
        There are fewer groups than folds.
    """
    rng = np.random.default_rng(seed)
    owner = np.arange(len(strata)) if groups is None else np.unique(groups, return_inverse=True)[1]
    n_groups = int(owner.max()) + 1 if len(owner) else 0
    if n_groups < n_folds:
        raise DataError(
            f"{n_groups} groups cannot be dealt to {n_folds} folds; lower the number of folds.",
            value=n_groups,
        )
    codes = np.unique(strata, return_inverse=True)[1]
    table = np.zeros((n_groups, int(codes.max()) + 1), np.int64)
    np.add.at(table, (owner, codes), 1)
    kind, size = table.argmax(1), table.sum(1)
    order = rng.permutation(n_groups)
    order = order[np.lexsort((-size[order], kind[order]))]
    fold = np.empty(n_groups, np.int64)
    fold[order] = np.arange(n_groups) % n_folds
    folds: Rows = rng.permutation(n_folds)[fold][owner]
    return folds


def check_groups(split: Split, groups: NDArray[Any] | None, where: str) -> None:
    """Raise :class:`DataError` if a group stands on two sides of a split."""
    if groups is None:
        return
    for i, first in enumerate(PARTS):
        for second in PARTS[i + 1 :]:
            both = np.intersect1d(groups[getattr(split, first)], groups[getattr(split, second)])
            if len(both):
                raise DataError(
                    f"patient {str(both[0])!r} is in {first} and in {second} of {where}; "
                    "move all bags of a patient to one side.",
                    where=where,
                    value=both[0],
                )


def write_split(path: Path, split: Split, ids: Sequence[str]) -> None:
    """Write ``splits_<i>.csv`` as CLAM does: an index column and ragged ``train,val,test``."""
    columns = [[ids[i] for i in part] for part in split]
    longest = max(len(column) for column in columns)
    lines = [",".join(("", *PARTS))]
    for row in range(longest):
        cells = [column[row] if row < len(column) else "" for column in columns]
        lines.append(",".join([str(row), *cells]))
    write_atomic(path, ("\n".join(lines) + "\n").encode())


def read_splits(folder: Path, ids: Sequence[str]) -> list[Split]:
    """Read all ``splits_<i>.csv`` of a folder, in the order of i.

    Raises
    ------
    DataError
        There is none, or one names a bag that is not there.
    """
    plain = [p for p in folder.glob("splits_*.csv") if p.stem.removeprefix("splits_").isdigit()]
    found = plain or list(folder.glob("splits_*_bool.csv"))
    if not found:
        raise DataError(f"{folder} holds no splits_<i>.csv.", where=str(folder))
    return [read_split(p, ids) for p in sorted(found, key=lambda p: int(p.stem.split("_")[1]))]


def read_split(path: Path, ids: Sequence[str]) -> Split:
    """Read one split: three ragged columns of ids, or ids with three columns of true and false."""
    row_of = {name: i for i, name in enumerate(ids)}
    parts: dict[str, list[int]] = {name: [] for name in PARTS}
    for part, name in _members(path):
        if name not in row_of:
            raise DataError(
                f"{path} puts bag {name!r} into {part}, but there is no such bag.",
                where=str(path),
                value=name,
            )
        parts[part].append(row_of[name])
    return Split(*(np.array(parts[name], np.int64) for name in PARTS))


def _members(path: Path) -> Iterator[tuple[str, str]]:
    """Give part and bag for every entry of a split file."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or not set(PARTS) <= set(rows[0]):
        raise DataError(f"{path} needs the columns train, val and test.", where=str(path))
    boolean = all(row[part] in ("True", "False") for row in rows for part in PARTS)
    index = next(iter(rows[0]))
    for row in rows:
        for part in PARTS:
            cell = row[part]
            if boolean and cell == "True":
                yield part, bag_name(row[index])
            elif not boolean and cell:
                yield part, bag_name(cell)
