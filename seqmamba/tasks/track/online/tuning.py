"""Search for the parameters of a tracker, for each motion model with the same budget."""

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import optuna
import polars as pl

from seqmamba.tasks.track.motion.choice import motion_model
from seqmamba.tasks.track.motion.forms import Xyxy
from seqmamba.tasks.track.motion.history import HistoryMotion
from seqmamba.tasks.track.motion.kalman import KalmanMotion
from seqmamba.tasks.track.motion.model import MotionModel
from seqmamba.tasks.track.online.rules import DEFAULTS, Association
from seqmamba.tasks.track.online.tables import score_tables
from seqmamba.tasks.track.online.tracker import Tracker

__all__ = ["KALMAN", "tune_trackers"]

KALMAN = "kalman"
Scores = dict[str, Any]
Draw = Callable[[optuna.trial.BaseTrial], dict[str, Any]]


def tune_trackers(
    motions: Mapping[str, Any],
    truth: pl.DataFrame,
    detections: pl.DataFrame,
    *,
    test: tuple[pl.DataFrame, pl.DataFrame] | None = None,
    trials: int = 30,
    association: Association | Literal["any"] = "wide",
    seed: int = 0,
) -> pl.DataFrame:
    """Return HOTA with default and with tuned parameters, one pair of rows per motion model.

    The filter of the motion model called "kalman" is tuned along with its tracker, as is the
    damping of models with a history: a fair opponent. The defaults are the first trial of every
    search.

    Parameters
    ----------
    motions : mapping of name to what :class:`Tracker` takes for ``motion``
    truth, detections : DataFrame
        The search sees these videos and no others.
    test : (truth, detections) or None
        Videos on which the default and the found parameters are scored afterwards.
    trials : int
        Trackers run per motion model.
    association : {"wide", "mambatrack", "byte", "any"}
        "any" searches the rule as well.

    Returns
    -------
    DataFrame
        ``model, setting, HOTA, AssA, IDF1, switches``, with ``test`` the same again as
        ``test_HOTA`` and so on, and ``params``, as text.
    """
    rows = []
    for name, choice in motions.items():
        motion = motion_model(choice)
        draw = partial(_draw, name=name, motion=motion, association=association)
        objective = partial(_rate, draw=draw, truth=truth, detections=detections)
        study = _search(objective, _defaults(name, motion, association), trials, seed)
        for setting, trial in (("default", study.trials[0]), ("tuned", study.best_trial)):
            row = {"model": name, "setting": setting, **trial.user_attrs["scores"]}
            if test is not None:
                there = _scores(draw(trial), *test)
                row |= {f"test_{metric}": value for metric, value in there.items()}
            rows.append({**row, "params": _spell(trial.params)})
    return pl.DataFrame(rows)


def _rate(trial: optuna.Trial, draw: Draw, truth: pl.DataFrame, detections: pl.DataFrame) -> float:
    """Run a tracker and keep its scores with the trial; return HOTA."""
    scores = _scores(draw(trial), truth, detections)
    trial.set_user_attr("scores", scores)
    return float(scores["HOTA"])


def _search(
    objective: Callable[[optuna.Trial], float], first: dict[str, Any], trials: int, seed: int
) -> optuna.Study:
    """Maximise from the first trial on, without optuna's line per trial."""
    former = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed)
        )
        study.enqueue_trial(first)
        study.optimize(objective, n_trials=trials)
    finally:
        optuna.logging.set_verbosity(former)
    return study


def _defaults(
    name: str, motion: MotionModel, association: Association | Literal["any"]
) -> dict[str, Any]:
    rule: Association = "wide" if association == "any" else association
    limits, form = DEFAULTS[rule], Xyxy()
    start = {
        "iou_active": limits.iou_active,
        "iou_lost": limits.iou_lost,
        "iou_low": limits.iou_low,
        "new_thresh": limits.new_thresh,
        "min_hits": 2,
        "max_lost": 30,
        "similarity": "iou",
    }
    start |= {"association": rule} if association == "any" else {}
    start |= {"damping": motion.damping} if isinstance(motion, HistoryMotion) else {}
    return start | ({"qp": form.qp / form.r, "qv": form.qv / form.r} if name == KALMAN else {})


def _draw(
    trial: optuna.trial.BaseTrial, name: str, motion: Any, association: Association | Literal["any"]
) -> dict[str, Any]:
    """Draw the parameters of one tracker (tracking specification, section 12, stage B)."""
    if name == KALMAN:  # only the ratios to the measurement noise matter
        motion = KalmanMotion(
            Xyxy(
                r=1.0,
                qp=trial.suggest_float("qp", 1e-3, 10, log=True),
                qv=trial.suggest_float("qv", 1e-4, 1, log=True),
            )
        )
    elif isinstance(motion, HistoryMotion):
        motion = copy.copy(motion)  # the tracker takes a deep one
        motion.damping = trial.suggest_float("damping", 0.7, 1.0)
    rule: Any = association
    if association == "any":
        rule = trial.suggest_categorical("association", list(DEFAULTS))
    return {
        "motion": motion,
        "association": rule,
        "iou_active": trial.suggest_float("iou_active", 0.05, 0.5),
        "iou_lost": trial.suggest_float("iou_lost", 0.05, 0.3),
        "iou_low": trial.suggest_float("iou_low", 0.05, 0.5),
        "new_thresh": trial.suggest_float("new_thresh", 0.4, 0.8),
        "min_hits": trial.suggest_int("min_hits", 1, 3),
        "max_lost": trial.suggest_int("max_lost", 10, 90),
        "similarity": trial.suggest_categorical("similarity", ["iou", "hmiou", "biou"]),
    }


def _scores(settings: dict[str, Any], truth: pl.DataFrame, detections: pl.DataFrame) -> Scores:
    last = score_tables(truth, Tracker(**settings).run(detections)).row(-1, named=True)
    return {name: last[name] for name in ("HOTA", "AssA", "IDF1", "switches")}


def _spell(params: Mapping[str, Any]) -> str:
    """Return name=value, name=value."""
    short = {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in params.items()}
    return ", ".join(f"{name}={value}" for name, value in short.items())
