"""What a fitted forecaster does besides forecasting: scores, intervals, exponents, reports."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from seqmamba.datasets.simulate.chaotic.tables import orbit_table
from seqmamba.tasks.chaos.answers import ensemble, exponents, scores
from seqmamba.tasks.chaos.embedding import embedding_report

if TYPE_CHECKING:
    from seqmamba.tasks.chaos.answers.report import Report
    from seqmamba.tasks.chaos.estimator import PhyxMambaForecaster

__all__ = ["ForecasterVerbs"]


class ForecasterVerbs:
    """Mixin of :class:`PhyxMambaForecaster`: the methods behind ``fit`` and ``predict``."""

    @property
    def _model(self) -> "PhyxMambaForecaster":
        return cast("PhyxMambaForecaster", self)  # what this class is mixed into

    def evaluate(
        self,
        X: Any,
        y: Any = None,
        *,
        metrics: Sequence[str] | None = None,
        h: int = 300,
        starts: int = 100,
    ) -> pl.DataFrame:
        """Score rollouts from many starts, beside every baseline and the floor.

        Parameters
        ----------
        X : table, path, array or several arrays
            Orbits that were not in ``fit``: each start reads a context and is scored on the
            ``h`` rows behind it.
        y : same as X, or None
            The true orbits, where X is a noisy observation of them; None = X is the truth.
        metrics : sequence of str or None
            Names of :data:`seqmamba.metrics.chaos.METRICS`; None = all.
        h : int
            Rows per rollout; fewer where X is too short.
        starts : int
            Rollouts, evenly spread over X.

        Returns
        -------
        DataFrame
            metric, value, baseline (the best one's), skill, best_baseline, then each baseline, the
            anchor alone, and ``floor``: another true piece of the orbit taken for a forecast.
        """
        check_is_fitted(self, "net_")
        return scores.evaluate(self._model, X, y, metrics, h, starts)

    def rollout(
        self,
        X: Any = None,
        *,
        h: int = 300,
        n_members: int = 20,
        perturb: float | Literal["auto"] = "auto",
    ) -> NDArray[np.float64]:
        """Forecast an ensemble from contexts that differ by the noise of the observations.

        Parameters
        ----------
        X : table, path, array or None
            Context; None = the end of the data of ``fit``.
        h : int
            Rows to forecast.
        n_members : int
            The first one is the forecast of ``predict``.
        perturb : float or "auto"
            Noise on the context in standard deviations; auto = the model's error of one step.

        Returns
        -------
        array (n_members, h, V)
        """
        check_is_fitted(self, "net_")
        return ensemble.members(self._model, X, h, n_members, perturb)

    def predict_interval(
        self, X: Any = None, *, h: int = 300, level: float = 0.9, n_members: int = 50
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return bounds (h, V) that hold a share ``level`` of an ensemble.

        Parameters
        ----------
        X : table, path, array or None
            Context; None = the end of the data of ``fit``.
        h : int
            Rows to forecast.
        level : float
            Between 0 and 1.
        n_members : int
            Rollouts.
        """
        return ensemble.interval(self.rollout(X, h=h, n_members=n_members), level)

    def predictable_time(self, X: Any = None, *, h: int = 300, n_members: int = 50) -> float:
        """Return when an ensemble has spread to half of the climate, in the unit of ``dt``.

        Parameters
        ----------
        X : table, path, array or None
            Context; None = the end of the data of ``fit``.
        h : int
            Rows to look ahead; the answer is ``h * dt`` at most.
        n_members : int
            Rollouts.
        """
        paths = self.rollout(X, h=h, n_members=n_members)
        return ensemble.horizon(paths, self._model.spread_) * self._model.dt_

    def ensemble_scores(
        self,
        X: Any,
        y: Any = None,
        *,
        h: int = 300,
        starts: int = 100,
        n_members: int = 20,
        level: float = 0.9,
    ) -> pl.DataFrame:
        """Score ensembles by lead time: step, lyapunov_times, crps, coverage, spread.

        Parameters
        ----------
        X : table, path, array or several arrays
            Orbits that were not in ``fit``.
        y : same as X, or None
            The true orbits, where X is a noisy observation of them.
        h : int
            Rows per rollout.
        starts : int
            Ensembles, evenly spread over X.
        n_members : int
            Rollouts of each, as of :meth:`rollout`.
        level : float
            Share that the central interval of the members should cover.
        """
        check_is_fitted(self, "net_")
        return ensemble.scores(self._model, X, y, h, starts, n_members, level)

    def lyapunov_exponents(self, count: int = 1, *, duration: float = 500.0) -> NDArray[np.float64]:
        """Return the largest Lyapunov exponents of the fitted model, per unit of time.

        Parameters
        ----------
        count : int
            Exponents.
        duration : float
            Lyapunov times over which growth is measured.
        """
        check_is_fitted(self, "net_")
        return exponents.lyapunov_spectrum(self._model, count=count, duration=duration)

    def report(self, X: Any, y: Any = None, *, h: int = 300, starts: int = 50) -> "Report":
        """Score and draw on one page: forecasts, error growth, attractor, spectra, exponents.

        Parameters
        ----------
        X : table, path, array or several arrays
            Orbits that were not in ``fit``.
        y : same as X, or None
            The true orbits, where X is a noisy observation of them.
        h : int
            Rows per rollout.
        starts : int
            Rollouts.

        Returns
        -------
        Report
            Its ``save(path)`` writes one HTML file.
        """
        from seqmamba.tasks.chaos.answers.report import report  # matplotlib: only for plots

        check_is_fitted(self, "net_")
        return report(self._model, X, y, h, starts)

    def embed(self, X: Any) -> pl.DataFrame:
        """Suggest lag and dimension of a delay embedding: channel, delay_lag, delay_dim.

        Parameters
        ----------
        X : table, path or array
            The longest run of rows without a gap is read.
        """
        found = self._model._orbits(X)
        return embedding_report(max(found.segments, key=len), found.names).table()

    def simulate(
        self,
        *,
        system: str = "lorenz63",
        n_steps: int = 4_000,
        n: int = 1,
        spacing: float | None = None,
        seed: int = 0,
    ) -> pl.DataFrame:
        """Simulate orbits of a chaotic system.

        Parameters
        ----------
        system : str
            Such as lorenz63, rossler, lorenz96_d5_f20, double_pendulum, mackey_glass_30.
        n_steps : int
            Rows per orbit.
        n : int
            Orbits.
        spacing : float or None
            Time between rows; None = the system's usual one.
        seed : int
            Of the starts.
        """
        return orbit_table(system, n_steps, n=n, dt=spacing, seed=seed)
