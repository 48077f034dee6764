"""What a motion predictor does besides forecasting: scores, tracking, search, pictures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import polars as pl

from seqmamba.datasets.boxes.files import read_boxes
from seqmamba.datasets.boxes.table import OnError
from seqmamba.datasets.simulate.dance import Kind, dancers
from seqmamba.errors import ConfigError
from seqmamba.metrics.tracking.overlap import Similarity
from seqmamba.params import check_params
from seqmamba.tasks.track.answers.comparison import (
    compare_forecasts,
    compare_tracking,
    only,
    with_skill,
)
from seqmamba.tasks.track.answers.render import Movie, movie
from seqmamba.tasks.track.histories.windows import TrackWindows, read_tracks
from seqmamba.tasks.track.motion.kalman import KalmanMotion
from seqmamba.tasks.track.motion.linear import LinearARMotion
from seqmamba.tasks.track.motion.model import MotionModel, NoMotion
from seqmamba.tasks.track.online.rules import Association
from seqmamba.tasks.track.online.tables import (
    MotResults,
    describe,
    read_detection_table,
    score_results,
)
from seqmamba.tasks.track.online.tracker import Tracker
from seqmamba.tasks.track.online.tuning import KALMAN, tune_trackers

if TYPE_CHECKING:
    from seqmamba.tasks.track.estimator import MotionPredictor

__all__ = ["MotionVerbs"]


class MotionVerbs:
    """Mixin of :class:`MotionPredictor`: the methods behind ``fit`` and ``predict``."""

    @property
    def _model(self) -> "MotionPredictor":
        return cast("MotionPredictor", self)  # what this class is mixed into

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
        windows = self._model._read(truth, seen, False)
        assert isinstance(windows, TrackWindows)
        settings = {"association": association, "similarity": similarity, "max_lost": max_lost}
        with self._model._threads():
            tables = [compare_forecasts(self._motions(damping=1.0), windows)]
            if seen is not None:
                motions = self._motions(damping=self._model.damping)
                tables.append(compare_tracking(motions, truth, seen, **settings))
        table = with_skill(pl.concat(tables))
        return table if metrics is None else only(table, metrics)

    def _motions(self, damping: float) -> dict[str, MotionModel]:
        """Return this model, as "value", and its baselines."""
        model = self._model
        own = model.as_motion_model()
        own.damping = damping
        linear = LinearARMotion(
            model.linear_, damping=damping, repair=model.repair, common=model.common
        )
        return {"value": own, "none": NoMotion(), "kalman": KalmanMotion(), "linear": linear}

    # tracks are told by videos, ids and gaps
    def inspect(self, X: Any, y: Any = None, **tables: Any) -> pl.DataFrame:
        """Read and check tracks or detections, and return what was understood: fact, value."""
        check_params(self)
        return describe(read_tracks(X, self._model.columns))

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
        test_df: Any = None,
        test_detections_df: Any = None,
        trials: int = 30,
        association: Association | Literal["any"] = "wide",
        seed: int = 0,
    ) -> pl.DataFrame:
        """Search for the tracker's parameters, for this model and the cheap ones, equally long.

        Parameters
        ----------
        X, y : path, folder, table or array
            True tracks and detections, for the search.
        test_df, test_detections_df : same, or None
            Those of videos that the search does not see: what it found is scored there.
        trials : int
            Trackers run per motion model.
        association : {"wide", "mambatrack", "byte", "any"}
            Order and gates of the matching; "any" searches it too.
        seed : int
            Of the search.
        """
        if (test_df is None) != (test_detections_df is None):
            raise ConfigError("scores on other videos need both truth and detections of them.")
        motions: dict[str, Any] = {KALMAN: KALMAN, "linear": "linear"}
        if hasattr(self, "net_"):
            fitted = self._motions(self._model.damping)
            motions |= {"linear": fitted["linear"], "model": fitted["value"]}
        test = None if test_df is None else _truth_and_detections(test_df, test_detections_df)
        with self._model._threads():
            return tune_trackers(
                motions,
                *_truth_and_detections(X, y),
                test=test,
                trials=trials,
                association=association,
                seed=seed,
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
            Folder with the images of the video, or the video; None = a blank canvas.
        sequence : str or None
            Video to draw; None = the first.
        first, last : int
            Frames to draw.
        size_factor : float
            Pixels of the picture per pixel of the video.
        """
        return movie(read_boxes(X), frames, sequence, first, last, size_factor)


def _truth_and_detections(truth: Any, detections: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
    return read_boxes(truth, "truth"), read_detection_table(detections, "raise")[0]
