"""Bags as samples: packed batches, stratified and grouped parts, standard scores."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from seqmamba.datasets.bags.packed import Bags
from seqmamba.datasets.bags.splits import make_folds
from seqmamba.datasets.samples import Batch, Info
from seqmamba.errors import DataError

__all__ = ["BagSamples", "FeatureScale", "row_length"]

Rows = NDArray[np.int64]
BLOCK_TOKENS = 65_536  # instances held at a time where all bags are walked through


@dataclass(frozen=True)
class BagSamples:
    """Some bags of a source, in a given order.

    Parameters
    ----------
    bags : Bags
    index : int array (n,)
        Which of them.
    y : array (n,) or (n, 2), or None
        Class codes; or time bin and censoring.
    strata : int array (n,) or None
        What the parts of a split should have equal shares of.
    groups : array (n,) or None
        Patients; a split does not cut them.
    weight : float array (n,) or None
    fold : int array (n,) or None
        Which member of an ensemble does not learn from each bag, and is judged on it.
    seed : int
        Of the splits.
    nan : {"error", "zero"}
        What to do with features that are not finite.
    info : Info
    """

    bags: Bags
    index: Rows
    info: Info
    y: NDArray[Any] | None = None
    strata: Rows | None = None
    groups: NDArray[Any] | None = None
    weight: NDArray[np.float32] | None = None
    fold: Rows | None = None
    seed: int = 0
    nan: Literal["error", "zero"] = "error"

    def __len__(self) -> int:
        return len(self.index)

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the bags."""
        return tuple(self.bags.ids[i] for i in self.index)

    @property
    def lengths(self) -> Rows:
        """Instances of each bag: (n,)."""
        return self.bags.lengths[self.index]

    def batch(self, indices: Rows) -> Batch:
        """Return the instances of some bags one after the other: x (T, F) and ``lengths`` (B,).

        Not padded: beside one large bag, seven small ones would take eight times its memory. The
        type of the source is kept, half precision for instance.
        """
        which = self.index[indices]
        rows = self._finite(self.bags.take(which), which)
        extra = {"lengths": torch.from_numpy(self.bags.lengths[which])}
        if self.weight is not None:
            extra["weight"] = torch.from_numpy(self.weight[indices])
        if self.fold is not None:
            extra["fold"] = torch.from_numpy(self.fold[indices])
        y = None if self.y is None else torch.from_numpy(self.y[indices])
        return Batch(x=torch.from_numpy(rows), y=y, extra=extra)

    def blocks(self) -> Iterator[tuple[Rows, NDArray[Any], Rows]]:
        """Give all bags in pieces that fit memory: numbers, instances (T, F) and lengths."""
        lengths = self.lengths
        piece = (np.cumsum(lengths) - 1) // BLOCK_TOKENS
        for indices in np.split(np.arange(len(self)), np.flatnonzero(np.diff(piece)) + 1):
            which = self.index[indices]
            yield indices, self._finite(self.bags.take(which), which), lengths[indices]

    def split(self, held_out: float | int) -> tuple["BagSamples", "BagSamples"]:
        """Hold out about that share of the groups of every stratum."""
        share = held_out if held_out < 1 else min(held_out, len(self) - 1) / len(self)
        strata = np.zeros(len(self), np.int64) if self.strata is None else self.strata
        units = len(self) if self.groups is None else len(np.unique(self.groups))
        n_folds = min(max(round(1 / min(share, 1 - share)), 2), units)
        if n_folds < 2:
            raise DataError(
                "one group of bags cannot be cut into a training and a validation part; "
                "pass eval_set, or val_size=0.",
                value=units,
            )
        one = make_folds(strata, self.groups, n_folds, self.seed) == 0
        mine = one if share <= 0.5 else ~one
        return self.part(np.flatnonzero(~mine)), self.part(np.flatnonzero(mine))

    def crossed(self, n_folds: int) -> "BagSamples":
        """Deal the groups of every stratum to folds: see ``fold``."""
        strata = np.zeros(len(self), np.int64) if self.strata is None else self.strata
        units = len(self) if self.groups is None else len(np.unique(self.groups))
        if units < 2:
            raise DataError(
                "one group of bags cannot be dealt to folds; pass eval_set, or val_size=0.",
                value=units,
            )
        folds = make_folds(strata, self.groups, min(n_folds, units), self.seed)
        return replace(self, fold=folds)

    def part(self, rows: Rows) -> "BagSamples":
        """Return some of the bags."""
        fields = ("index", "y", "strata", "groups", "weight", "fold")
        kept = {name: getattr(self, name) for name in fields}
        cut: dict[str, Any] = {n: None if v is None else v[rows] for n, v in kept.items()}
        return replace(self, **cut)

    def _finite(self, rows: NDArray[Any], which: Rows) -> NDArray[Any]:
        if rows.dtype.kind != "f" or np.isfinite(rows.sum(dtype=np.float64)):
            return rows
        if self.nan == "zero":
            return np.where(np.isfinite(rows), rows, np.zeros((), rows.dtype))
        row, column = np.argwhere(~np.isfinite(rows))[0] if not np.isfinite(rows).all() else (0, 0)
        ends = np.cumsum(self.bags.lengths[which])
        bag = int(np.searchsorted(ends, row, side="right"))
        instance = int(row - (ends[bag] - self.bags.lengths[which[bag]]))
        name = self.bags.names[column]
        raise DataError(
            f"feature {name!r} of bag {self.bags.ids[which[bag]]!r} is {rows[row, column]} at "
            f"instance {instance}. Mend it, or pass nan='zero'.",
            column=name,
            where=f"bag {self.bags.ids[which[bag]]}",
            value=float(rows[row, column]),
        )


@dataclass(frozen=True)
class FeatureScale:
    """Mean and standard deviation of each feature over all instances: (F,) each."""

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]

    @classmethod
    def of(cls, samples: BagSamples) -> "FeatureScale":
        """Walk through the bags once, merging the moments of the pieces (Chan et al.)."""
        count, mean, total = 0, np.zeros(1), np.zeros(1)
        for _, rows, _ in samples.blocks():
            piece = rows.astype(np.float64)
            n, centre = len(piece), piece.mean(0)
            shift = centre - mean
            total = total + ((piece - centre) ** 2).sum(0) + shift**2 * count * n / (count + n)
            mean = mean + shift * n / (count + n)
            count += n
        spread = np.sqrt(total / max(count, 1))
        return cls(mean, np.where(spread > 1e-12, spread, 1.0))

    def is_standard(self) -> bool:
        """Say whether the features are near mean 0 and deviation 1 already."""
        near = np.abs(self.mean) < 0.1
        return bool(np.all(near & (self.spread >= 0.5) & (self.spread <= 2.0)))


def row_length(samples: BagSamples, most: int = 50) -> int | None:
    """Return the median number of patches in a row of the grid; None without coordinates.

    A row is a run of instances with one y. Taken over the first ``most`` bags.
    """
    lengths = []
    for i in samples.index[:most]:
        coords = samples.bags.coords(int(i))
        if coords is None:
            return None
        lengths.append(np.unique(coords[:, 1], return_counts=True)[1])
    return max(int(np.median(np.concatenate(lengths))), 1) if lengths else None
