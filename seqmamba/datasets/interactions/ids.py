"""Identifiers of users or items: any integers or words, numbered in order of first appearance."""

import json
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seqmamba.errors import DataError

__all__ = ["Ids", "encode", "id_series"]


@dataclass(frozen=True)
class Ids:
    """Distinct ids; the place of an id is its number.

    Parameters
    ----------
    values : polars.Series of Int64 or String
        No nulls, no repeats.
    """

    values: pl.Series

    def __len__(self) -> int:
        return len(self.values)

    def codes(self, ids: Any) -> NDArray[np.int64]:
        """Return the number of each id, -1 for unknown ones.

        Ids of the other type are compared by their spelling, so that ``7`` finds ``"7"``.
        """
        wanted = ids if isinstance(ids, pl.Series) else id_series(pl.Series("id", ids), "id")
        if wanted.dtype != self.values.dtype:
            wanted = wanted.cast(self.values.dtype, strict=False)
        found = pc.index_in(_plain(wanted), value_set=_plain(self.values))
        return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), dtype=np.int64)

    def take(self, codes: NDArray[Any]) -> pl.Series:
        """Return the ids of numbers."""
        return self.values.gather(np.asarray(codes, dtype=np.uint32))

    def extend(self, ids: pl.Series) -> tuple[Self, NDArray[np.int64]]:
        """Append unknown ids behind the known ones; return all ids and the codes of ``ids``."""
        known = self.codes(ids)
        fresh = ids.filter(pl.Series(known < 0)).unique(maintain_order=True)
        merged = type(self)(pl.concat([self.values, fresh.cast(self.values.dtype)]))
        return merged, merged.codes(ids)

    def to_bytes(self) -> NDArray[np.uint8]:
        """Return the ids as the bytes of a JSON list, for a model file."""
        return np.frombuffer(json.dumps(self.values.to_list()).encode(), dtype=np.uint8).copy()

    @classmethod
    def from_bytes(cls, stored: NDArray[np.uint8]) -> Self:
        """Build from what :meth:`to_bytes` returned."""
        values = json.loads(stored.tobytes())
        kind = pl.Int64 if values and isinstance(values[0], int) else pl.String
        return cls(pl.Series("id", values, dtype=kind))


def encode(ids: pl.Series) -> tuple[Ids, NDArray[np.int32]]:
    """Give ids numbers in order of first appearance; return the distinct ids and the codes."""
    coded = _plain(ids).dictionary_encode()
    codes = coded.indices.to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
    return Ids(pl.Series("id", coded.dictionary)), codes


def id_series(column: pl.Series, name: str) -> pl.Series:
    """Return a column of ids as Int64 or String; whole floats become integers.

    Raises
    ------
    DataError
        An id is null or not a finite number; column and row are named.
    """
    if column.null_count():
        row = int(column.is_null().arg_true()[0])
        raise DataError(
            f"{column.null_count()} rows have no {name}; first: row {row + 1}. "
            "Every interaction needs a user and an item: drop these rows.",
            column=name,
            where=f"row {row + 1}",
        )
    if column.dtype.is_integer():
        if column.dtype in (pl.UInt64, pl.Int128) and len(column):
            fits = column.cast(pl.Int64, strict=False).null_count() == 0
            return column.cast(pl.Int64) if fits else column.cast(pl.String)
        return column.cast(pl.Int64)
    if column.dtype.is_float():
        return _from_floats(column, name)
    return column.cast(pl.String)


def _from_floats(column: pl.Series, name: str) -> pl.Series:
    strange = ~column.is_finite()
    if strange.any():
        row = int(strange.arg_true()[0])
        raise DataError(
            f"{name} of row {row + 1} is {column[row]}, which is no id; drop these rows.",
            column=name,
            where=f"row {row + 1}",
            value=column[row],
        )
    whole = bool((column == column.floor()).all()) and bool((column.abs() < 2**53).all())
    return column.cast(pl.Int64) if whole else column.cast(pl.String)


def _plain(series: pl.Series) -> pa.Array:
    array = series.rechunk().to_arrow()
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
