"""Cheap models of chaotic systems that stand alone: ``fit``, ``predict`` and ``evaluate``."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import polars as pl
import sklearn.base
from sklearn.utils.validation import check_is_fitted
from torch import nn

from seqmamba.params import check_params, param
from seqmamba.tasks.chaos.answers.forecast import forecast
from seqmamba.tasks.chaos.answers.scores import score_table, started
from seqmamba.tasks.chaos.maps import others
from seqmamba.tasks.chaos.maps.anchors import MapAnchor
from seqmamba.tasks.chaos.net.rollout import roll
from seqmamba.tasks.chaos.orbits import OrbitReader
from seqmamba.tasks.chaos.windows import TrajectoryWindows

__all__ = ["NGRC", "AnalogForecaster", "ESNForecaster", "Persistence", "RFFForecaster"]

STARTS, STEPS = 50, 300  # validation rollouts, and rows of each


@dataclass(eq=False, repr=False)
class CheapForecaster(OrbitReader, sklearn.base.BaseEstimator, ABC):  # type: ignore[misc]  # scikit-learn is untyped
    """Reads and answers like :class:`seqmamba.PhyxMambaForecaster`, without a network."""

    input_size: int = param(30, "rows of the context", low=2, group="data")
    clip_sigma: float = param(10.0, "rollouts are cut at this many standard deviations", low=1)
    dt: float | None = param(None, "time between rows; None = by the time column, or 1", low=0)
    lyapunov_time: float | None = param(None, "unit of valid times; None = estimated", low=0)
    id_col: str = param("unique_id", "column of orbits, if there", group="data")
    time_col: str = param("ds", "column of times, if there", group="data")

    # rows stand for themselves: no tokens, no embedding
    patch = 1
    delay_dim = 1
    delay_lag = 1

    @abstractmethod
    def _module(self, train: TrajectoryWindows, valid: TrajectoryWindows) -> nn.Module:
        """Return the fitted one-step map."""

    def fit(self, X: Any, y: None = None) -> Self:
        """Learn from orbits: a table, a path, an array (rows, channels), or several arrays."""
        check_params(self)
        samples = self._learn(self._orbits(X, split_jumps=True))
        self.info_ = samples.info
        self.net_ = self._module(*samples.split(self._held_out))
        return self

    def predict(self, X: Any = None, *, h: int = 300) -> Any:
        """Forecast the rows behind contexts; None = behind the data of ``fit``."""
        check_is_fitted(self, "net_")
        return forecast(self, X, h)

    def evaluate(
        self,
        X: Any,
        y: Any = None,
        *,
        metrics: Sequence[str] | None = None,
        h: int = 300,
        starts: int = 100,
    ) -> pl.DataFrame:
        """Score rollouts from many starts, beside persistence and the floor.

        Parameters and columns are those of :meth:`seqmamba.PhyxMambaForecaster.evaluate`.
        """
        check_is_fitted(self, "net_")
        paths = started(self, X, y, h, starts)
        last, rows = others.Persistence(), paths.truth.shape[1]
        still = roll(last, paths.context, rows, keep=1, bound=self._bound())
        paths.add("persistence", self._scale.invert(still.path), still.diverged)
        paths.add_floor()
        return score_table(self, paths, metrics)

    def _tuned(
        self, anchor: MapAnchor, train: TrajectoryWindows, valid: TrajectoryWindows
    ) -> MapAnchor:
        """Fit a map; validation rollouts choose its setting."""
        found = valid.rollouts(STARTS, STEPS)
        anchor.fit(train).tune(lambda tried: self._error(tried, *found))
        return anchor


@dataclass(eq=False, repr=False)
class NGRC(CheapForecaster):
    """Ridge regression on monomials of delayed states (Gauthier et al., Nat. Commun. 12 (2021)).

    Delays, degree and penalty are chosen by how long validation rollouts stay valid.

    Examples
    --------
    >>> from seqmamba.datasets import simulate
    >>> x = simulate.lorenz63(n_steps=600, dt=0.04)
    >>> NGRC(dt=0.04, lyapunov_time=1.1).fit(x).predict(h=7).shape
    (7, 3)
    """

    def _module(self, train: TrajectoryWindows, valid: TrajectoryWindows) -> nn.Module:
        channels = train.segments[0].shape[1]
        anchor = MapAnchor("monomials", channels, 1, reach=self.input_size, n_features=1)
        return self._tuned(anchor, train, valid)


@dataclass(eq=False, repr=False)
class RFFForecaster(CheapForecaster):
    """Ridge regression on random Fourier features of delayed states.

    Delays, length scale and penalty are chosen by how long validation rollouts stay valid.
    """

    n_features: int = param(1_000, "random Fourier features", low=10)

    def _module(self, train: TrajectoryWindows, valid: TrajectoryWindows) -> nn.Module:
        channels, n = train.segments[0].shape[1], self.n_features
        anchor = MapAnchor("fourier", channels, 1, reach=self.input_size, n_features=n)
        return self._tuned(anchor, train, valid)


@dataclass(eq=False, repr=False)
class ESNForecaster(CheapForecaster):
    """An echo-state network: a random recurrent network with a ridge read-out."""

    input_size: int = param(100, "rows of the context, which settle the state", low=2, group="data")
    units: int = param(300, "of the network", low=2)
    ridge: float = param(1e-6, "penalty, relative to the number of rows", low=0)
    random_state: int = param(0, "seed of the links", low=0)

    def _module(self, train: TrajectoryWindows, valid: TrajectoryWindows) -> nn.Module:
        seed = self.random_state
        return others.EchoState(train.segments, units=self.units, ridge=self.ridge, seed=seed)


@dataclass(eq=False, repr=False)
class AnalogForecaster(CheapForecaster):
    """The mean step of the most similar moments of the training orbits."""

    neighbours: int = param(8, "moments that are averaged", low=1)
    delays: int = param(1, "rows that make a moment", low=1)
    lag: int = param(1, "rows between two of them", low=1)

    def _module(self, train: TrajectoryWindows, valid: TrajectoryWindows) -> nn.Module:
        return others.Analogues(
            train.segments, delays=self.delays, lag=self.lag, neighbours=self.neighbours
        )


@dataclass(eq=False, repr=False)
class Persistence(CheapForecaster):
    """The last row again."""

    def _module(self, train: TrajectoryWindows, valid: TrajectoryWindows) -> nn.Module:
        return others.Persistence()
