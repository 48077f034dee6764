"""A study rebuilt from the results that its trials left on the disk."""

import json
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import json_to_distribution
from optuna.trial import TrialState

from seqmamba.errors import DataError
from seqmamba.sweeps.storages import open_storage
from seqmamba.sweeps.trial import RESULT

__all__ = ["recover"]


def recover(folder: str | Path, storage: str) -> optuna.Study:
    """Rebuild a study from ``trials/*/result.json``.

    Parameters
    ----------
    folder : path
        What ``sweep`` was given as ``out``.
    storage : str
        A new place; it must not hold the study.

    Returns
    -------
    optuna.Study
        Complete, pruned and failed trials, in their order.

    Raises
    ------
    DataError
        No results, one of them is damaged, or the storage holds the study already.
    """
    paths = Path(folder).glob(f"trials/*/{RESULT}")
    records = sorted((_read(path) for path in paths), key=lambda record: record["number"])
    if not records:
        raise DataError(f"no results of trials in {folder}/trials; name the folder of a sweep.")
    try:
        study = optuna.create_study(
            storage=open_storage(storage),
            study_name=records[0]["study"],
            direction=records[0]["direction"],
        )
    except optuna.exceptions.DuplicatedStudyError:
        raise DataError(f"{storage} holds this study already; name a new storage.") from None
    study.add_trials([_trial(record) for record in records])
    return study


def _read(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
        _trial(record)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({error}); remove its folder to go on.") from error
    return record


def _trial(record: dict[str, Any]) -> optuna.trial.FrozenTrial:
    state = TrialState[record["state"]]
    return optuna.create_trial(
        state=state,
        value=record["value"],
        params=record["params"],
        distributions={k: json_to_distribution(v) for k, v in record["distributions"].items()},
        user_attrs=record["attributes"],
    )
