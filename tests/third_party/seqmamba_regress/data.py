"""Tables of sequences: columns ``unique_id, ds``, the channels, and ``y`` where it is known."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from seqmamba import frames
from seqmamba.datasets.samples import Batch, Info
from seqmamba.errors import DataError
from seqmamba.params import nearest

KEYS = ("unique_id", "ds", "y")


@dataclass(frozen=True)
class SequenceSamples:
    """Sequences of one or more channels, padded to the longest.

    Parameters
    ----------
    ids : tuple of str
        In the order of their first row.
    x : array (n, L, C)
    mask : array (n, L) of bool
    y : array (n,) or None
    names : tuple of str
        Of the channels.
    """

    ids: tuple[str, ...]
    x: NDArray[np.float32]
    mask: NDArray[np.bool_]
    y: NDArray[np.float64] | None
    names: tuple[str, ...]

    @classmethod
    def read(cls, source: Any, y: Any) -> "SequenceSamples":
        """Read a long table, or an array (n, L, C) with targets (n,)."""
        if isinstance(source, np.ndarray):
            return cls._from_array(source, y)
        table, _ = frames.read(source, text_columns=("unique_id",))
        _require(table, "unique_id", "ds")
        if table.height == 0:
            raise DataError("the table has no rows. Pass at least one sequence.")
        names = tuple(name for name in table.columns if name not in KEYS)
        order = table["unique_id"].unique(maintain_order=True)
        place = {name: row for row, name in enumerate(order)}
        rows = np.array([place[name] for name in table["unique_id"]])
        table = table.with_columns(row=rows).sort("row", "ds")
        rows = table["row"].to_numpy()
        lengths = np.bincount(rows)
        columns = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        x = np.zeros((len(order), lengths.max(), len(names)), dtype=np.float32)
        x[rows, columns] = table.select(names).to_numpy()
        mask = np.arange(lengths.max()) < lengths[:, None]
        target = None
        if "y" in table.columns:
            target = table["y"].to_numpy()[np.cumsum(lengths) - 1].astype(np.float64)
        return cls(tuple(order), x, mask, target, names)

    @classmethod
    def _from_array(cls, x: NDArray[Any], y: Any) -> "SequenceSamples":
        if x.ndim != 3:
            raise DataError(f"an array of sequences has the axes (n, L, C); got shape {x.shape}.")
        names = tuple(f"x{i}" for i in range(x.shape[2]))
        ids = tuple(str(i) for i in range(len(x)))
        target = None if y is None else np.asarray(y, dtype=np.float64)
        mask = np.ones(x.shape[:2], dtype=bool)
        return cls(ids, x.astype(np.float32), mask, target, names)

    @property
    def info(self) -> Info:
        """What the network is built from."""
        lengths = self.mask.sum(1)
        return Info(
            channels=len(self.names),
            length=(int(lengths.min()), int(lengths.max())),
            feature_names=self.names,
        )

    def __len__(self) -> int:
        return len(self.ids)

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Gather sequences by array indexing."""
        y = None if self.y is None else torch.from_numpy(self.y[indices]).float()
        return Batch(torch.from_numpy(self.x[indices]), torch.from_numpy(self.mask[indices]), y)

    def split(self, held_out: float | int) -> tuple["SequenceSamples", "SequenceSamples"]:
        """Hold out the last sequences."""
        count = held_out if isinstance(held_out, int) else round(held_out * len(self))
        return self._rows(slice(None, -count)), self._rows(slice(-count, None))

    def _rows(self, rows: slice) -> "SequenceSamples":
        y = None if self.y is None else self.y[rows]
        parts = self.ids[rows], self.x[rows], self.mask[rows], y, self.names
        return SequenceSamples(*parts)


def simulate(seed: int = 0, n: int = 80) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return a training and a test table: ``y`` is the mean of ``a - 2 |b|``."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(4, 9, n)
    rows = np.repeat(np.arange(n), lengths)
    level = generator.standard_normal((n, 2))[rows]
    x = level + 0.3 * generator.standard_normal((len(rows), 2))
    y = np.bincount(rows, x[:, 0] - 2 * np.abs(x[:, 1])) / lengths + 5
    table = pl.DataFrame(
        {
            "unique_id": [f"s{row:03d}" for row in rows],
            "ds": np.concatenate([np.arange(k) for k in lengths]),
            "a": x[:, 0],
            "b": x[:, 1],
            "y": y[rows],
        }
    )
    border = f"s{n * 3 // 4:03d}"
    return table.filter(pl.col("unique_id") < border), table.filter(pl.col("unique_id") >= border)


def _require(table: pl.DataFrame, *columns: str) -> None:
    for name in columns:
        if name not in table.columns:
            present = ", ".join(table.columns)
            hint = nearest(name, table.columns)
            raise DataError(f"no column {name!r}. Columns: {present}.{hint}", column=name)
