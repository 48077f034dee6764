"""Every parameter of the motion predictor, declared once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from seqmamba.params import Choice, IntRange, Uniform, param
from seqmamba.tasks.track.model import ScaleName
from seqmamba.train.settings import Schedule

__all__ = ["ENCODERS", "IMAGE_GAIN", "PROFILES", "MotionParameters"]

Auto = int | Literal["auto"]

# "small" is for 200 objects at 60 frames per second on one core. Norms and residuals stand where
# Mamba has them: in the paper's stack, a network this small hardly comes to see its input.
PROFILES: Mapping[str, Mapping[str, Any]] = {
    "small": {"d_model": 32, "n_layers": 2, "d_state": 8, "residual": True},
    "paper": {"d_model": 512, "n_layers": 3, "d_state": 16, "residual": False},
}
ENCODERS: Mapping[str, str] = {"small": "mambatrack-small", "paper": "mambatrack"}
IMAGE_GAIN = 50.0  # without it the loss hardly moves


@dataclass(eq=False, repr=False)
class MotionParameters:
    """Mixin of :class:`MotionPredictor`: its parameters and what its model file holds."""

    profile: Literal["small", "paper"] = param("small", "size of the network")
    q: int = param(10, "offsets in a history", low=2, search=Choice(5, 8, 10, 16, 25))
    d_model: Auto = param(
        "auto", "width; auto = 32 (small), 512 (paper)", low=4, search=Choice(32, 64, 96, 128)
    )
    n_layers: Auto = param(
        "auto", "bidirectional layers; auto = 2 (small), 3 (paper)", low=1, search=IntRange(1, 4)
    )
    d_state: Auto = param(
        "auto", "state per channel; auto = 8 (small), 16 (paper)", low=1, search=Choice(8, 16)
    )
    residual: bool | Literal["auto"] = param(
        "auto", "carry the input around the scans; auto = yes (small), no (paper)"
    )
    dropout: float = param(0.0, "dropout in the layers", low=0, high=0.9)
    anchor: str | None = param(
        "auto", "cheap model to stand on: last, kalman, linear, auto or None"
    )
    scale: ScaleName = param("box", "unit of the offsets: box, image or std (points)")
    noise: bool = param(True, "corrupt clean histories as a detector would")
    noise_level: float = param(1.0, "factor on the jitter", low=0, high=5, search=Uniform(0.5, 2.0))
    gap_probability: float = param(0.3, "gaps", low=0, high=1, search=Uniform(0.0, 0.5))
    flip: bool = param(True, "mirror half of the histories")
    confidence: bool = param(True, "read the confidence of detections, where fit is given some")
    horizon_train: int = param(3, "steps of the loss", low=1, high=50, search=Choice(1, 3, 5))
    giou_weight: float = param(0.0, "weight of 1 - GIoU in the loss", low=0)
    stride: int = param(1, "rows between two windows", low=1, group="data")
    columns: tuple[str, ...] = param(("x1", "y1", "x2", "y2"), "box or point", group="data")
    image_size: tuple[int, int] = param((1280, 720), "pixels, for scale=image", group="data")
    fps: float | None = param(None, "frames per second of the tracks", low=1e-3, group="data")
    damping: float = param(0.95, "factor on the offset per lost frame", low=0, high=1)
    repair: bool = param(True, "draw a line through gaps that have ended")
    common: bool = param(True, "move hidden tracks by the common error of the found ones")
    weight_decay: float = param(1e-4, "decoupled weight decay", low=0, group="training")
    batch_size: int = param(128, "windows per step", low=1, group="training")
    max_epochs: int = param(20, "passes over the windows", low=0, group="training")
    patience: int | None = param(5, "epochs without improvement", low=1, group="training")
    lr_schedule: Schedule = param("cosine", "course of the learning rate", group="training")
    clip_norm: float | None = param(1.0, "largest gradient norm", low=0, group="training")

    _task: ClassVar[str] = "track"
    _state_names: ClassVar[tuple[str, ...]] = ("fps_", "linear_", "unit_")
    _default_learning_rate: ClassVar[float] = 2e-3
    _default_val_size: ClassVar[float | int] = 0.15
