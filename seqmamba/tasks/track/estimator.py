"""The motion predictor: fitted on tracks, used alone or inside a tracker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from seqmamba.base import BaseEstimator
from seqmamba.datasets.boxes import OnError
from seqmamba.datasets.boxes_files import like_of, read_boxes
from seqmamba.datasets.samples import Batch, Info, Samples
from seqmamba.datasets.simulate.dance import Kind, dancers
from seqmamba.errors import ConfigError
from seqmamba.frames import write
from seqmamba.metrics.tracking.overlap import Similarity
from seqmamba.params import Choice, IntRange, Uniform, check_params, param
from seqmamba.tasks.track.baselines import KalmanAnchor, LastAnchor, LinearAnchor, ridge
from seqmamba.tasks.track.comparison import compare_forecasts, compare_tracking, only, with_skill
from seqmamba.tasks.track.forecast import (
    HORIZONS,
    collect,
    forecast,
    forecast_table,
    mean_horizon_loss,
)
from seqmamba.tasks.track.losses import motion_loss
from seqmamba.tasks.track.model import MotionNet, Scale, ScaleName, rollout
from seqmamba.tasks.track.motion.kalman import KalmanMotion
from seqmamba.tasks.track.motion.learned import MTPMotion
from seqmamba.tasks.track.motion.linear import LinearARMotion
from seqmamba.tasks.track.motion.model import MotionModel, NoMotion
from seqmamba.tasks.track.noise import Noise, flip
from seqmamba.tasks.track.online.rules import Association
from seqmamba.tasks.track.online.tables import (
    MotResults,
    describe,
    read_detection_table,
    score_results,
)
from seqmamba.tasks.track.online.tracker import Tracker
from seqmamba.tasks.track.online.tuning import KALMAN, tune_trackers
from seqmamba.tasks.track.render import Movie, movie
from seqmamba.tasks.track.windows import TrackWindows, read_tracks
from seqmamba.train.anchor import Anchor
from seqmamba.train.loop import Objective
from seqmamba.train.seeds import stream

__all__ = ["MotionPredictor"]

Auto = int | Literal["auto"]

# "small" is for 200 objects at 60 frames per second on one core. It carries the input around the
# scans: without that, a layer ends on a normalised constant many times larger than what the scans
# give at the start, and the network does not come to see its input in thousands of steps.
PROFILES: Mapping[str, Mapping[str, Any]] = {
    "small": {"d_model": 32, "n_layers": 2, "d_state": 8, "residual": True},
    "paper": {"d_model": 512, "n_layers": 3, "d_state": 16, "residual": False},
}
IMAGE_GAIN = 50.0  # without it the loss hardly moves


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
    horizon_train: int = param(1, "steps of the loss", low=1, high=50, search=Choice(1, 3, 5))
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
    lr_schedule: Literal["constant", "halve", "cosine", "linear"] = param(
        "cosine", "course of the learning rate", group="training"
    )
    clip_norm: float | None = param(1.0, "largest gradient norm", low=0, group="training")

    _task: ClassVar[str] = "track"
    _state_names: ClassVar[tuple[str, ...]] = ("fps_", "linear_")
    _default_learning_rate: ClassVar[float] = 2e-3
    _default_val_size: ClassVar[float | int] = 0.15

    # -- hooks ---------------------------------------------------------------------------------

    def _read(self, X: Any, y: Any, fit: bool, **tables: Any) -> Samples:
        """Cut tracks into windows; ``y`` or ``detections_df``: what a detector saw of them."""
        detections = tables.get("detections_df", y)
        tracks = read_tracks(X, self.columns)
        seen = None if detections is None else read_detection_table(detections, "raise")[0]
        ahead = max(self.horizon_train, *HORIZONS)
        windows = TrackWindows.from_table(
            tracks, self.q, ahead, stride=self.stride, columns=self.columns, detections=seen
        )
        if fit:
            _check_scale(self.scale, self.columns)
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
        size = {
            name: default if getattr(self, name) == "auto" else getattr(self, name)
            for name, default in PROFILES[self.profile].items()
        }
        return MotionNet(
            info.channels,
            self._scale(info),
            **size,
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
        return motion_loss(
            net,
            self._scale(self.info_).to(batch.x.device),
            self._augmented(batch) if net.training else batch,
            steps=self.horizon_train,
            giou_weight=self.giou_weight,
        )

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

    def _finish(self, train: Samples, valid: Samples | None) -> None:
        """Keep ridge weights beside the network, as its yardstick."""
        self.linear_ = ridge(train, self._scale(self.info_), self._noise())

    # -- answers -------------------------------------------------------------------------------

    def as_motion_model(self) -> MTPMotion:
        """Return the fitted network as a motion model for a :class:`Tracker`."""
        check_is_fitted(self, "net_")
        scale = self._scale(self.info_).to(next(self.net_.parameters()).device)
        return MTPMotion(
            self.net_,
            scale,
            self.q,
            damping=self.damping,
            repair=self.repair,
            common=self.common,
        )

    # the answer is a table of future boxes, and not one output per sample
    def predict(self, X: Any, *, h: int = 10, origin: Literal["end", "all"] = "end") -> Any:
        """Forecast the boxes that follow.

        Parameters
        ----------
        X : path, folder, table or array
            Tracks.
        h : int
            Frames ahead.
        origin : {"end", "all"}
            From the end of every track, or from each of its frames.

        Returns
        -------
        table
            ``sequence, track_id, frame, step`` and the columns of the boxes or points, in the
            caller's library; ``step`` counts from 1.
        """
        check_is_fitted(self, "net_")
        tracks = read_tracks(X, self.columns).sort("sequence", "track_id", "frame")
        windows = TrackWindows.for_forecast(
            tracks, self.q, columns=self.columns, last_only=origin == "end"
        )
        with self._threads():
            boxes = forecast(self.net_, self._scale(self.info_), windows, h)
        return write(forecast_table(tracks, windows.origins, boxes, self.columns), like_of(X))

    # scored by horizon and inside a tracker, where the baselines are motion models too
    def evaluate(
        self,
        X: Any,
        y: Any = None,
        *,
        metrics: Sequence[str] | None = None,
        association: Association = "wide",
        similarity: Similarity = "iou",
        max_lost: int = 30,
    ) -> pl.DataFrame:
        """Score a fitted model beside no motion, Kalman and ridge; or score given tracks.

        Parameters
        ----------
        X : path, folder, table or array
            True tracks.
        y : same, or None
            With a fitted model: detections of the same videos; all motion models then run in the
            same tracker. Without: tracks to be scored, per video and combined.
        metrics : sequence of str or None
            Scores to show; None = all.
        association, similarity, max_lost
            Of the tracker.

        Returns
        -------
        DataFrame
            With a model ``metric, value, baseline, skill`` and one column per baseline:
            ``iou_1`` to ``iou_10`` are the overlap of forecasts 1 to 10 frames ahead.
        """
        truth = read_boxes(X, "truth")
        if not hasattr(self, "net_"):
            return score_results(truth, y)
        seen = None if y is None else read_detection_table(y, "raise")[0]
        windows = self._read(truth, seen, False)
        assert isinstance(windows, TrackWindows)
        settings = {"association": association, "similarity": similarity, "max_lost": max_lost}
        with self._threads():
            tables = [compare_forecasts(self._motions(damping=1.0), windows)]
            if seen is not None:
                motions = self._motions(damping=self.damping)
                tables.append(compare_tracking(motions, truth, seen, **settings))
        table = with_skill(pl.concat(tables))
        return table if metrics is None else only(table, metrics)

    def _motions(self, damping: float) -> dict[str, MotionModel]:
        """Return this model, as "value", and its baselines."""
        own = self.as_motion_model()
        own.damping = damping
        linear = LinearARMotion(
            self.linear_, damping=damping, repair=self.repair, common=self.common
        )
        return {"value": own, "none": NoMotion(), "kalman": KalmanMotion(), "linear": linear}

    def score(self, X: Any, y: Any = None) -> float:
        """Return minus the mean error of the next centre in sizes of the box; greater is better."""
        check_is_fitted(self, "net_")
        windows = self._read(X, y, False)
        scale = self._scale(self.info_)

        def step(batch: Batch) -> Tensor:
            return rollout(self.net_, scale, batch, 1)

        with self._threads():
            truth, boxes, known = collect(step, windows)
        error = np.linalg.norm(truth[:, 0, :2] - boxes[:, 0, :2], axis=-1)
        size = np.sqrt(truth[:, 0, 2:].prod(axis=-1)) if truth.shape[-1] == 4 else 1.0
        return -float((error / size)[known[:, 0]].mean())

    # tracks are told by videos, ids and gaps
    def inspect(self, X: Any, y: Any = None, **tables: Any) -> pl.DataFrame:
        """Read and check tracks or detections, and return what was understood: fact, value."""
        check_params(self)
        return describe(read_tracks(X, self.columns))

    # -- further commands ----------------------------------------------------------------------

    def run(
        self,
        X: Any,
        *,
        model: str | None = None,
        association: Association = "wide",
        similarity: Similarity = "iou",
        max_lost: int = 30,
        min_hits: int = 2,
        on_error: OnError = "raise",
        format: Literal["table", "mot"] = "table",
    ) -> Any:
        """Track whole videos of detections online.

        Parameters
        ----------
        X : path, folder, table or array
            Detections.
        model : str or None
            kalman, kalman-xyah, kalman-xysr, none, linear or the file of a fitted model; None =
            this model, or kalman if it is not fitted.
        association : {"wide", "mambatrack", "byte"}
            Order and gates of the matching.
        similarity : {"iou", "giou", "hmiou", "biou"}
            Overlap of boxes.
        max_lost : int
            Frames that a lost track lives.
        min_hits : int
            Detections that confirm a track.
        on_error : {"raise", "drop"}
            What to do with invalid boxes.
        format : {"table", "mot"}
            A table, or files of MOTChallenge text.
        """
        motion = model or (self if hasattr(self, "net_") else "kalman")
        tracker = Tracker(
            motion=motion,
            association=association,
            similarity=similarity,
            max_lost=max_lost,
            min_hits=min_hits,
            on_error=on_error,
        )
        if format == "table":
            return tracker.run(X)
        return MotResults(tracker.run(read_detection_table(X, on_error)[0]))

    def tune(
        self,
        X: Any,
        y: Any,
        *,
        trials: int = 30,
        association: Association | Literal["any"] = "wide",
        seed: int = 0,
    ) -> pl.DataFrame:
        """Search for the tracker's parameters, with this model and with Kalman, equally long.

        Parameters
        ----------
        X, y : path, folder, table or array
            True tracks and detections of videos that are not scored afterwards.
        trials : int
            Trackers run per motion model.
        association : {"wide", "mambatrack", "byte", "any"}
            Order and gates of the matching; "any" searches it too.
        seed : int
            Of the search.
        """
        own: dict[str, Any] = {"model": self} if hasattr(self, "net_") else {"linear": "linear"}
        motions = {KALMAN: KALMAN, **own}
        truth, seen = read_boxes(X, "truth"), read_detection_table(y, "raise")[0]
        with self._threads():
            return tune_trackers(
                motions, truth, seen, trials=trials, association=association, seed=seed
            )

    def simulate(
        self,
        *,
        n_sequences: int = 6,
        seed: int = 0,
        kind: Kind = "dance",
        part: Literal["truth", "detections"] = "detections",
    ) -> pl.DataFrame:
        """Simulate dancers or pedestrians and a detector.

        Parameters
        ----------
        n_sequences : int
            Videos of 300 frames.
        seed : int
            Of the first video.
        kind : {"dance", "linear"}
            Crossings and abrupt turns, or walkers.
        part : {"truth", "detections"}
            Which table to return.
        """
        truth, seen = dancers(n_sequences, seed=seed, kind=kind)
        return truth if part == "truth" else seen

    def render(
        self,
        X: Any,
        *,
        frames: str | None = None,
        sequence: str | None = None,
        first: int = 1,
        last: int | None = None,
        size_factor: float = 0.5,
    ) -> Movie:
        """Draw tracks or detections as .gif, .png or .mp4.

        Parameters
        ----------
        X : path, folder, table or array
        frames : path or None
            Folder with the images of the video; None = a blank canvas.
        sequence : str or None
            Video to draw; None = the first.
        first, last : int
            Frames to draw.
        size_factor : float
            Pixels of the picture per pixel of the video.
        """
        return movie(read_boxes(X), frames, sequence, first, last, size_factor)


def _check_scale(scale: ScaleName, columns: Sequence[str]) -> None:
    if (len(columns) == 4) == (scale != "std"):
        return
    raise ConfigError(
        f"scale {scale!r} does not fit the columns {', '.join(columns)}: boxes take 'box' or "
        "'image', points take 'std'."
    )
