"""The adapter: what a classifier is given becomes samples; ``fit`` learns classes and scales."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data

from seqmamba.datasets.records import Records, open_records
from seqmamba.errors import DataError
from seqmamba.tasks.ecg.answers.thresholds import check_thresholds
from seqmamba.tasks.ecg.building import preprocessing_of, rate_of, window_of
from seqmamba.tasks.ecg.reading import (
    Reading,
    Recorded,
    is_plain,
    plain_samples,
    read_records,
    record_targets,
    sequence_targets,
)
from seqmamba.tasks.ecg.samples import RecordSamples

__all__ = ["open_source", "read_samples", "share"]

Tables = Mapping[str, Any]


def read_samples(
    model: Any, X: Any, y: Any, fit: bool, tables: Tables
) -> tuple[RecordSamples, Reading | None]:
    """Return samples, and for recordings how their reading went.

    Raises
    ------
    DataError
        The recordings or the labels are at fault.
    """
    _check_names(tables)
    if isinstance(X, RecordSamples):
        return _known(model, X, fit), None
    if is_plain(X):
        return _plain(model, X, y, fit), None
    records = open_source(model, X, fit, tables)
    y = records.y if y is None else y
    if records.flat is not None:
        return _plain(model, records.flat, y, fit), None
    _check_kind(model, is_plain=False, fit=fit)
    preprocessing = preprocessing_of(model)
    reading = read_records(records, preprocessing, tables.get("on_error", "raise"))
    if not reading.prepared and (fit or not reading.n_source):
        first = f" First: {reading.failures[0].reason}" if reading.failures else ""
        raise DataError(f"no record could be read.{first}")
    samples: RecordSamples = reading.samples(preprocessing, window_of(model), {})
    if fit or y is not None:
        samples = _labelled(model, samples, reading, y, fit)
    if tables.get("groups") is not None and fit:
        samples = replace(samples, groups=np.asarray(tables["groups"])[reading.rows])
    shift = round(model.shift * rate_of(model)) if model.augment else 0
    return replace(samples, training=fit, shift=shift), reading


def open_source(model: Any, X: Any, fit: bool, tables: Tables) -> Records:
    """Find out what recordings are; arrays without a rate have that of ``fit``, or the model's."""
    _check_names(tables)
    fs = tables.get("fs")
    is_array = isinstance(X, np.ndarray) or (isinstance(X, list) and hasattr(X[0], "ndim"))
    rate = fs
    if fs is None and is_array:
        rate = rate_of(model) if fit else model.fs_in_
    if fit:
        model.fs_in_ = float(rate) if rate is not None else rate_of(model)
    return open_records(
        X, fs=rate, lead_names=tables.get("lead_names"), units=tables.get("units", "mV")
    )


def _check_names(tables: Tables) -> None:
    known = {*Recorded.__optional_keys__, "groups", "on_error"}
    for name in tables:
        if name not in known:
            raise TypeError(f"unknown keyword {name!r}; known: {', '.join(sorted(known))}.")


def _known(model: Any, samples: RecordSamples, fit: bool) -> RecordSamples:
    """Take samples that another classifier of the same kind has read."""
    facts = samples.info.extra
    if fit:
        model.is_plain_, model.fs_in_, model.columns_ = facts["plain"], facts["fs"], None
        model.scaling_ = np.array(facts["scaling"])
        _learn_classes(model, list(facts["classes"]), several=facts["several"])
    return replace(samples, training=fit)


def share(model: Any, samples: RecordSamples) -> RecordSamples:
    """Return samples with what another classifier must know of them."""
    facts = {
        "plain": model.is_plain_,
        "fs": model.fs_in_,
        "scaling": [float(value) for value in model.scaling_],
        "classes": list(model.class_names_),
        "several": model.is_multilabel_,
    }
    return replace(samples, info=replace(samples.info, extra=facts))


def _plain(model: Any, X: Any, y: Any, fit: bool) -> RecordSamples:
    _check_kind(model, is_plain=True, fit=fit)
    if fit and y is None:
        name = type(model).__name__
        raise DataError(f"This {name} estimator requires y to be passed, but the target y is None.")
    minimum = 2 if fit else 1
    x = validate_data(model, X, reset=fit, dtype=np.float64, ensure_min_samples=minimum)
    if fit:
        model.fs_in_ = 1.0
        model.scaling_ = np.array([x.mean(), max(float(x.std()), 1e-12)])
    samples: RecordSamples = plain_samples(x, model.scaling_, {})
    if y is not None:
        samples = replace(samples, y=_targets(model, y, len(x), fit))
    return replace(samples, training=fit)


def _labelled(
    model: Any, samples: RecordSamples, reading: Reading, y: Any, fit: bool
) -> RecordSamples:
    classes = None if fit else [str(name) for name in model.class_names_]
    if y is not None and not _has_columns(model, y):
        values = _targets(model, y, reading.n_source, fit)
        return replace(samples, y=values[reading.rows])
    labels = record_targets(y, reading, classes, [str(k) for k in range(reading.n_source)])
    if fit:
        _learn_classes(model, list(labels.classes), several=True)
    return replace(samples, y=labels.values, groups=labels.groups)


def _has_columns(model: Any, y: Any) -> bool:
    """Say whether labels are a table, or an array of several columns."""
    if isinstance(y, str) or hasattr(y, "__fspath__") or hasattr(y, "columns"):
        return True
    return isinstance(y, Mapping)


def _targets(model: Any, y: Any, n: int, fit: bool) -> NDArray[np.float64]:
    classes = None if fit else model.class_names_
    values, names, several = sequence_targets(y, n, classes)
    if fit:
        wanted = model.multilabel
        if wanted != "auto" and wanted is not several:
            form = "(n, classes)" if wanted else "(n,)"
            raise DataError(
                f"multilabel={wanted} takes labels of the form {form}, got {np.shape(y)}."
            )
        _learn_classes(model, names, several=several)
    elif several is not model.is_multilabel_:
        form = "(n, classes)" if model.is_multilabel_ else "(n,)"
        raise DataError(f"the model was fitted on labels {form}; these are {np.shape(y)}.")
    return values


def _learn_classes(model: Any, names: list[Any], *, several: bool) -> None:
    model.class_names_, model.is_multilabel_ = names, several
    check_thresholds(model.thresholds, [str(name) for name in names])


def _check_kind(model: Any, *, is_plain: bool, fit: bool) -> None:
    """Refuse recordings where plain sequences were learned, and the reverse."""
    if fit:
        model.is_plain_ = is_plain
        model.scaling_ = np.array([0.0, 1.0])
        model.columns_ = None
    elif is_plain is not model.is_plain_:
        learned = "plain sequences (n, T)" if model.is_plain_ else "recordings (n, leads, T)"
        raise DataError(f"the model was fitted on {learned}; pass the same.")
