"""Watchers of a training run: progress bar, pruning of sweep trials, TensorBoard."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from seqmamba.errors import MissingPackageError

__all__ = ["Callback", "Progress", "State", "TensorBoard"]


@dataclass(frozen=True)
class State:
    """Read-only view of a run.

    Parameters
    ----------
    epoch, step : int
        Epochs finished; optimiser steps done in all.
    steps_per_epoch, max_epochs : int
    train_loss, valid_loss, objective : float
        Running mean of this epoch; the last measured values (NaN before the first).
    best : float
        Smallest objective so far.
    learning_rate : float
    """

    epoch: int
    step: int
    steps_per_epoch: int
    max_epochs: int
    train_loss: float
    valid_loss: float
    objective: float
    best: float
    learning_rate: float


class Callback:
    """What a watcher of a run may override; raising stops the run with that exception."""

    def on_start(self, state: State) -> None:
        """Before the first step."""

    def on_step(self, state: State) -> None:
        """After each optimiser step."""

    def on_epoch(self, state: State) -> None:
        """After the validation of each epoch."""

    def on_end(self, state: State) -> None:
        """After the last epoch, whatever ended the run."""


class Progress(Callback):
    """One bar over all steps, with loss, objective and time left, on standard error."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._shown = 0.0

    def on_start(self, state: State) -> None:
        """Open the bar."""
        total = state.steps_per_epoch * state.max_epochs
        self._bar = tqdm(
            total=total,
            initial=state.step,
            unit="step",
            dynamic_ncols=True,
            disable=None,  # no bar where standard error is a file; the lines per epoch remain
        )

    def on_step(self, state: State) -> None:
        """Move the bar; refresh the figures at most ten times a second."""
        self._bar.update(1)
        if time.monotonic() - self._shown > 0.1:
            self._show(state)

    def on_epoch(self, state: State) -> None:
        """Write one line per epoch above the bar."""
        self._show(state)
        tqdm.write(
            f"epoch {state.epoch}/{state.max_epochs}  train {state.train_loss:.5g}  "
            f"valid {state.valid_loss:.5g}  objective {state.objective:.5g}  "
            f"best {state.best:.5g}  lr {state.learning_rate:.2g}",
            file=sys.stderr,
        )

    def on_end(self, state: State) -> None:
        """Close the bar where it stands."""
        self._bar.close()

    def _show(self, state: State) -> None:
        self._shown = time.monotonic()
        self._bar.set_description(f"epoch {min(state.epoch + 1, state.max_epochs)}", refresh=False)
        self._bar.set_postfix_str(f"loss {state.train_loss:.4g}, objective {state.objective:.4g}")


class TensorBoard(Callback):
    """Write the curves of a run for TensorBoard (extra ``logs``)."""

    def __init__(self, folder: str | Path) -> None:
        try:  # tensorboard is an optional package
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingPackageError(
                'TensorBoard logs need the extra "logs": pip install "seqmamba[logs]".'
            ) from error
        self._writer: Any = SummaryWriter(str(folder))

    def on_epoch(self, state: State) -> None:
        """Add one point to each curve."""
        for name in ("train_loss", "valid_loss", "objective", "learning_rate"):
            self._writer.add_scalar(name, getattr(state, name), state.step)

    def on_end(self, state: State) -> None:
        """Close the file."""
        self._writer.close()
