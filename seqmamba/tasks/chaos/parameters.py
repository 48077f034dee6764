"""Parameters of the chaotic forecaster, each declared once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from seqmamba.params import Choice, IntRange, LogUniform, Uniform, param
from seqmamba.tasks.chaos.net.losses import Statistic
from seqmamba.tasks.chaos.net.model import Target
from seqmamba.tasks.chaos.net.tokens import Pad
from seqmamba.train.settings import Schedule

__all__ = ["PRESETS", "ForecasterParameters"]

Auto = Literal["auto"]

# "paper" is the released code (chaotic-forecasting specification, 2 and 3); "fast" fits 4 000 rows
# within a minute on one core.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "fast": {
        "d_model": 32,
        "n_layers": 1,
        "d_state": 16,
        "n_ahead": 1,
        "dropout": 0.0,
        "pad": "context",
        "normalize": "zscore",
        "target": "delta",
        "statistic": "U",
        "mmd_pool": 8,
        "noise": 1e-3,
        "conditional_weight": 1.0,
        "head_epochs": 1,
        "forcing_epochs": 12,
        "windows_per_epoch": 4_096,
        "forcing_windows": 512,
        "validate_every": 3,
    },
    "paper": {
        "d_model": 256,
        "n_layers": 4,
        "d_state": 1024,
        "n_ahead": 3,
        "dropout": 0.1,
        "pad": "zero",
        "normalize": "none",
        "target": "level",
        "statistic": "V",
        "mmd_pool": 1,
        "noise": 0.0,
        "conditional_weight": 1000.0,
        "head_epochs": 50,
        "forcing_epochs": 750,
        "windows_per_epoch": None,
        "forcing_windows": None,
        "validate_every": 5,
    },
}


@dataclass(eq=False, repr=False)
class ForecasterParameters:
    """Parameters of :class:`seqmamba.tasks.chaos.estimator.PhyxMambaForecaster`."""

    preset: Literal["fast", "paper"] = param("fast", "where 'auto' takes sizes and losses from")
    input_size: int = param(
        30, "rows of the context", low=2, search=IntRange(16, 128), group="data"
    )
    patch: int | Auto = param(
        "auto", "rows per token; auto = 5, or less", low=1, search=Choice(1, 2, 5, 10)
    )
    delay_dim: int | Auto = param(
        "auto", "delayed values per channel; auto = Cao's", low=1, search=IntRange(1, 6)
    )
    delay_lag: int | Auto = param(
        "auto", "rows between them; auto = first minimum of the mutual information", low=1
    )
    anchor: str | None = param(
        "auto",
        "cheap model to stand on: ngrc, rff, rff_wide, auto or None (the paper's network)",
    )
    denoise: bool | Auto = param(
        "auto", "smooth rows by the anchor's dynamics; auto = where validation gains"
    )
    n_features: int = param(1_000, "random Fourier features of rff", low=10)
    d_model: int | Auto = param(
        "auto", "width; auto = 32 (fast), 256 (paper)", low=4, search=Choice(64, 128, 256)
    )
    n_layers: int | Auto = param(
        "auto", "Mamba-2 layers; auto = 1 (fast), 4 (paper)", low=1, search=IntRange(1, 4)
    )
    d_state: int | Auto = param(
        "auto", "state per channel; auto = 16, 1024", low=1, search=Choice(16, 64, 128)
    )
    n_ahead: int | Auto = param(
        "auto", "multi-patch modules; auto = 1, 3", low=0, search=IntRange(0, 3)
    )
    ahead_weight: float = param(0.1, "weight of their loss", low=0)
    dropout: float | Auto = param("auto", "dropout on the tokens; auto = 0, 0.1", low=0, high=0.9)
    pad: Pad | Auto = param("auto", "rows before the context; auto = context, zero")
    normalize: Literal["auto", "zscore", "none"] = param(
        "auto", "scaling of the channels; auto = zscore, none", group="data"
    )
    target: Target | Auto = param("auto", "what the decoder gives; auto = delta, level")
    noise: float | Auto = param(
        "auto",
        "noise on the inputs in training, standard deviations; auto = 1e-3, 0",
        low=0,
        search=Uniform(0.0, 0.05),
        group="training",
    )
    head_epochs: int | Auto = param(
        "auto", "epochs of student forcing of the decoder alone", low=0, group="training"
    )
    forcing_epochs: int | Auto = param(
        "auto", "epochs of student forcing of all weights", low=0, group="training"
    )
    forcing_rate: float = param(
        1e-4,
        "learning rate of student forcing",
        low=0,
        search=LogUniform(3e-5, 1e-3),
        group="training",
    )
    forcing_steps: int = param(30, "rows of a student-forced rollout", low=1, group="training")
    invariant_weight: float = param(
        1.0, "weight of the invariant-measure loss", low=0, group="training"
    )
    conditional_weight: float | Auto = param(
        "auto",
        "weight of the pushed-forward-measure loss; auto = 1, 1000",
        low=0,
        search=Uniform(0.0, 1000.0),
        group="training",
    )
    mmd_pool: int | Auto = param(
        "auto", "steps pooled for the invariant measure; auto = 8, 1", low=1, group="training"
    )
    statistic: Statistic | Auto = param(
        "auto", "estimate of the measures' distance; auto = U, V", group="training"
    )
    windows_per_epoch: int | Auto | None = param(
        "auto", "windows drawn per epoch; auto = 4096, all", low=1, group="training"
    )
    forcing_windows: int | Auto | None = param(
        "auto", "the same in student forcing; auto = 512, all", low=1, group="training"
    )
    validate_every: int | Auto = param(
        "auto", "epochs between two validations by rollouts; auto = 3, 5", low=1, group="training"
    )
    validation_starts: int = param(50, "rollouts per validation", low=1, group="training")
    validation_steps: int = param(300, "rows of such a rollout", low=1, group="training")
    clip_sigma: float = param(10.0, "rollouts are cut at this many standard deviations", low=1)
    dt: float | None = param(
        None, "time between rows; None = by the time column, or 1", low=0, group="data"
    )
    lyapunov_time: float | None = param(
        None, "unit of valid times; None = estimated from the data", low=0, group="data"
    )
    id_col: str = param("unique_id", "column of orbits, if there", group="data")
    time_col: str = param("ds", "column of times, if there", group="data")
    weight_decay: float = param(0.0, "decoupled weight decay", low=0, group="training")
    batch_size: int = param(256, "windows per step", low=1, group="training")
    max_epochs: int = param(60, "passes with teacher forcing", low=0, group="training")
    patience: int | None = param(None, "epochs without improvement", low=1, group="training")
    lr_schedule: Schedule = param("cosine", "course of the learning rate", group="training")
    clip_norm: float | None = param(1.0, "largest gradient norm", low=0, group="training")
    optimizer: Literal["adam", "adamw"] = param("adam", "optimiser", group="training")
