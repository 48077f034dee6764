"""What a bag reader gives, and bags whose instances stand in one array."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from seqmamba.errors import DataError

__all__ = ["Bags", "JoinedBags", "PackedBags", "from_arrays"]

Rows = NDArray[Any]


class Bags(Protocol):
    """Bags in a fixed order; instances are read when they are asked for.

    Attributes
    ----------
    ids : tuple of str
    lengths : int array (n,)
    names : tuple of str
        Of the features.
    """

    ids: tuple[str, ...]
    lengths: NDArray[np.int64]
    names: tuple[str, ...]

    def take(self, indices: NDArray[np.int64]) -> Rows:
        """Return the instances of some bags, one bag after the other: (T, F)."""
        ...

    def coords(self, index: int) -> NDArray[np.float64] | None:
        """Return the places of the instances of a bag, (L, 2), or None if there are none."""
        ...


class PackedBags:
    """All instances in one array, each bag a run of rows.

    Parameters
    ----------
    ids : sequence of str
    lengths : int array (n,)
    rows : array (T, F)
        Any numeric type; kept as it is.
    names : sequence of str
    places : array (T, 2) or None
    """

    def __init__(
        self,
        ids: Sequence[str],
        lengths: NDArray[np.int64],
        rows: Rows,
        names: Sequence[str],
        places: NDArray[np.float64] | None = None,
    ) -> None:
        self.ids, self.names = tuple(ids), tuple(names)
        self.lengths = np.asarray(lengths, np.int64)
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.rows, self.places = rows, places

    def take(self, indices: NDArray[np.int64]) -> Rows:
        """Return the instances of some bags: (T, F)."""
        lengths = self.lengths[indices]
        ends = np.cumsum(lengths)
        shift = np.repeat(self.starts[indices] - (ends - lengths), lengths)
        taken: Rows = self.rows[np.arange(len(shift)) + shift]
        return taken

    def coords(self, index: int) -> NDArray[np.float64] | None:
        """Return the places of a bag: (L, 2)."""
        if self.places is None:
            return None
        start = self.starts[index]
        return self.places[start : start + self.lengths[index]]


class JoinedBags:
    """Bags made of others: all slides of a patient, one after the other.

    Parameters
    ----------
    bags : Bags
    ids : sequence of str
        Of the new bags.
    members : sequence of int arrays
        Which bags each consists of.
    """

    def __init__(
        self, bags: Bags, ids: Sequence[str], members: Sequence[NDArray[np.int64]]
    ) -> None:
        self.bags, self.ids, self.names = bags, tuple(ids), bags.names
        self.members = [np.asarray(m, np.int64) for m in members]
        self.lengths = np.array([bags.lengths[m].sum() for m in self.members], np.int64)

    def take(self, indices: NDArray[np.int64]) -> Rows:
        """Return the instances of some bags: (T, F)."""
        chosen = [self.members[i] for i in indices]
        return self.bags.take(np.concatenate(chosen) if chosen else np.zeros(0, np.int64))

    def coords(self, index: int) -> NDArray[np.float64] | None:
        """Return the places of a bag: (L, 2); slides share one plane only in their table."""
        parts = [self.bags.coords(int(i)) for i in self.members[index]]
        known = [part for part in parts if part is not None]
        return np.concatenate(known) if len(known) == len(parts) else None


def from_arrays(arrays: Any, coords: Any = None, ids: Sequence[str] | None = None) -> PackedBags:
    """Pack a list of arrays or tensors (L, F), or one array (n, L, F).

    Raises
    ------
    DataError
        No bags, an empty bag, widths that differ, or values that are no numbers; names the bag.
    """
    bags = [_matrix(bag, i) for i, bag in enumerate(arrays)]
    if not bags:
        raise DataError("there are no bags; pass at least one array (instances, features).")
    width = bags[0].shape[1]
    for i, bag in enumerate(bags):
        if bag.shape[1] != width:
            raise DataError(
                f"bag {i} has {bag.shape[1]} features, bag 0 has {width}; all need the same.",
                where=f"bag {i}",
                value=bag.shape[1],
            )
    lengths = np.array([len(bag) for bag in bags], np.int64)
    places = None if coords is None else _places(coords, lengths)
    names = tuple(f"f{j}" for j in range(width))
    rows = np.concatenate(bags)
    return PackedBags(ids or [str(i) for i in range(len(bags))], lengths, rows, names, places)


def _matrix(bag: Any, index: int) -> Rows:
    array = np.asarray(bag)
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise DataError(
            f"bag {index} has shape {array.shape} and type {array.dtype}; "
            "pass numbers of shape (instances, features).",
            where=f"bag {index}",
        )
    if not len(array):
        raise DataError(f"bag {index} is empty; leave it out.", where=f"bag {index}", value=0)
    return array.astype(np.float32) if array.dtype.kind == "f" and array.itemsize > 4 else array


def _places(coords: Any, lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    parts = [np.asarray(part, np.float64) for part in coords]
    if len(parts) != len(lengths):
        raise DataError(f"there are {len(lengths)} bags but coords of {len(parts)}.")
    for i, (part, length) in enumerate(zip(parts, lengths, strict=True)):
        if part.shape != (length, 2):
            raise DataError(
                f"bag {i} has {length} instances and coords of shape {part.shape}, "
                f"not ({length}, 2).",
                where=f"bag {i}",
            )
    return np.concatenate(parts)
