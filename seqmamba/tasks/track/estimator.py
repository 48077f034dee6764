"""The motion predictor: fitted on tracks, used alone or inside a tracker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from seqmamba.base import BaseEstimator
from seqmamba.datasets.boxes.files import like_of
from seqmamba.datasets.samples import Batch, Info, Samples
from seqmamba.errors import ConfigError
from seqmamba.frames import write
from seqmamba.tasks.track.answers.forecast import (
    HORIZONS,
    collect,
    forecast,
    forecast_table,
    mean_horizon_loss,
)
from seqmamba.tasks.track.baselines import KalmanAnchor, LastAnchor, LinearAnchor, ridge
from seqmamba.tasks.track.histories.noise import Noise, flip
from seqmamba.tasks.track.histories.windows import TrackWindows, read_tracks
from seqmamba.tasks.track.losses import motion_loss
from seqmamba.tasks.track.model import MotionNet, Scale, ScaleName, rollout
from seqmamba.tasks.track.motion.learned import MTPMotion
from seqmamba.tasks.track.online.tables import read_detection_table
from seqmamba.tasks.track.parameters import ENCODERS, IMAGE_GAIN, PROFILES, MotionParameters
from seqmamba.tasks.track.verbs import MotionVerbs
from seqmamba.train.anchor import Anchor
from seqmamba.train.loop import Objective
from seqmamba.train.seeds import stream

__all__ = ["MotionPredictor"]


@dataclass(eq=False, repr=False)
class MotionPredictor(MotionVerbs, MotionParameters, BaseEstimator):
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
            self.unit_ = self._unit(windows)
            self._clean = seen is None
        confident = self.confidence and seen is not None
        return windows.with_settings(self.scale, self.unit_, confident=confident)

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
            preset=ENCODERS[self.profile],
            **size,
            confident=info.extra["confident"],
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


def _check_scale(scale: ScaleName, columns: Sequence[str]) -> None:
    if (len(columns) == 4) == (scale != "std"):
        return
    raise ConfigError(
        f"scale {scale!r} does not fit the columns {', '.join(columns)}: boxes take 'box' or "
        "'image', points take 'std'."
    )
