"""What a sweep found."""

from dataclasses import dataclass
from typing import Any

import optuna
import polars as pl

from seqmamba.sweeps.space import Space
from seqmamba.sweeps.trial import BASELINE, trial_params

__all__ = ["SweepResult", "trials_table"]


@dataclass(frozen=True)
class SweepResult:
    """Result of a sweep.

    Parameters
    ----------
    best_estimator_ : estimator
        The winner, fitted again.
    best_params_ : dict
        What the winner changes of the estimator that was given.
    best_value_ : float
    trials_ : polars DataFrame
        number, kind, state, value, seconds, best_epoch, one column per parameter, error.
    study_ : optuna.Study
    test_scores_ : table or None
        The winner on the test part, which nothing else has seen.
    """

    best_estimator_: Any
    best_params_: dict[str, Any]
    best_value_: float
    trials_: pl.DataFrame
    study_: optuna.Study
    test_scores_: Any = None


def trials_table(study: optuna.Study, space: Space) -> pl.DataFrame:
    """Return one row per trial that has started."""
    trials = [t for t in study.get_trials(deepcopy=False) if t.datetime_start is not None]
    names = dict.fromkeys([*space.searches, *(name for t in trials for name in t.params)])
    rows = []
    for trial in trials:
        attributes, params = trial.user_attrs, trial_params(trial, space)
        kind = attributes.get("kind", "search")
        rows.append(
            {
                "number": trial.number,
                "kind": attributes["anchor"] if kind == BASELINE else kind,
                "state": trial.state.name.lower(),
                "value": trial.value if trial.values else None,
                "seconds": attributes.get("fit", {}).get("seconds"),
                "best_epoch": attributes.get("fit", {}).get("best_epoch"),
                **{name: _cell(params.get(name)) for name in names},
                "error": attributes.get("error"),
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None, strict=False)


def _cell(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
