"""Scores of the model beside the baseline's: macro, or class by class."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.datasets.records.diagnoses import class_of_code
from seqmamba.errors import ConfigError, DataError
from seqmamba.metrics.metric import skill
from seqmamba.metrics.multilabel import (
    METRICS,
    ON_DECISIONS,
    challenge,
    class_auprc,
    class_auroc,
    class_f1,
)
from seqmamba.metrics.score import named

__all__ = ["Answer", "Weights", "score_classes", "score_records"]

NORMAL = "NSR"  # sinus rhythm, 426783006
Answer = tuple[NDArray[Any], NDArray[Any]]  # probabilities and decisions, (n, K) each


@dataclass(frozen=True)
class Weights:
    """The weight matrix of the challenge metric for the classes of a model.

    Parameters
    ----------
    columns : array (k,)
        Classes of the model that the challenge scores.
    matrix : array (k, k)
    normal : int
        Row of sinus rhythm.
    """

    columns: NDArray[np.int64]
    matrix: NDArray[np.float64]
    normal: int

    @classmethod
    def read(cls, path: str | Path, classes: Sequence[Any]) -> "Weights":
        """Read ``weights.csv`` of the challenge: codes, joined by a bar where equivalent."""
        with open(path, encoding="utf-8", newline="") as file:
            (_, *codes), *lines = csv.reader(file)  # the corner of the matrix has no name
        names = [class_of_code(code.split("|")[0]) for code in codes]
        try:
            matrix = np.array([line[1:] for line in lines], dtype=np.float64)
        except ValueError as error:
            raise DataError(f"{path} is no matrix of weights: {error}.", where=str(path)) from error
        known = [str(name) for name in classes]
        rows = [k for k, name in enumerate(names) if name in known]
        if NORMAL not in known or NORMAL not in names:
            raise ConfigError(
                f"the challenge metric needs the class {NORMAL}; the model has {', '.join(known)}."
            )
        columns = np.array([known.index(names[k]) for k in rows])
        normal = [names[k] for k in rows].index(NORMAL)
        return cls(columns, matrix[np.ix_(rows, rows)], normal)

    def score(self, truth: NDArray[Any], decisions: NDArray[Any]) -> float:
        """Return the challenge metric over the scored classes; unknown labels are negative."""
        true, said = np.nan_to_num(truth[:, self.columns]), decisions[:, self.columns]
        return challenge(true, said, self.matrix, normal=self.normal)


def score_records(
    truth: NDArray[Any],
    own: Answer,
    baseline: Answer,
    metrics: Sequence[str] | None,
    weights: Weights | None = None,
) -> pl.DataFrame:
    """Return ``metric, value, baseline, skill``; the challenge metric where weights are given."""
    known = dict(METRICS)
    if weights is None:
        if metrics is not None and "challenge" in metrics:
            raise ConfigError("the metric 'challenge' needs weights_df, the challenge's weights.")
        del known["challenge"]
    rows = []
    for name, metric in named(metrics, known).items():
        values = []
        for probabilities, decisions in (own, baseline):
            said = decisions if name in ON_DECISIONS else probabilities
            if name == "challenge":
                assert weights is not None
                values.append(weights.score(truth, said))
            else:
                values.append(float(metric.function(truth, said)))
        row = {"metric": name, "value": values[0], "baseline": values[1]}
        rows.append({**row, "skill": skill(values[0], values[1], metric)})
    return pl.DataFrame(rows)


def score_classes(
    truth: NDArray[Any], own: Answer, baseline: Answer, classes: Sequence[Any]
) -> pl.DataFrame:
    """Return ``class, positives, auroc, auprc, f1`` and the baseline's, a row per class."""
    columns: dict[str, Any] = {
        "class": [str(name) for name in classes],
        "positives": np.nansum(truth, axis=0).astype(int),
    }
    for prefix, (probabilities, decisions) in (("", own), ("baseline_", baseline)):
        columns[f"{prefix}auroc"] = class_auroc(truth, probabilities)
        columns[f"{prefix}auprc"] = class_auprc(truth, probabilities)
        columns[f"{prefix}f1"] = class_f1(truth, decisions)
    return pl.DataFrame(columns)
