"""Out-of-fold scores of the network, the residual network and logistic regression."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import sklearn.base
from numpy.typing import NDArray

from seqmamba.metrics.multilabel import class_auprc, class_auroc
from seqmamba.tasks.ecg.answers.folds import stratified_group_folds
from seqmamba.tasks.ecg.answers.probabilities import baseline_probabilities
from seqmamba.tasks.ecg.data import read_samples, share
from seqmamba.tasks.ecg.samples import RecordSamples

__all__ = ["RESNET", "cross_validate", "score_models"]

# of the measured baseline: ECG specification, 5.4
RESNET: Mapping[str, Any] = {
    "network": "resnet",
    "anchor": None,
    "learning_rate": 2e-3,
    "batch_size": 32,
}
MANY = 10  # positives from which a class counts in the last row


def cross_validate(
    model: Any, X: Any, y: Any, tables: Mapping[str, Any], *, folds: int, resnet: bool
) -> pl.DataFrame:
    """Train a clone per fold and score the records that it has not seen.

    Folds have the same mixture of labels, and records of one group stay together. Returns a row
    per class, their mean, and the mean over the classes with at least 10 positives.
    """
    reader = sklearn.base.clone(model)
    samples, _ = read_samples(reader, X, y, True, tables)
    samples = share(reader, samples)
    assert samples.y is not None
    fold = stratified_group_folds(samples.y, samples.groups, folds)
    kinds: dict[str, Mapping[str, Any]] = {"": {}}
    if resnet:
        kinds["resnet_"] = RESNET
    answers = {name: np.zeros_like(samples.y) for name in [*kinds, "logistic_"]}
    for k in range(folds):
        train, test = samples.take(np.flatnonzero(fold != k)), _held_out(samples, fold == k)
        for name, params in kinds.items():
            fitted = sklearn.base.clone(model).set_params(**params).fit(train)
            answers[name][fold == k] = fitted.predict_proba(test)
        answers["logistic_"][fold == k] = baseline_probabilities(fitted, test)
    return score_models(samples.y, answers, [str(name) for name in reader.class_names_])


def score_models(
    truth: NDArray[Any], answers: Mapping[str, NDArray[Any]], classes: list[str]
) -> pl.DataFrame:
    """Return ``class, positives`` and AUROC and AUPRC of each model, with two rows of means."""
    positives = np.nansum(truth, axis=0).astype(int)
    many = positives >= MANY
    columns: dict[str, Any] = {
        "class": [*classes, "mean", f"mean of {many.sum()} classes, {MANY} positives or more"],
        "positives": [*positives.tolist(), int(positives.sum()), int(positives[many].sum())],
    }
    for prefix, scores in answers.items():
        for name, function in (("auroc", class_auroc), ("auprc", class_auprc)):
            found = function(truth, scores)
            few = float(np.nanmean(found[many])) if many.any() else float("nan")
            columns[prefix + name] = [*found.tolist(), float(np.nanmean(found)), few]
    return pl.DataFrame(columns)


def _held_out(samples: RecordSamples, rows: NDArray[np.bool_]) -> RecordSamples:
    return replace(samples.take(np.flatnonzero(rows)), training=False)
