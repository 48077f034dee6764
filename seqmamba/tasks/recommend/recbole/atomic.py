"""Tables as RecBole's atomic files, and back."""

from pathlib import Path
from typing import Any

import polars as pl

from seqmamba import frames
from seqmamba.datasets.interactions.formats import read_atomic, write_atomic

__all__ = ["from_atomic", "to_atomic"]


def to_atomic(table: Any, folder: str | Path, name: str) -> Path:
    """Write a table as ``folder/name/name.inter``; return the file's path."""
    frame, _ = frames.read(table)
    target = Path(folder) / name
    target.mkdir(parents=True, exist_ok=True)
    return write_atomic(frame, target / f"{name}.inter")


def from_atomic(folder: str | Path, name: str) -> pl.DataFrame:
    """Read ``folder/name/name.inter``; ids are text."""
    return read_atomic(Path(folder) / name / f"{name}.inter")
