"""What is done with a trained network: decisions are tuned, recordings explained and reported."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.utils.validation import check_is_fitted

from seqmamba.datasets.records import Record
from seqmamba.errors import DataError
from seqmamba.frames import write
from seqmamba.tasks.ecg.answers.calibration import fit_calibrator
from seqmamba.tasks.ecg.answers.probabilities import baseline_features
from seqmamba.tasks.ecg.answers.report import ECGReport, confidence_of
from seqmamba.tasks.ecg.answers.saliency import (
    SaliencyName,
    attributions,
    class_index,
    lead_shares,
)
from seqmamba.tasks.ecg.answers.stream import Moment, windows_of
from seqmamba.tasks.ecg.answers.thresholds import tune_thresholds
from seqmamba.tasks.ecg.baselines import FeatureRegression
from seqmamba.tasks.ecg.building import preprocessing_of
from seqmamba.tasks.ecg.data import open_source, read_samples
from seqmamba.tasks.ecg.samples import RecordSamples
from seqmamba.tasks.ecg.signal.quality import quality_of

__all__ = ["answer_stream", "explain", "report_on", "tune_decisions"]

Tables = Mapping[str, Any]
STRONGEST = 99.5  # percentile of the attribution that is drawn in full red


def tune_decisions(model: Any, train: RecordSamples, valid: RecordSamples | None) -> None:
    """Calibrate and tune thresholds on the validation part; fit the baseline on the other."""
    assert train.y is not None
    logits = truth = np.zeros((0, len(model.class_names_)))
    if valid is not None and valid.y is not None:
        logits, truth = model._record_logits(valid), valid.y
    calibrator = fit_calibrator(logits, truth, model.calibrate, exclusive=not model.is_multilabel_)
    model.slopes_, model.offsets_ = calibrator.slope, calibrator.offset
    model.steps_, model.calibrators_ = calibrator.steps, list(calibrator.methods)
    names = [str(name) for name in model.class_names_]
    model.thresholds_, model.few_positives_ = tune_thresholds(
        truth, calibrator(logits), model.thresholds, names
    )
    baseline = FeatureRegression.fit(baseline_features(model, train), train.y)
    model.baseline_weights_ = baseline.weights
    model.baseline_scaling_ = np.stack([baseline.center, baseline.spread])


def explain(model: Any, X: Any, target: str, method: SaliencyName, tables: Tables) -> Any:
    """Return attributions of arrays, or the shares of the leads of files and tables."""
    place = class_index(model.class_names_, target)
    samples, reading = read_samples(model, X, None, False, tables)
    values = attributions(model.net_, samples, place, method)
    if reading is not None and reading.like is not None:
        return write(lead_shares(samples.names, samples.info.feature_names, values), reading.like)
    return np.stack(values) if len({value.shape for value in values}) == 1 else values


def answer_stream(model: Any, pieces: Iterable[Record], hop: float) -> Iterator[Moment]:
    """Answer every window of a recording that comes in pieces."""
    for start, window in windows_of(pieces, model.duration, hop):
        end = start + window.seconds
        samples, reading = read_samples(model, [window], None, False, {"on_error": "nan"})
        assert reading is not None
        if not reading.prepared:
            reasons = tuple(failure.reason for failure in reading.failures)
            yield Moment(start, end, np.full(len(model.class_names_), np.nan), reasons)
            continue
        found = model._decode(model._outputs(samples), samples)[0]
        yield Moment(start, end, found, reading.prepared[0].flags)


def report_on(model: Any, X: Any, target: str | None, tables: Tables) -> ECGReport:
    """Return the report of one recording.

    Raises
    ------
    DataError
        The source does not hold exactly one recording.
    """
    check_is_fitted(model, "net_")
    record = _one_record(model, X, tables)
    samples, reading = read_samples(model, [record], None, False, {})
    assert reading is not None
    with model._threads():
        logits = model._outputs(samples)
        probabilities = model._decode(logits, samples)[0]
        table = _table(model, probabilities)
        shown = target if target is not None else _reason(table)
        place = class_index(model.class_names_, shown if shown is not None else table["class"][0])
        window = int(logits[:, place].argmax())
        part, start = _window(model, record, float(samples.starts[window]))
        heat = None
        if shown is not None:
            piece, _ = read_samples(model, [part], None, False, {})
            found = attributions(model.net_, piece, place, "integrated_gradients")[0]
            values = np.clip(found, 0, None)  # what speaks for the class
            top = max(float(np.percentile(values, STRONGEST)), 1e-9)
            heat = dict(zip(piece.info.feature_names, values / top, strict=True))
    return ECGReport(
        record=part,
        start=start,
        seconds=record.seconds,
        table=table,
        quality=quality_of(record),
        flags=reading.prepared[0].flags,
        model=_facts(model),
        heat=heat,
        target=shown,
    )


def _one_record(model: Any, X: Any, tables: Tables) -> Record:
    if isinstance(X, Record):
        return X
    source = [X] if isinstance(X, np.ndarray) and X.ndim == 2 else X
    source = [source] if isinstance(source, str | Path) and Path(source).is_file() else source
    records = open_source(model, source, False, tables)
    found = list(records.read("raise"))
    if len(found) != 1 or found[0] is None:
        raise DataError(f"a report is of one recording; here are {len(found)}. Name one.")
    return found[0]


def _window(model: Any, record: Record, start: float) -> tuple[Record, float]:
    """Cut the window that is shown; ``start`` counts samples of the model's rate."""
    begin = start / preprocessing_of(model).fs
    first, count = round(begin * record.fs), round(model.duration * record.fs)
    part = record.signal[:, first : first + count]
    return Record(record.name, part, record.fs, record.leads), begin


def _table(model: Any, probabilities: Any) -> pl.DataFrame:
    """Return ``class, probability, threshold, decision, confidence``."""
    if model.is_multilabel_:
        decisions, thresholds = probabilities >= model.thresholds_, model.thresholds_
    else:
        decisions = probabilities == probabilities.max()
        thresholds = np.full(len(probabilities), 1 / len(probabilities))
    rows = [
        {
            "class": str(name),
            "probability": float(probabilities[k]),
            "threshold": float(thresholds[k]),
            "decision": int(decisions[k]),
            "confidence": confidence_of(
                float(probabilities[k]),
                float(thresholds[k]),
                is_few=str(name) in model.few_positives_,
            ),
        }
        for k, name in enumerate(model.class_names_)
    ]
    return pl.DataFrame(rows).sort("decision", "probability", descending=True)


def _reason(table: pl.DataFrame) -> str | None:
    """Return the most probable class that is answered."""
    answered = table.filter(pl.col("decision") == 1)["class"]
    return str(answered[0]) if len(answered) else None


def _facts(model: Any) -> dict[str, Any]:
    steps = preprocessing_of(model)
    return {
        "model": f"{type(model).__name__}, {model.n_parameters_:,} parameters",
        "rate": f"{steps.fs:g} Hz, windows of {model.duration:g} s",
        "leads": ", ".join(steps.leads),
        "filter": steps.filter,
        "scale": steps.scale,
        "calibration": ", ".join(sorted(set(model.calibrators_))),
    }
