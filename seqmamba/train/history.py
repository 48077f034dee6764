"""What happened in a training run, epoch by epoch."""

import math
from dataclasses import dataclass, field
from typing import Any

import polars as pl

__all__ = ["History"]


@dataclass
class History:
    """Record of a run.

    Parameters
    ----------
    rows : list of dict
        One per epoch: epoch, step, train_loss, valid_loss, objective, lr, seconds.
    best_epoch : int
        Epoch of the weights that were kept; 0 = before training.
    best : float
        Objective of those weights.
    skipped_steps : int
        Steps left out because loss or gradient was not finite.
    signal : int or None
        The signal that ended the run.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best: float = math.inf
    skipped_steps: int = 0
    signal: int | None = None

    def table(self) -> pl.DataFrame:
        """Return the rows as a table."""
        return pl.DataFrame(self.rows, infer_schema_length=None)
