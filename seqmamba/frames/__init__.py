"""Tables in, tables out: every library and file format becomes one polars frame and back.

A table is read exactly, or a :class:`~seqmamba.errors.DataError` names column, row and cure.
Rows count from 1; the header of a file is not a row.
"""

from seqmamba.frames.columns import numeric, require_columns
from seqmamba.frames.like import Like
from seqmamba.frames.sources import read
from seqmamba.frames.times import times
from seqmamba.frames.writing import write

__all__ = ["Like", "numeric", "read", "require_columns", "times", "write"]
