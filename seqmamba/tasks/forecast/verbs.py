"""What a fitted forecaster does besides forecasting: scores, backtests, updates, figures."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import polars as pl
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from seqmamba.errors import ConfigError, DataError
from seqmamba.params import check_params
from seqmamba.tasks.forecast.answers import backtest, inspection, scores
from seqmamba.tasks.forecast.answers.plot import plot
from seqmamba.tasks.forecast.reading import append, context
from seqmamba.tasks.forecast.reading.static import refuse_unknown
from seqmamba.tasks.forecast.reading.table import scaling_of, seen_codes, windows
from seqmamba.train.loop import run

if TYPE_CHECKING:
    from seqmamba.tasks.forecast.estimator import SMambaForecaster

__all__ = ["ForecasterVerbs"]


class ForecasterVerbs:
    """Mixin of :class:`SMambaForecaster`: the methods behind ``fit`` and ``predict``."""

    @property
    def _model(self) -> "SMambaForecaster":
        return cast("SMambaForecaster", self)  # what this class is mixed into

    def evaluate(
        self,
        X: Any,
        y: Any = None,
        *,
        metrics: Sequence[str] | None = None,
        by: Literal["unique_id", "horizon", "cutoff"] | None = None,
        n_windows: int = 1,
        step_size: int | None = None,
        test_size: int | None = None,
        static_df: Any = None,
    ) -> pl.DataFrame:
        """Score forecasts of the last rows of each series, beside every baseline.

        Parameters
        ----------
        X : table, array or path
            History and truth: the last ``h`` rows are forecast from those before.
        y : None
            Not used; the truth is a column of X.
        metrics : sequence of str or None
            Names of :data:`seqmamba.metrics.forecast.METRICS`; None = mae, rmse, smape, mase.
        by : {"unique_id", "horizon", "cutoff"} or None
            One row per series, step ahead, or cutoff; None = over all.
        n_windows : int
            Cutoffs, counted back from the end.
        step_size : int or None
            Rows between cutoffs; None = h.
        test_size : int or None
            Rows at the end that all windows lie in, instead of ``n_windows``.
        static_df : table or None
            Static covariates of series that were not in ``fit``.

        Returns
        -------
        polars DataFrame
            metric, value, baseline (the best one's value), skill = 1 - value / baseline,
            best_baseline, and the value of each baseline. Original units.
        """
        check_is_fitted(self, "net_")
        cuts = backtest.Cutoffs(n_windows, step_size, test_size)
        return scores.evaluate(self._model, X, metrics, by, cuts, static_df)

    def cross_validation(
        self,
        X: Any,
        *,
        n_windows: int = 1,
        step_size: int | None = None,
        h: int | None = None,
        test_size: int | None = None,
        refit: bool | int = False,
        level: Sequence[float] | None = None,
        static_df: Any = None,
    ) -> Any:
        """Fit on the rows before each cutoff, forecast those behind it.

        The estimator itself is left as it is; copies are fitted.

        Parameters
        ----------
        X : table, array or path
        n_windows : int
            Cutoffs, counted back from the end.
        step_size : int or None
            Rows between cutoffs; None = h.
        h : int or None
            Rows to forecast, at most the estimator's.
        test_size : int or None
            Rows at the end that all windows lie in, instead of ``n_windows``.
        refit : bool or int
            False: fit once, before the first cutoff; True: before each; k: before every k-th.
        level : sequence of float or None
            Nominal coverage of intervals in per cent.
        static_df : table or None
            Static covariates.

        Returns
        -------
        table
            Series, time, cutoff (last stamp that the model saw), truth, forecast and intervals.
        """
        cuts = backtest.Cutoffs(n_windows, step_size, test_size)
        return backtest.cross_validation(self._model, X, cuts, h, refit, level, static_df)

    def update(self, X: Any, *, epochs: int = 0) -> "SMambaForecaster":
        """Append newer rows to the history that :meth:`predict` starts from.

        Parameters
        ----------
        X : table, array or path
            Rows behind those of ``fit``; rows that are known already are replaced.
        epochs : int
            Passes of further training over the kept and the new rows; 0 = newer context only.
        """
        check_is_fitted(self, "net_")
        if epochs < 0:
            raise ConfigError(f"epochs must be at least 0, got {epochs!r}")
        model = self._model
        panel = append.appended(model, X)
        context.store_context(model, panel)
        if epochs:
            scaled = scaling_of(model).apply(panel, seen_codes(model, panel))
            samples = windows(model, scaled, static=model._static(None, panel))
            if not len(samples):
                raise DataError(
                    f"the kept and the new rows hold no window of {model.input_size} + {model.h} "
                    "rows to train on. Pass more rows, or epochs=0."
                )
            settings = replace(model._settings(None, None, len(samples)), max_epochs=epochs)
            model.history_ = run(
                model.net_, model._loss, samples, None, settings=settings, seed=model._seed
            )
        return model

    def inspect(
        self, X: Any, y: Any = None, *, static_df: Any = None, **tables: Any
    ) -> pl.DataFrame:
        """Read and check a table, and return what was understood: fact, value. Fits nothing.

        Parameters
        ----------
        X : table, array or path
        y : None
            Not used.
        static_df : table or None
            Static covariates, checked too.
        tables
            None is known.
        """
        refuse_unknown("inspect", tables)
        check_params(self)
        reader = clone(self._model)
        samples = reader._read(X, y, True, static_df=static_df)
        return inspection.inspection_table(reader, samples)

    def plot(
        self,
        X: Any,
        forecast: Any = None,
        *,
        ids: Sequence[str] | None = None,
        max_ids: int = 8,
        level: Sequence[float] | None = None,
        path: str | Path | None = None,
    ) -> Any:
        """Draw history and forecast of some series; works without a display.

        Parameters
        ----------
        X : table, array or path
            History.
        forecast : table or None
            What :meth:`predict` returned; None = forecast X.
        ids : sequence of str or None
            Series to draw; None = the first ``max_ids``.
        max_ids : int
        level : sequence of float or None
            Intervals to draw where ``forecast`` is None.
        path : path or None
            PNG, SVG or PDF to write.

        Returns
        -------
        matplotlib Figure
        """
        check_is_fitted(self, "net_")
        return plot(self._model, X, forecast, ids, max_ids, level, path)
