"""An estimator without a network: its validation objective is a parabola of a parameter."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import polars as pl
import pytest
import sklearn.base
import sqlalchemy

from seqmamba.errors import DataError
from seqmamba.params import Choice, Uniform, param
from seqmamba.train.callbacks import State
from seqmamba.train.history import History

EPOCHS = 3


@dataclass(eq=False, repr=False)
class Parabola(sklearn.base.BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Objective (x - 0.3)^2 + offset of the mode; the epochs come near it from above."""

    x: float = param(0.9, "place", low=-5, high=5, search=Uniform(-1, 1))
    mode: str = param("plain", "what happens", search=Choice("plain", "shifted"))
    shape: tuple[int, ...] | None = param(None, "ignored")
    anchor: Literal["auto", "last", "ridge"] | None = param(None, "cheap model")
    pause: float = param(0.0, "seconds per fit", low=0)
    max_epochs: int = param(EPOCHS, "epochs", low=0, group="training")
    random_state: int | None = param(0, "seed", group="training")
    verbose: int = param(0, "silent", group="training")

    strike: ClassVar[int | None] = None  # a test sets the signal that interrupts a fit

    def fit(
        self, X: Any, y: Any = None, *, eval_set: Any = None, callbacks: Any = (), **tables: Any
    ) -> Self:
        if X == "bad":
            raise DataError("no column 'y'.")
        if self.mode == "failing":
            raise ZeroDivisionError("this mode fails")
        if self.mode == "greedy":
            raise MemoryError("this mode takes all")
        time.sleep(self.pause)
        base = {"last": 4.0, "ridge": 2.0}.get(str(self.anchor))
        best = (self.x - 0.3) ** 2 + (self.mode == "shifted") if base is None else base
        self.history_ = History(
            best=best,
            best_epoch=self.max_epochs,
            signal=self.strike if self.anchor is None else None,
        )
        for epoch in range(1, self.max_epochs + 1):
            value = best * (1 + EPOCHS - epoch)
            for callback in callbacks:
                callback.on_epoch(State(epoch, epoch, 1, EPOCHS, value, value, value, value, 0.1))
        return self

    def evaluate(self, X: Any, *, metrics: Any = None) -> pl.DataFrame:
        self.evaluated_ = [*getattr(self, "evaluated_", []), X]
        return pl.DataFrame({"metric": ["mae"], "value": [self.history_.best * 10]})

    def save(self, path: Path) -> Path:
        path.write_text(repr(self.get_params()))
        return path


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_the_disk() -> Iterator[None]:
    """Leave writes to the system: these tests are of processes that die, not of power cuts."""

    def relax(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", relax)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield
    sqlalchemy.event.remove(sqlalchemy.Engine, "connect", relax)


@pytest.fixture
def parabola() -> Parabola:
    return Parabola()
