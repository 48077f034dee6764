"""Scores of the model beside the baseline's: macro, or class by class."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

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

__all__ = ["Answer", "score_classes", "score_records"]

Answer = tuple[NDArray[Any], NDArray[Any]]  # probabilities and decisions, (n, K) each


def score_records(
    truth: NDArray[Any],
    own: Answer,
    baseline: Answer,
    metrics: Sequence[str] | None,
    weights: tuple[NDArray[Any], int] | None = None,
) -> pl.DataFrame:
    """Return ``metric, value, baseline, skill``; the challenge metric where weights are given."""
    known = dict(METRICS)
    if weights is None and (metrics is None or "challenge" not in metrics):
        del known["challenge"]
    rows = []
    for name, metric in named(metrics, known).items():
        values = []
        for probabilities, decisions in (own, baseline):
            said = decisions if name in ON_DECISIONS else probabilities
            if name == "challenge":
                assert weights is not None
                values.append(challenge(truth, said, weights[0], normal=weights[1]))
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
