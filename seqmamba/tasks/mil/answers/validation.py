"""Cross-validation that a patient never crosses, kept fold by fold so that it can go on."""

import hashlib
import json
import logging
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from sklearn.base import clone

from seqmamba.datasets.bags.packed import JoinedBags
from seqmamba.datasets.bags.read import BagSource
from seqmamba.datasets.bags.splits import (
    Split,
    check_groups,
    make_folds,
    read_splits,
    write_split,
)
from seqmamba.errors import ConfigError, ResumeMismatchError, SeqmambaWarning
from seqmamba.metrics.score import named
from seqmamba.storage import write_atomic
from seqmamba.tasks.mil.data import BagSamples
from seqmamba.train.seeds import draw_seed

if TYPE_CHECKING:
    from seqmamba.tasks.mil.estimator import MILClassifier

__all__ = ["cross_validate", "fold_splits", "part_of"]

log = logging.getLogger(__name__)


def cross_validate(
    model: "MILClassifier",
    X: Any,
    y: Any,
    groups: Any,
    cv: int,
    metrics: Sequence[str] | None,
    folder: str | None,
) -> pl.DataFrame:
    """Fit a copy on each fold; see :meth:`seqmamba.MILClassifier.cross_validate`."""
    wanted = named(metrics, model._metrics)
    reader = clone(model)
    samples = reader._read(X, y, True, groups=groups)
    if samples.y is None:
        raise ConfigError("cross-validation needs the class of each bag.")
    source = reader._source(X)
    place = None if folder is None else Path(folder)
    splits = _splits(model, samples, cv, place)
    rows, truths, answers = [], [], []
    for i, split in enumerate(splits):
        probability = _fold(model, reader, source, samples, split, i, place)
        truth = samples.y[split.test]
        values = {name: m.function(truth, probability) for name, m in wanted.items()}
        sizes = {"train": len(split.train), "val": len(split.val), "test": len(split.test)}
        rows.append({"fold": str(i), **sizes, **values})
        truths.append(truth)
        answers.append(probability)
    return _summary(rows, np.concatenate(truths), np.concatenate(answers), wanted)


def fold_splits(model: "MILClassifier", samples: BagSamples, cv: int) -> list[Split]:
    """Return ``cv`` splits: each fold is the test part once, validation is cut off the rest.

    It is not where several networks are averaged: each then leaves out another part by itself.
    """
    assert samples.strata is not None
    val_size: float | int = model._default_val_size if model.val_size is None else model.val_size
    if model.val_size is None and model._members(len(samples) * (cv - 1) // cv) > 1:
        val_size = 0
    fold = make_folds(samples.strata, samples.groups, cv, draw_seed(model.random_state))
    splits = []
    for i in range(cv):
        test, rest = np.flatnonzero(fold == i), np.flatnonzero(fold != i)
        if val_size == 0:
            splits.append(Split(rest, rest[:0], test))
            continue
        train, val = samples.part(rest).split(val_size)
        splits.append(Split(train.index, val.index, test))
    return splits


def part_of(source: BagSource, rows: Any) -> BagSource:
    """Return some bags of a source."""
    ids = [source.bags.ids[i] for i in rows]
    return BagSource(JoinedBags(source.bags, ids, [np.array([i]) for i in rows]), None, source.like)


def _splits(
    model: "MILClassifier", samples: BagSamples, cv: int, folder: Path | None
) -> list[Split]:
    """Read the splits of a folder; make them, and write them there, if it holds none."""
    if folder is not None and list(folder.glob("splits_*.csv")):
        splits = read_splits(folder, samples.ids)
    else:
        splits = fold_splits(model, samples, cv)
        for i, split in enumerate(splits if folder is not None else ()):
            assert folder is not None
            folder.mkdir(parents=True, exist_ok=True)
            write_split(folder / f"splits_{i}.csv", split, samples.ids)
    for i, split in enumerate(splits):
        check_groups(split, samples.groups, f"splits_{i}.csv")
    return splits


def _fold(
    model: "MILClassifier",
    reader: "MILClassifier",
    source: BagSource,
    samples: BagSamples,
    split: Split,
    number: int,
    folder: Path | None,
) -> Any:
    """Return the probabilities of the test bags; from the folder if the fold is done already."""
    path = None if folder is None else folder / f"result_{number}.json"
    identity = _identity(model, samples, split)
    if path is not None and path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["identity"] != identity:
            raise ResumeMismatchError(
                f"{path} is of other parameters, data or splits; remove the results there, or "
                "name another folder."
            )
        log.info("fold %d is done already: %s", number, path)
        return np.array(kept["probability"])
    labels = reader.classes_[samples.y]
    groups = samples.groups
    train = [part_of(source, split.train), labels[split.train]]
    fitting = clone(model)
    held_out = {"groups": None if groups is None else groups[split.train]}
    valid = (part_of(source, split.val), labels[split.val]) if len(split.val) else None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*too few to calibrate", SeqmambaWarning)
        fitting.fit(*train, eval_set=valid, **held_out)
    found = fitting.predict_proba(part_of(source, split.test))
    probability = np.zeros((len(found), len(reader.classes_)))
    probability[:, np.searchsorted(reader.classes_, fitting.classes_)] = found
    if path is not None:
        content = {"identity": identity, "probability": probability.tolist()}
        write_atomic(path, json.dumps(content).encode())
    return probability


def _identity(model: "MILClassifier", samples: BagSamples, split: Split) -> str:
    free = {"verbose", "max_minutes", "num_threads", "device", "cache_bytes"}
    params = {k: v for k, v in model.get_params(deep=False).items() if k not in free}
    parts = [repr(params), repr(samples.ids), repr(samples.info.to_json())]
    parts += [repr(part.tolist()) for part in split]
    parts.append(repr(None if samples.y is None else samples.y.tolist()))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _summary(rows: list[dict[str, Any]], truth: Any, answer: Any, metrics: Any) -> pl.DataFrame:
    folds = pl.DataFrame(rows)
    last: list[dict[str, Any]] = [{"fold": "mean"}, {"fold": "sd"}, {"fold": "pooled"}]
    for name, metric in metrics.items():
        values = np.array([row[name] for row in rows], np.float64)
        known = values[~np.isnan(values)]
        last[0][name] = float(known.mean()) if len(known) else math.nan
        last[1][name] = float(known.std(ddof=1)) if len(known) > 1 else math.nan
        last[2][name] = metric.function(truth, answer)
    return pl.concat([folds, pl.DataFrame(last)], how="diagonal")
