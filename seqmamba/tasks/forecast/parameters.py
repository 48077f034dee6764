"""Every parameter of the forecaster, declared once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from seqmamba.datasets.series.calendar import TimeFeatures
from seqmamba.datasets.series.grid import Gaps
from seqmamba.datasets.series.records import Duplicates
from seqmamba.datasets.series.scaling import ScalerName
from seqmamba.metrics.forecast import METRICS
from seqmamba.metrics.metric import Metric
from seqmamba.nn.block import ActivationName
from seqmamba.params import Choice, IntRange, LogUniform, Uniform, param
from seqmamba.tasks.forecast.losses import LossName
from seqmamba.train.settings import Schedule

__all__ = ["ForecasterParameters"]

Names = tuple[str, ...] | None
Missing = Literal["mask", "interpolate", "error"]
AnchorName = Literal["auto", "ridge", "last", "seasonal_naive"]


@dataclass(eq=False, repr=False)
class ForecasterParameters:
    """Mixin of :class:`SMambaForecaster`: its parameters and what its model file holds.

    Defaults of the network are those of the released ETT scripts (forecasting specification, 8).
    """

    h: int = param(24, "horizon, rows", low=1, group="data")
    input_size: int = param(
        96, "look-back, rows", low=2, search=Choice(48, 96, 192, 336, 512), group="data"
    )
    id_col: str = param("unique_id", "column that names the series", group="data")
    time_col: str = param("ds", "column of time stamps", group="data")
    target_col: str = param("y", "column to forecast, in long tables", group="data")
    freq: str | int = param(
        "infer", "period: h, 15min, D, W, MS, B, an integer, or infer", group="data"
    )
    grouping: str = param(
        "auto", "auto, all (one problem), each (one per series), or a column", group="data"
    )
    futr_exog: Names = param(None, "covariates that are known ahead", group="data")
    hist_exog: Names = param(None, "covariates that are known up to now", group="data")
    stat_exog: Names = param(None, "columns of static_df", group="data")
    time_features: TimeFeatures | None = param(
        "auto", "calendar features", search=Choice("paper", "auto", None), group="data"
    )
    scaler: ScalerName = param("standard", "outer scaling per series", group="data")
    missing: Missing = param("mask", "what to do with empty cells", group="data")
    gaps: Gaps = param("fill", "stamps that are missing inside a series", group="data")
    duplicates: Duplicates = param("error", "rows that repeat series and time", group="data")
    na_values: tuple[float, ...] | None = param(
        None, "numbers that mean an empty cell", group="data"
    )
    min_history: int | None = param(
        None,
        "rows below which the naive forecast is given; None = max(8, input_size / 8)",
        low=1,
        group="data",
    )
    alias: str = param("SMamba", "name of the forecast column", group="data")
    d_model: int = param(256, "width", low=1, high=2**15, search=Choice(64, 128, 256, 512))
    d_ff: int | Literal["1x", "2x", "4x"] | None = param(
        None,
        "width of the feed-forward part; 2x = twice d_model, None = d_model",
        low=1,
        high=2**17,
        search=Choice("1x", "2x", "4x"),
    )
    d_state: int = param(
        2, "state size of the scan", low=1, high=2**12, search=Choice(2, 8, 16, 32)
    )
    n_layers: int = param(2, "encoder layers", low=1, high=512, search=IntRange(1, 4))
    expand: int = param(1, "inner width of the scan over d_model", low=1, high=64)
    d_conv: int = param(2, "taps of the convolution", low=1, high=64)
    dropout: float = param(0.1, "dropout", low=0, high=0.9, search=Uniform(0.0, 0.4))
    activation: ActivationName = param("gelu", "activation of the feed-forward part")
    use_norm: bool = param(True, "normalise each window", search=Choice(True, False))
    id_embedding: bool = param(False, "learn a vector per series; forbids unseen series")
    anchor: AnchorName | None = param(
        "auto", "cheap forecast that the network stands on; none = the paper's network"
    )
    loss: LossName = param("huber", "loss of point forecasts", search=Choice("mse", "mae", "huber"))
    quantiles: tuple[float, ...] | None = param(None, "quantiles to learn instead of a point")
    conformal: Mapping[str, Any] | None = param(
        None, "intervals: n_windows, step_size, method (scaled, error or distribution)"
    )
    windows_per_epoch: int | None = param(
        None, "windows drawn per epoch; None = all", low=1, group="training"
    )
    learning_rate: float | Literal["auto"] = param(
        "auto",
        "step size of the optimiser; auto = 1e-4, more where an epoch has few steps",
        low=0,
        search=LogUniform(1e-5, 3e-3),
        group="training",
    )
    batch_size: int = param(
        32, "windows per step", low=1, search=Choice(16, 32, 64, 128), group="training"
    )
    val_size: float | int | None = param(
        None,
        "last rows held out: a fraction or a count per series; None = a fifth",
        low=0,
        group="training",
    )
    lr_schedule: Schedule = param("halve", "course of the learning rate", group="training")

    _task: ClassVar[str] = "forecast"
    _default_learning_rate: ClassVar[float] = 1e-4
    _default_val_size: ClassVar[float | int] = 0.2
    _drop_last: ClassVar[bool] = True  # released code
    _metrics: ClassVar[Mapping[str, Metric]] = METRICS
    _state_names: ClassVar[tuple[str, ...]] = (
        "ids_",
        "grouping_",
        "frequency_",
        "time_dtype_",
        "shared_",
        "static_",
        "static_values_",
        "center_",
        "scale_",
        "covariate_center_",
        "covariate_scale_",
        "future_center_",
        "future_scale_",
        "context_grid_",
        "context_targets_",
        "context_values_",
        "context_future_",
        "context_ids_",
        "appearance_",
        "source_",
        "residuals_",
        "residual_spread_",
        "ridge_",
    )
