"""From what a user names to a motion model."""

import copy
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.errors import ConfigError, SeqmambaWarning
from seqmamba.params import nearest
from seqmamba.tasks.track.motion.kalman import KalmanMotion
from seqmamba.tasks.track.motion.linear import LinearARMotion
from seqmamba.tasks.track.motion.model import MotionModel, NoMotion

__all__ = ["NAMED", "motion_model"]

FPS_TOLERANCE = 0.2
LINEAR_Q = 10  # offsets of the ready-made linear model


def ready_linear() -> MotionModel:
    """Return linear autoregression fitted on the simulated dancers and pedestrians."""
    return LinearARMotion(_ready_weights())


@cache
def _ready_weights() -> NDArray[np.float64]:
    # torch and the simulator, which a Kalman tracker does without
    from seqmamba.datasets.simulate.dance import Kind, dancers
    from seqmamba.tasks.track.baselines import ridge
    from seqmamba.tasks.track.histories.windows import TrackWindows
    from seqmamba.tasks.track.model import Scale

    kinds: tuple[Kind, ...] = ("dance", "linear")
    parts = [dancers(4, seed=1000, kind=kind) for kind in kinds]
    truth, seen = (pl.concat(tables) for tables in zip(*parts, strict=True))
    windows = TrackWindows.from_table(truth, LINEAR_Q, detections=seen)
    return ridge(windows, Scale("box", (1.0,) * 4), None)


NAMED: Mapping[str, Callable[[], MotionModel]] = {
    "none": NoMotion,
    "kalman": lambda: KalmanMotion("xyxy"),  # the strongest form on SportsMOT
    "kalman-xyah": lambda: KalmanMotion("xyah"),
    "kalman-xyxy": lambda: KalmanMotion("xyxy"),
    "kalman-xysr": lambda: KalmanMotion("xysr"),
    "linear": ready_linear,
}


def motion_model(choice: Any, *, fps: float | None = None) -> MotionModel:
    """Return a fresh motion model that nobody else holds.

    Parameters
    ----------
    choice : str, path, MotionModel, or estimator with ``as_motion_model()``
        A name of ``NAMED``, the file of a fitted :class:`MotionPredictor`, or an object.
    fps : float or None
        Frame rate of the video; a warning if the model was fitted on one that differs by more
        than 20 %.
    """
    if isinstance(choice, str) and choice in NAMED:
        return NAMED[choice]()
    if isinstance(choice, str | Path):
        choice = _load(choice)
    if hasattr(choice, "as_motion_model"):
        model: MotionModel = choice.as_motion_model()
        _compare_rates(getattr(choice, "fps", None), fps)
        return model
    if not hasattr(choice, "predict_horizon"):
        raise ConfigError(
            f"motion must be one of {', '.join(map(repr, NAMED))}, a model file, a fitted "
            f"MotionPredictor or a motion model; got {choice!r}."
        )
    own: MotionModel = copy.deepcopy(choice)
    own.reset()
    return own


def _load(path: str | Path) -> Any:
    if not Path(path).exists():
        raise ConfigError(
            f"motion {str(path)!r} is neither a file nor one of {', '.join(NAMED)}."
            f"{nearest(str(path), NAMED)}"
        )
    # the estimator imports torch, which a Kalman tracker does without
    from seqmamba.tasks.track.estimator import MotionPredictor

    return MotionPredictor.load(path)


def _compare_rates(fitted: float | None, wanted: float | None) -> None:
    if fitted is None or wanted is None or abs(fitted / wanted - 1) <= FPS_TOLERANCE:
        return
    warnings.warn(
        f"the motion model was fitted at {fitted:g} frames per second and the tracker runs at "
        f"{wanted:g}: all offsets have another size. Fit it at the tracker's rate.",
        SeqmambaWarning,
        stacklevel=3,
    )
