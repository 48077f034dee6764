"""What a fitted forecaster does besides forecasting: scores, intervals, exponents, reports."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import polars as pl
from sklearn.utils.validation import check_is_fitted

from seqmamba.tasks.chaos.answers import scores

if TYPE_CHECKING:
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
