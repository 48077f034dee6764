"""Parquet files larger than memory: the rows of one bag lie together and are read when needed."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.datasets.bags.table import LABELS, from_table
from seqmamba.errors import DataError
from seqmamba.frames import require_columns

__all__ = ["ParquetBags"]


class ParquetBags:
    """Bags of a long Parquet file, read row group by row group as polars slices it.

    Parameters
    ----------
    path : Path
    cache_bytes : int
        Memory for the bags read last.

    Raises
    ------
    DataError
        The rows of a bag do not lie together, or a bag has two labels.
    """

    def __init__(self, path: Path, cache_bytes: int) -> None:
        self.path = path
        lazy = pl.scan_parquet(path)
        require_columns(lazy, ["bag_id"])
        columns = lazy.collect_schema().names()
        ids = lazy.select(pl.col("bag_id").cast(pl.String)).collect()["bag_id"]
        runs = ids.rle().struct.unnest()
        repeated = runs["value"].is_duplicated()
        if repeated.any():
            bag = runs["value"].filter(repeated)[0]
            raise DataError(
                f"the rows of bag {bag!r} do not lie together in {path}, which is too large to be "
                "read at once. Sort the file by bag_id, or raise cache_bytes.",
                column="bag_id",
                where=f"bag {bag}",
            )
        self.ids = tuple(runs["value"])
        self.lengths = runs["len"].to_numpy().astype(np.int64)
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.names = from_table(lazy.head(1).collect()).bags.names
        present = [name for name in LABELS if name in columns]
        self.labels = None
        if present:
            self.labels = lazy.group_by("bag_id", maintain_order=True).first().collect()
            self.labels = self.labels.select("bag_id", *present)
        self.has_places = {"x", "y"} <= set(columns)
        self.cache_bytes = cache_bytes
        self._kept: dict[int, Any] = {}

    def take(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Return the instances of some bags: (T, F)."""
        return np.concatenate([self._bag(int(i)).rows for i in indices])

    def coords(self, index: int) -> NDArray[np.float64] | None:
        """Return the places of a bag, (L, 2), or None."""
        places: NDArray[np.float64] | None = self._bag(index).coords(0)
        return places

    def _bag(self, index: int) -> Any:
        if index not in self._kept:
            start, length = int(self.starts[index]), int(self.lengths[index])
            bag = from_table(pl.scan_parquet(self.path).slice(start, length).collect()).bags
            self._kept[index] = bag
            while sum(b.rows.nbytes for b in self._kept.values()) > self.cache_bytes:
                if len(self._kept) == 1:
                    break
                self._kept.pop(next(iter(self._kept)))
        return self._kept[index]
