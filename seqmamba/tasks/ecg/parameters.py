"""Every parameter of the classifier, declared once, and the presets that fill in ``auto``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from seqmamba.metrics.metric import Metric
from seqmamba.metrics.multilabel import METRICS
from seqmamba.nn.directions import Direction
from seqmamba.params import Choice, IntRange, LogUniform, Uniform, param
from seqmamba.tasks.ecg.answers.calibration import CalibrationName
from seqmamba.tasks.ecg.net.losses import LossName
from seqmamba.tasks.ecg.net.model import PoolName, PositionName
from seqmamba.tasks.ecg.net.stem import StemName
from seqmamba.tasks.ecg.signal.conditioning import FilterName
from seqmamba.tasks.ecg.signal.preprocessing import ScaleName
from seqmamba.train.settings import Schedule

__all__ = ["PRESETS", "ECGParameters"]

Auto = int | Literal["auto"]
Sizes = tuple[int, ...] | Literal["auto"]

# "small" is for a CPU: tokens of 80 ms and an inner width of one keep it within twice the time of
# the residual network that it stands beside. "base" and "paper": ECG specification, 2.4.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "small": {
        "fs": 100.0,
        "strides": (2, 2, 2),
        "d_model": 96,
        "n_layers": 2,
        "d_state": 8,
        "expand": 1,
        "pool": "mean_max",
        "position": "none",
    },
    "base": {
        "fs": 250.0,
        "strides": (5, 1, 1),
        "d_model": 192,
        "n_layers": 8,
        "d_state": 16,
        "expand": 2,
        "pool": "mean_max",
        "position": "none",
    },
    "paper": {
        "fs": 500.0,
        "strides": (5, 1, 1),
        "d_model": 384,
        "n_layers": 16,
        "d_state": 16,
        "expand": 2,
        "pool": "cls",
        "position": "learned",
    },
}


@dataclass(eq=False, repr=False)
class ECGParameters:
    """Mixin of :class:`ECGClassifier`: its parameters and what its model file holds."""

    preset: Literal["small", "base", "paper"] = param("small", "size of the network")
    network: Literal["mamba", "resnet"] = param(
        "mamba", "network; resnet = that of the baseline, with the same preparation and training"
    )
    fs: float | Literal["auto"] = param(
        "auto", "rate of the network, hertz; auto = the preset's", low=1, group="data"
    )
    duration: float = param(10.0, "window, seconds", low=0.1, group="data")
    leads: str | tuple[str, ...] = param("12", "leads: 12, or names", group="data")
    min_leads: int = param(1, "leads that a record must have", low=1, group="data")
    filter: FilterName = param(
        "bandpass", "band that is kept", search=Choice("bandpass", "highpass"), group="data"
    )
    notch: float | None = param(None, "mains frequency to take out, hertz", low=1, group="data")
    scale: ScaleName = param(
        "record", "unit of the signal", search=Choice("record", "lead", "mv"), group="data"
    )
    multilabel: bool | Literal["auto"] = param(
        "auto", "several labels may be true; auto = by the form of y", group="data"
    )
    d_model: Auto = param("auto", "width", low=4, search=Choice(64, 96, 128))
    n_layers: Auto = param("auto", "blocks", low=1, high=64, search=IntRange(1, 4))
    d_state: Auto = param("auto", "state per channel", low=1, search=Choice(4, 8, 16))
    expand: Auto = param("auto", "inner width over d_model", low=1, high=4, search=Choice(1, 2))
    direction: Direction = param(
        "vim_v2", "how a block reads", search=Choice("vim_v2", "bi_sum", "mil_sr")
    )
    stem: StemName = param("conv", "from samples to tokens: conv, patch (ECG-Mamba) or none")
    strides: Sizes = param("auto", "of the three stages of the stem", search=None)
    kernels: tuple[int, ...] = param((15, 7, 7), "taps of the three stages of the stem")
    pool: PoolName | Literal["auto"] = param(
        "auto", "pooling over time", search=Choice("mean_max", "attention", "mean")
    )
    token: Literal["end", "middle"] = param("middle", "place of the class token, for pool=cls")
    position: PositionName | Literal["auto"] = param("auto", "position vectors")
    anchor: Literal["rhythm"] | None = param(
        None, "cheap model to stand on: rhythm, for few records; none = the network alone"
    )
    dropout: float = param(0.0, "dropout", low=0, high=0.9, search=Uniform(0.0, 0.3))
    drop_path: float = param(0.0, "share of blocks left out", low=0, high=0.9)
    loss: LossName = param("bce", "loss of several labels", search=Choice("bce", "asl"))
    class_weight: Literal["balanced"] | Mapping[Any, float] | None = param(
        None, "weight of positives: balanced, or per class"
    )
    label_smoothing: float = param(0.0, "label smoothing", low=0, high=0.5)
    augment: bool = param(True, "change recordings while training")
    augment_strength: float = param(
        1.0, "factor on the probabilities", low=0, high=3, search=Uniform(0.0, 2.0)
    )
    shift: float = param(1.0, "seconds by which windows reach over the ends", low=0)
    mixup: float = param(0.0, "alpha of mixup; 0 = off", low=0)
    thresholds: str | Mapping[str, Any] = param(
        "f1", "rule of the decision per class: f1, youden, half, or a mapping"
    )
    calibrate: CalibrationName = param("platt", "calibration on the validation part")
    combine: Literal["mean", "max"] = param("mean", "logits of the windows of a long record")
    learning_rate: float | Literal["auto"] = param(
        "auto",
        "largest step size; auto = 4e-3 (small), 1e-3 (base), 5e-4 (paper)",
        low=0,
        search=LogUniform(5e-4, 8e-3),
        group="training",
    )
    weight_decay: float = param(
        0.01, "decoupled weight decay", low=0, search=LogUniform(1e-3, 0.1), group="training"
    )
    batch_size: int = param(16, "records per step", low=1, group="training")
    max_epochs: int = param(30, "passes over the records", low=0, group="training")
    patience: int | None = param(10, "epochs without improvement", low=1, group="training")
    lr_schedule: Schedule = param("one_cycle", "course of the learning rate", group="training")
    clip_norm: float | None = param(1.0, "largest gradient norm", low=0, group="training")

    _task: ClassVar[str] = "ecg"
    _default_val_size: ClassVar[float | int] = 0.15
    _metrics: ClassVar[Mapping[str, Metric]] = METRICS
    _state_names: ClassVar[tuple[str, ...]] = (
        "class_names_",
        "is_multilabel_",
        "is_plain_",
        "fs_in_",
        "columns_",
        "scaling_",
        "thresholds_",
        "few_positives_",
        "slopes_",
        "offsets_",
        "steps_",
        "calibrators_",
        "baseline_weights_",
        "baseline_scaling_",
        "prevalence_",
    )

    def preset_value(self, name: str) -> Any:
        """Return a parameter, or what the preset says where it is ``auto``."""
        value = getattr(self, name)
        return PRESETS[self.preset][name] if value == "auto" else value
