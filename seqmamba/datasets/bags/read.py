"""The door for bags: folders, long tables, lists of arrays."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from seqmamba import frames
from seqmamba.datasets.bags.files import SUFFIXES, FileBags, bag_files
from seqmamba.datasets.bags.packed import Bags, from_arrays
from seqmamba.datasets.bags.stream import ParquetBags
from seqmamba.datasets.bags.table import from_table
from seqmamba.errors import DataError
from seqmamba.frames import Like

__all__ = ["BagSource", "read_bags"]


@dataclass(frozen=True)
class BagSource:
    """What a reader found.

    Parameters
    ----------
    bags : Bags
    labels : DataFrame or None
        ``bag_id`` and what the source itself says of each bag.
    like : Like or None
        Library of the source; None for lists and arrays, whose answers are arrays.
    """

    bags: Bags
    labels: pl.DataFrame | None
    like: Like | None


def read_bags(source: Any, coords: Any = None, *, cache_bytes: int = 2**29) -> BagSource:
    """Read bags of instances.

    Parameters
    ----------
    source : folder, file, table, list or array
        A folder of ``.h5``, ``.pt``, ``.npz`` or ``.npy`` files, one per bag (CLAM's layout, or
        flat); one such file; a long table (columns ``bag_id``, ``f0``, ... or ``features``, and
        optionally ``instance``, ``x``, ``y`` and what belongs to the bag); a list of arrays or
        tensors (L, F); an array (n, L, F).
    coords : list of arrays (L, 2) or None
        Places of the instances of a list.
    cache_bytes : int
        Memory for the bags of a folder; a Parquet file that is larger is read bag by bag.

    Raises
    ------
    DataError
        Names the file or the bag.
    FileNotFoundError
        There is no such folder or file.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source).expanduser()
        if path.is_dir():
            return BagSource(FileBags(bag_files(path), cache_bytes), None, Like("file"))
        if path.suffix in SUFFIXES and path.exists():
            return BagSource(FileBags([path], cache_bytes), None, Like("file"))
        if path.suffix == ".parquet" and path.exists() and path.stat().st_size > cache_bytes:
            streamed = ParquetBags(path, cache_bytes)
            return BagSource(streamed, streamed.labels, Like("file"))
    elif _is_list(source):
        return BagSource(from_arrays(source, coords), None, None)
    if coords is not None:
        raise DataError("coords go with a list of arrays; a table has them in columns x and y.")
    table, like = frames.read(source, text_columns=("bag_id", "group"))
    found = from_table(table)
    return BagSource(found.bags, found.labels, like)


def _is_list(source: Any) -> bool:
    if isinstance(source, np.ndarray):
        return source.ndim == 3 or source.dtype == object
    if isinstance(source, Sequence) and not isinstance(source, str):
        return True
    return type(source).__module__.startswith("torch") and source.ndim == 3
