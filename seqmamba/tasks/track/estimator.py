"""The motion predictor: fitted on tracks, used alone or inside a tracker."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn import functional

from seqmamba.base import BaseEstimator
from seqmamba.datasets.samples import Batch, Info, Samples
from seqmamba.params import Choice, IntRange, Uniform, param
from seqmamba.tasks.track.baselines import KalmanAnchor, LastAnchor, LinearAnchor
from seqmamba.tasks.track.forecast import (
    HORIZONS,
    giou,
    mean_horizon_loss,
)
from seqmamba.tasks.track.model import MotionNet, Scale, ScaleName, rollout
from seqmamba.tasks.track.motion.learned import MTPMotion
from seqmamba.tasks.track.noise import Noise, flip
from seqmamba.tasks.track.offsets import LIMIT
from seqmamba.tasks.track.windows import TrackWindows, read_tracks
from seqmamba.train.anchor import Anchor
from seqmamba.train.loop import Objective
from seqmamba.train.seeds import stream

__all__ = ["MotionPredictor"]

WIDTHS = {"small": 64, "paper": 512}
DECAY = 0.8  # weight of each further step of a multi-step loss
IMAGE_GAIN = 50.0  # without it the loss hardly moves
BETA = {"box": 0.2, "image": 1.0, "std": 0.2}  # bend of the smooth L1 loss


@dataclass(eq=False, repr=False)
class MotionPredictor(BaseEstimator):
    """Next box of each object from its last ones, by a bidirectional Mamba encoder (MTP).

    Source: MambaTrack, arXiv 2408.09178. Profile "paper" is its network; "small" is ours.

    Examples
    --------
    >>> from seqmamba.datasets import simulate
    >>> truth, detections = simulate.dancers(n_sequences=2, seed=0)
    >>> motion = MotionPredictor(q=5, d_model=16, n_layers=1, max_epochs=1, random_state=0)
    >>> motion.fit(truth).predict(truth, h=3).columns[:4]
    ['sequence', 'track_id', 'frame', 'step']
    """

    profile: Literal["small", "paper"] = param("small", "size of the network")
    q: int = param(10, "offsets in a history", low=2, search=Choice(5, 8, 10, 16, 25))
    d_model: int | Literal["auto"] = param(
        "auto", "width; auto = 64 (small), 512 (paper)", low=4, search=Choice(32, 64, 96, 128)
    )
    n_layers: int = param(3, "bidirectional layers", low=1, search=IntRange(1, 4))
    d_state: int = param(16, "state per channel", low=1, search=Choice(8, 16))
    residual: bool = param(False, "carry the input around the scans; the paper does not")
    dropout: float = param(0.0, "dropout in the layers", low=0, high=0.9)
    anchor: str | None = param(
        "auto", "cheap model to stand on: last, kalman, linear, auto or None"
    )
    scale: ScaleName = param("box", "unit of the offsets: box, image or std (points)")
    noise: bool = param(True, "corrupt clean histories as a detector would")
    noise_level: float = param(1.0, "factor on the jitter", low=0, high=5, search=Uniform(0.5, 2.0))
    gap_probability: float = param(0.3, "gaps", low=0, high=1, search=Uniform(0.0, 0.5))
    flip: bool = param(True, "mirror half of the histories")
    horizon_train: int = param(1, "steps of the loss", low=1, high=50, search=Choice(1, 3, 5))
    giou_weight: float = param(0.0, "weight of 1 - GIoU in the loss", low=0)
    stride: int = param(1, "rows between two windows", low=1, group="data")
    columns: tuple[str, ...] = param(("x1", "y1", "x2", "y2"), "box or point", group="data")
    image_size: tuple[int, int] = param((1280, 720), "pixels, for scale=image", group="data")
    fps: float | None = param(None, "frames per second of the tracks", low=1e-3, group="data")
    damping: float = param(0.95, "factor on the offset per lost frame", low=0, high=1)
    repair: bool = param(True, "draw a line through gaps that have ended")
    weight_decay: float = param(1e-4, "decoupled weight decay", low=0, group="training")
    batch_size: int = param(512, "windows per step", low=1, group="training")
    max_epochs: int = param(20, "passes over the windows", low=0, group="training")
    patience: int | None = param(5, "epochs without improvement", low=1, group="training")
    lr_schedule: Literal["constant", "halve", "cosine", "linear"] = param(
        "cosine", "course of the learning rate", group="training"
    )
    clip_norm: float | None = param(1.0, "largest gradient norm", low=0, group="training")

    _task: ClassVar[str] = "track"
    _state_names: ClassVar[tuple[str, ...]] = ("fps_",)
    _default_learning_rate: ClassVar[float] = 2e-3
    _default_val_size: ClassVar[float | int] = 0.15

    # -- hooks ---------------------------------------------------------------------------------

    def _read(self, X: Any, y: Any, fit: bool, **tables: Any) -> Samples:
        """Cut tracks into windows; ``y`` or ``detections``: what a detector saw of them."""
        detections = tables.get("detections", y)
        tracks = read_tracks(X, self.columns)
        seen = None if detections is None else read_tracks(detections, self.columns)
        ahead = max(self.horizon_train, *HORIZONS)
        windows = TrackWindows.from_table(
            tracks, self.q, ahead, stride=self.stride, columns=self.columns, detections=seen
        )
        if fit:
            self.fps_ = self.fps
            self._clean = seen is None
            return windows.with_scale(self.scale, self._unit(windows))
        return windows.with_scale(self.info_.extra["scale"], self.info_.extra["unit"])

    def _unit(self, windows: TrackWindows) -> tuple[float, ...]:
        if self.scale == "image":
            width, height = self.image_size
            return tuple(side / IMAGE_GAIN for side in (width, height, width, height))
        return windows.offset_std() if self.scale == "std" else (1.0,) * len(self.columns)

    def _scale(self, info: Info) -> Scale:
        return Scale(info.extra["scale"], tuple(info.extra["unit"]))

    def _build(self, info: Info) -> nn.Module:
        width = WIDTHS[self.profile] if self.d_model == "auto" else self.d_model
        return MotionNet(
            info.channels,
            self._scale(info),
            d_model=width,
            n_layers=self.n_layers,
            d_state=self.d_state,
            residual=self.residual,
            dropout=self.dropout,
            backend=self.backend,
        )

    def _anchors(self, info: Info) -> Mapping[str, Anchor]:
        kinds = {"last": LastAnchor, "kalman": KalmanAnchor, "linear": LinearAnchor}
        noise = self._noise()
        return {
            n: kind(self.q, info.channels, self._scale(info), noise) for n, kind in kinds.items()
        }

    def _noise(self) -> Noise | None:
        """Return the corruption of clean boxes; detections and points are used as they are."""
        if not (self.noise and getattr(self, "_clean", True) and len(self.columns) == 4):
            return None
        level = (0.3 * self.noise_level, 1.5 * self.noise_level)
        return Noise(level=level, gap=self.gap_probability)

    def _loss(self, net: nn.Module, batch: Batch) -> Tensor:
        if net.training:
            batch = self._augmented(batch)
        assert batch.y is not None
        scale, steps = self._scale(self.info_).to(batch.x.device), self.horizon_train
        unit = scale(batch.x[:, -1])
        unit = unit[:, None] if unit.ndim == 2 else unit
        boxes = rollout(net, scale, batch, steps)
        known = batch.extra["known"][:, :steps]
        start = batch.x[:, -1:]
        predicted = ((boxes - start) / unit).clamp(-2 * LIMIT, 2 * LIMIT)
        target = ((batch.y[:, :steps] - start) / unit).clamp(-LIMIT, LIMIT)
        error = functional.smooth_l1_loss(
            predicted, target, beta=BETA[self.scale], reduction="none"
        ).mean(dim=-1)
        if self.giou_weight:
            error = error + self.giou_weight * (1 - giou(boxes, batch.y[:, :steps]))
        weight = DECAY ** torch.arange(steps, device=error.device) * known
        return (error * weight).sum() / weight.sum().clamp(min=1e-9)

    def _augmented(self, batch: Batch) -> Batch:
        noise, x, y = self._noise(), batch.x, batch.y
        assert y is not None
        if self.flip:
            x, y = flip(x, y)
        return Batch(x=x if noise is None else noise(x), y=y, extra=batch.extra)

    def _objective(self) -> Objective:
        """Validate by the boxes of steps 1, 5 and 10, from corrupted histories."""
        noise, scale = self._noise(), self._scale(self.info_)

        def measure(net: nn.Module, samples: Samples) -> float:
            with stream(self._seed, "dropout"):  # the same corruption after every epoch
                return mean_horizon_loss(net, scale, samples, noise, self.device_)

        return measure

    # -- answers -------------------------------------------------------------------------------

    def as_motion_model(self) -> MTPMotion:
        """Return the fitted network as a motion model for a :class:`Tracker`."""
        check_is_fitted(self, "net_")
        scale = self._scale(self.info_).to(next(self.net_.parameters()).device)
        return MTPMotion(self.net_, scale, self.q, damping=self.damping, repair=self.repair)
