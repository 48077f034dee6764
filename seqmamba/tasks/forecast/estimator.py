"""The forecaster: tables in, forecasts out, around the S-Mamba network."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from seqmamba.base import BaseEstimator
from seqmamba.datasets.samples import Batch, Info, Samples
from seqmamba.datasets.series.calendar import feature_names
from seqmamba.datasets.series.panel import Panel
from seqmamba.datasets.series.scaling import Scaling
from seqmamba.datasets.windows import WindowSamples, held_out_rows
from seqmamba.errors import ConfigError, DataError, SeqmambaWarning
from seqmamba.nn import Encoder
from seqmamba.tasks.forecast.answers import forecast
from seqmamba.tasks.forecast.answers.intervals import collect_residuals, conformal_settings
from seqmamba.tasks.forecast.baselines import Ridge, baselines
from seqmamba.tasks.forecast.gain import is_surely_better
from seqmamba.tasks.forecast.losses import forecast_loss
from seqmamba.tasks.forecast.model import SMamba, TokenLayout
from seqmamba.tasks.forecast.parameters import ForecasterParameters
from seqmamba.tasks.forecast.reading import context
from seqmamba.tasks.forecast.reading.static import encode_static, learn_static, refuse_unknown
from seqmamba.tasks.forecast.reading.table import (
    Table,
    read_table,
    scaling_of,
    seen_codes,
    windows,
)
from seqmamba.tasks.forecast.verbs import ForecasterVerbs
from seqmamba.train.anchor import Anchor, Anchored, Comparison
from seqmamba.train.callbacks import Callback
from seqmamba.train.loop import Objective, mean_loss

__all__ = ["SMambaForecaster"]

USUAL_STEPS = 250  # of an epoch, at which the default learning rate holds

log = logging.getLogger(__name__)


@dataclass(eq=False, repr=False)
class SMambaForecaster(ForecasterVerbs, ForecasterParameters, BaseEstimator):
    """Forecast many series at once with S-Mamba (Wang et al., arXiv 2403.11144).

    Data: a long table (one row per series and time), a wide one (a time column and one numeric
    column per series) or an array (rows, series); pandas, polars, arrow, dict, path or pattern. By
    default the network stands on the best cheap forecast and learns what that leaves over;
    ``anchor=None`` is the paper's network.

    Fitted attributes besides the shared ones: ``ids_``, ``grouping_``, ``frequency_``,
    ``center_`` and ``scale_`` (outer scaling per series), ``residuals_`` (windows, series, h),
    ``residual_spread_`` (windows, series: deviation of the look-back before each).

    Examples
    --------
    >>> from seqmamba.datasets.simulate import panel
    >>> table = panel(n_series=2, n_steps=200, seed=0)
    >>> model = SMambaForecaster(h=4, input_size=24, d_model=8, max_epochs=1, random_state=0)
    >>> model.fit(table).predict().columns.to_list()
    ['unique_id', 'ds', 'SMamba']
    """

    # -- hooks of the base ---------------------------------------------------------------------

    def _read(
        self, X: Any, y: Any, fit: bool, static_df: Any = None, **tables: Any
    ) -> WindowSamples:
        """Return windows; with ``fit=True`` over raw values, for :meth:`_parts` to scale."""
        if fit:
            self._check_settings()
        table = read_table(self, X, fit=fit)
        panel = table.panel
        if fit:
            self._learn_table(panel)
            is_number = table.like.schema.get(self.id_col, pl.String).is_integer()
            self.source_ = [table.like.library, "int64" if is_number else "string"]
            if self.stat_exog:
                self.static_ = learn_static(static_df, self.id_col, self.stat_exog)
                self.static_values_ = encode_static(static_df, self.id_col, panel.ids, self.static_)
            context.store_context(self, panel)
            return windows(self, panel)
        scaled = scaling_of(self).apply(panel, seen_codes(self, panel))
        return windows(self, scaled, static=self._static(static_df, panel))

    def _parts(
        self, samples: Samples, eval_set: Any, tables: Mapping[str, Any]
    ) -> tuple[Samples, Samples | None]:
        """Split, then scale: the scaler may see the training rows only."""
        assert isinstance(samples, WindowSamples)
        panel = samples.panel
        held_out = self._held_out() if eval_set is None else 0
        needed = samples.first + self.h
        stop = panel.lengths - held_out_rows(panel.lengths, held_out, self.h, needed)
        scaling = Scaling.learn(panel, stop, self.scaler)
        self.center_, self.scale_ = scaling.center, scaling.scale
        self.covariate_center_, self.covariate_scale_ = scaling.cov_center, scaling.cov_scale
        self.future_center_, self.future_scale_ = scaling.future_center, scaling.future_scale
        scaled = scaling.apply(panel, np.arange(len(panel.ids)))
        static = self.static_values_ if self.stat_exog else None
        ready = windows(self, scaled, static=static)
        if not len(ready):
            raise DataError(
                f"every series is too short: the longest has {int(panel.lengths.max())} rows, and "
                f"h={self.h} with min_history needs {self.h + int(ready.first.min())}. Pass more "
                "rows, or a smaller h or min_history."
            )
        train, valid = super()._parts(ready, eval_set, tables)
        if self.learning_rate == "auto":  # known only now: it follows the steps of an epoch
            self.learning_rate_ = self._auto_learning_rate(len(train))
        return train, valid

    def _auto_learning_rate(self, n_windows: int) -> float:
        """Return 1e-4, and up to five times that where an epoch has few steps.

        The schedule halves the rate by the epoch; the released rates are made for about 250 steps
        per epoch and grow for the small data sets.
        """
        steps = max(min(n_windows, self.windows_per_epoch or n_windows) // self.batch_size, 1)
        return self._default_learning_rate * min(max(USUAL_STEPS / steps, 1.0), 5.0)

    def _split(self, samples: Samples) -> tuple[Samples, Samples | None]:
        held_out = self._held_out()
        if held_out == 0:
            return samples, None
        train, valid = samples.split(held_out)
        if len(valid):
            return train, self._thinned(valid)
        warnings.warn(
            f"val_size={held_out} leaves no whole window for validation: training runs all "
            "max_epochs and keeps the last weights.",
            SeqmambaWarning,
            stacklevel=4,
        )
        return train, None

    def _thinned(self, valid: Samples) -> Samples:
        """Return fewer validation windows where an epoch draws fewer than there are of them."""
        assert isinstance(valid, WindowSamples)
        stride = len(valid) // (self.windows_per_epoch or len(valid))
        if stride <= 1:
            return valid
        return replace(valid, stride=stride * valid.stride, count=-(-valid.count // stride))

    def _read_raw(self, X: Any) -> Table:
        """Read a table as ``fit`` would, and learn its layout."""
        table = read_table(self, X, fit=True)
        self._learn_table(table.panel)
        return table

    def _held_out(self) -> float | int:
        return self._default_val_size if self.val_size is None else self.val_size

    def _build(self, info: Info) -> nn.Module:
        encoder = Encoder.preset(
            "s-mamba",
            d_model=self.d_model,
            n_layers=self.n_layers,
            d_state=self.d_state,
            d_conv=self.d_conv,
            expand=self.expand,
            d_ff=self._feed_forward_width(),
            dropout=self.dropout,
            activation=self.activation,
            backend=self.backend,
        )
        return SMamba(
            self.input_size,
            self.h,
            self._layout(),
            encoder,
            d_model=self.d_model,
            dropout=self.dropout,
            use_norm=self.use_norm,
            n_quantiles=len(self.quantiles or ()),
            is_residual=self.anchor_ is not None,
            has_future=info.extra["n_futr"] > 0,
            has_missing=info.extra["has_missing"],
            n_static=info.extra["n_static"],
            n_series=info.extra["n_series"] if self.id_embedding else 0,
        )

    def _feed_forward_width(self) -> int:
        if isinstance(self.d_ff, str):
            return self.d_model * int(self.d_ff.removesuffix("x"))
        return self.d_ff or self.d_model

    def _layout(self) -> TokenLayout:
        return TokenLayout(len(self.hist_exog or ()), bool(self.shared_[0]))

    def _loss(self, net: nn.Module, batch: Batch) -> Tensor:
        assert batch.y is not None
        observed = batch.extra.get("y_observed")
        return forecast_loss(self.loss, net(batch), batch.y, observed, self.quantiles)

    def _objective(self) -> Objective | None:
        """Validate by the squared error whatever is trained on: then settings can be compared."""
        if self.loss == "mse" or self.quantiles:
            return None

        def squared(net: nn.Module, batch: Batch) -> Tensor:
            assert batch.y is not None
            return forecast_loss("mse", net(batch), batch.y, batch.extra.get("y_observed"))

        def measure(net: nn.Module, samples: Samples) -> float:
            weights = next(chain(net.parameters(), net.buffers()), torch.zeros(()))
            return mean_loss(squared, str(weights.device), 256)(net, samples)

        return measure

    def _anchors(self, info: Info) -> Mapping[str, Anchor]:
        found = self._baselines(info)
        return {name: found[name] for name in ("last", "seasonal_naive", "ridge") if name in found}

    def _comparison(self) -> Comparison:
        """Return the test that keeps the simpler forecast where chance may have ranked them."""
        return partial(is_surely_better, quantiles=self.quantiles)

    def _baselines(self, info: Info) -> Mapping[str, Anchor]:
        season = info.extra["season"]
        return baselines(self.h, self.input_size, season, self._layout(), self.quantiles or ())

    def _epoch_samples(self) -> int | None:
        return self.windows_per_epoch

    def _finish(self, train: Samples, valid: Samples | None) -> None:
        """Keep a ridge to compare with, and how far off rolling forecasts were."""
        assert isinstance(train, WindowSamples)
        self.net_.eval()
        if isinstance(valid, WindowSamples) and isinstance(self.net_, Anchored):
            self._keep_anchor_unless_surely_better(self.net_, valid)
        ridge = getattr(self.net_, "anchor", None)
        if not isinstance(ridge, Ridge):
            ridge = Ridge(self.h, self._layout(), self.input_size, self.quantiles or ()).fit(train)
            objective = mean_loss(self._loss, "cpu", 256)
            ridge.tune(lambda tried: objective(tried, train if valid is None else valid))
        self.ridge_ = ridge.weight.cpu().numpy()
        held_out = valid if isinstance(valid, WindowSamples) else None
        self.residuals_, self.residual_spread_ = collect_residuals(self, train, held_out)

    def _keep_anchor_unless_surely_better(self, net: Anchored, valid: WindowSamples) -> None:
        """Go back to epoch 0 where the network's gain may be chance."""
        if self.history_.best_epoch == 0 or self._comparison()(net.anchor, net, valid):
            return
        log.info("the network is not surely better than its anchor, which stands alone")
        net.silence()
        self.history_.best_epoch = 0
        self.history_.best = self.history_.rows[0]["objective"]

    def _learn_table(self, panel: Panel) -> None:
        self.ids_ = list(panel.ids)
        self.grouping_ = panel.grouping
        frequency = panel.frequency
        self.frequency_: list[Any] = [frequency.kind, frequency.step, frequency.time_zone]
        self.time_dtype_ = context.dtype_name(panel.time_dtype)
        self.shared_ = list(panel.shared)
        self.static_ = []
        self.static_values_ = np.zeros((len(panel.ids), 0), np.float32)
        feature_names(self.time_features, frequency)  # refuses what the period does not have

    def _static(self, static_df: Any, panel: Panel) -> NDArray[np.float32] | None:
        if not self.stat_exog:
            return None
        if static_df is not None:
            return encode_static(static_df, self.id_col, panel.ids, self.static_)
        codes = seen_codes(self, panel)
        if (codes < 0).any():
            name = panel.ids[int(np.argmin(codes))]
            raise DataError(f"series {name!r} was not in fit: pass static_df with its features.")
        return np.asarray(self.static_values_[codes], np.float32)

    def _check_settings(self) -> None:
        conformal_settings(self.conformal)
        for q in self.quantiles or ():
            if not 0 < q < 1:
                raise ConfigError(f"quantiles must lie between 0 and 1, got {q!r}")
        if self.quantiles and list(self.quantiles) != sorted(set(self.quantiles)):
            raise ConfigError(f"quantiles must rise, got {self.quantiles!r}")

    # -- what a user calls ---------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        eval_set: Any = None,
        static_df: Any = None,
        checkpoint: str | Path | None = None,
        resume: str | Path | None = None,
        callbacks: Sequence[Callback] = (),
        **tables: Any,
    ) -> Self:
        """Learn from a table of series; a second call starts afresh.

        Parameters
        ----------
        X : table, array (rows, series), path or pattern
            Long or wide.
        y : None
            Not used; the target is a column of X.
        eval_set : table or None
            Validation part; None = the last rows of X, by ``val_size``.
        static_df : table or None
            One row per series: its name and the columns of ``stat_exog``.
        checkpoint : path or None
            File written after each epoch and when interrupted.
        resume : path or None
            Checkpoint of the same parameters and data to go on from.
        callbacks : sequence of Callback
            Watchers of the training run.
        tables
            None is known.

        Raises
        ------
        DataError
            The table is at fault: the message names column, series, row and cure.
        """
        refuse_unknown("fit", tables)
        return super().fit(
            X,
            y,
            eval_set=eval_set,
            static_df=static_df,
            checkpoint=checkpoint,
            resume=resume,
            callbacks=callbacks,
        )

    def predict(
        self,
        X: Any = None,
        *,
        h: int | None = None,
        futr_df: Any = None,
        static_df: Any = None,
        level: Sequence[float] | None = None,
        quantiles: Sequence[float] | None = None,
    ) -> Any:
        """Forecast the rows behind the last one of each series.

        Parameters
        ----------
        X : table, array, path or None
            History; None = the end of the data of ``fit`` (or ``update``). Series that were not in
            ``fit`` are welcome.
        h : int or None
            Rows to forecast. Longer than trained: forecasts are fed back.
        futr_df : table or None
            Known-future covariates: series, time and ``futr_exog``.
        static_df : table or None
            Static covariates of series that were not in ``fit``.
        level : sequence of float or None
            Nominal coverage of intervals in per cent, such as 80, 90.
        quantiles : sequence of float or None
            Quantiles between 0 and 1.

        Returns
        -------
        table or array
            Long table in the caller's library: series, time, forecast, ``-lo-90``, ``-hi-90``,
            ``_ql0.1``; a column ``method`` says where a naive forecast had to serve. For an array
            (rows, series) without intervals an array (h, series).
        """
        check_is_fitted(self, "net_")
        return forecast.predict(self, X, h, futr_df, static_df, level, quantiles)
