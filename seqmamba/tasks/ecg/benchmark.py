"""Published settings re-run beside the residual network, and the speed of both."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from seqmamba.datasets.cards import Card, card, check
from seqmamba.datasets.simulate.heart import ecg
from seqmamba.errors import ConfigError, DataError
from seqmamba.metrics.multilabel import accuracy, auprc, auroc, class_auprc, class_auroc
from seqmamba.params import nearest, params_of
from seqmamba.tasks.ecg.answers.cross_validation import RESNET, cross_validate
from seqmamba.tasks.ecg.answers.probabilities import baseline_probabilities, decide
from seqmamba.tasks.ecg.data import read_samples
from seqmamba.tasks.ecg.estimator import ECGClassifier

__all__ = ["bench", "run_recipe"]

Row = dict[str, Any]
NAMES = {"": "seqmamba", "resnet_": "1-D ResNet", "logistic_": "logistic regression"}


def run_recipe(
    recipe: Mapping[str, Any], data_dir: str | Path | None = None, seeds: int = 3
) -> pl.DataFrame:
    """Train the recipe and the residual network on the same records, and score the test part.

    Parameters
    ----------
    recipe : mapping
        Blocks of a file in ``tasks/ecg/``. ``data`` names a card and may hold ``first``, the
        number of training records to take.
    data_dir : path or None
        Folder of the card's files.
    seeds : int
        Runs; folds of cross-validation stay the same.

    Returns
    -------
    DataFrame
        ``model, metric, value, sd, seeds, cpu_seconds`` (of one fit).

    Raises
    ------
    ConfigError
        The recipe names no card, or a parameter that does not exist.
    """
    params = _params(recipe)
    data = recipe.get("data", {})
    if "card" not in data or data_dir is None:
        raise ConfigError("an ECG recipe needs data.card, and --data-dir, the folder of its files.")
    described = card(data["card"])
    check(described, data_dir)
    run = _folds if "folds" in described.borders else _parts
    found: dict[tuple[str, str], list[float]] = {}
    for seed in range(seeds):
        for row in run(params, described, Path(data_dir), data, seed):
            found.setdefault((row["model"], row["metric"]), []).append(row["value"])
    rows = [
        {
            "model": model,
            "metric": metric,
            "value": float(np.mean(values)),
            "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
            "seeds": len(values),
        }
        for (model, metric), values in found.items()
    ]
    return pl.DataFrame(rows)


def bench(*, records: int = 96, repeats: int = 3) -> pl.DataFrame:
    """Measure training and prediction, in records per second of one core, beside the ResNet.

    Parameters
    ----------
    records : int
        Ten-second records of 12 leads.
    repeats : int
        The fastest counts; both networks take turns.

    Returns
    -------
    DataFrame
        ``what, seqmamba, resnet, unit, time ratio, limit``.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        x, y = ecg(n=records, seed=0)
        common: Row = {"max_epochs": 1, "val_size": 0, "patience": None, "random_state": 0}
        models = [
            ECGClassifier(**common, batch_size=32).fit(x, y),
            ECGClassifier(**{**common, **RESNET}).fit(x, y),
        ]
        steps = [_timed([_training(m, x, y) for m in models], repeats)]
        steps.append(_timed([_prediction(m, x) for m in models], repeats))
        one = [_single(m, x[0]) for m in models]
        steps.append(_timed(one, 5 * repeats))
    finally:
        torch.set_num_threads(threads)
    rows = []
    for (what, count), (own, theirs) in zip(
        (("train", records), ("predict", records), ("predict one array", 1)), steps, strict=True
    ):
        rows.append(
            {
                "what": what,
                "seqmamba": count / own,
                "resnet": count / theirs,
                "unit": "records/s",
                "time ratio": own / theirs,
                "limit": 2.0 if count > 1 else None,
            }
        )
    return pl.DataFrame(rows)


def _parts(
    params: Mapping[str, Any], described: Card, folder: Path, data: Mapping[str, Any], seed: int
) -> list[Row]:
    """Train on one part of the data set and score on another."""
    parts = _read_parts(described, folder)
    if "first" in data:
        parts["train"] = tuple(part[: data["first"]] for part in parts["train"])
        parts.pop("valid", None)
    rows: list[Row] = []
    for name, extra in (("", {}), ("resnet_", RESNET)):
        model = ECGClassifier(**{"random_state": seed, **params, **extra})
        started = time.process_time()
        model.fit(*parts["train"], eval_set=parts.get("valid"))
        seconds = time.process_time() - started
        samples, _ = read_samples(model, parts["test"][0], parts["test"][1], False, {})
        assert samples.y is not None
        own = model.predict_proba(replace(samples, y=None))
        rows += _scores(NAMES[name], model, samples.y, own)
        rows.append({"model": NAMES[name], "metric": "cpu_seconds", "value": seconds})
    rows += _scores(NAMES["logistic_"], model, samples.y, baseline_probabilities(model, samples))
    return rows


def _scores(name: str, model: ECGClassifier, truth: Any, answer: Any) -> list[Row]:
    found = {"auroc": auroc(truth, answer), "auprc": auprc(truth, answer)}
    if model.is_multilabel_:
        for score, function in (("auroc", class_auroc), ("auprc", class_auprc)):
            values = function(truth, answer)
            found |= {f"{score} {c}": float(values[k]) for k, c in enumerate(model.class_names_)}
    else:
        found["accuracy"] = accuracy(truth, decide(model, answer))
    return [{"model": name, "metric": k, "value": v} for k, v in found.items()]


def _folds(
    params: Mapping[str, Any], described: Card, folder: Path, data: Mapping[str, Any], seed: int
) -> list[Row]:
    """Score the records out of their folds."""
    model = ECGClassifier(**{"random_state": seed, **params})
    labels = pl.read_csv(folder / described.files[0].path)
    labels = labels.with_columns(pl.col("record").cast(pl.String))
    records = [folder / name for name in labels["record"]]
    classes = described.columns["classes"]
    table = cross_validate(
        model,
        records,
        labels.select("record", *classes),
        {},
        folds=described.borders["folds"],
        resnet=True,
    )
    rows: list[Row] = []
    for row in table.iter_rows(named=True):
        for prefix, name in NAMES.items():
            for metric in ("auroc", "auprc"):
                label = f"{metric} {row['class']}"
                value = row[prefix + metric]
                rows.append({"model": name, "metric": label, "value": value})
    return rows


def _read_parts(described: Card, folder: Path) -> dict[str, Any]:
    """Return (X, y) of train, perhaps valid, and test."""
    names = [file.path for file in described.files]
    if described.format == "ucr":
        tables = [pl.read_csv(folder / name) for name in names]
        return {
            part: (table.drop("label").to_numpy(), table["label"].to_numpy())
            for part, table in zip(("train", "test"), tables, strict=True)
        }
    signals, labels = pl.read_parquet(folder / names[0]), pl.read_csv(folder / names[1])
    leads = [name for name in signals.columns if name not in ("record", "fs")]
    x = np.stack([signals[name].to_numpy() for name in leads], axis=1) / np.float32(1000)
    parts = {}
    for part, value in (("train", "train"), ("valid", "val"), ("test", "test")):
        rows = (labels["split"] == value).to_numpy()
        y = labels.filter(pl.col("split") == value).drop("record", "split")
        if not rows.any():
            raise DataError(f"{names[1]} has no row of split {value!r}.", column="split")
        parts[part] = (x[rows], y)
    return parts


def _params(recipe: Mapping[str, Any]) -> dict[str, Any]:
    known = params_of(ECGClassifier)
    found = {**recipe.get("params", {}), **recipe.get("train", {})}
    for key in found:
        if key not in known:
            raise ConfigError(f"unknown key {key!r} in the recipe.{nearest(key, known)}")
    return found


def _training(model: ECGClassifier, x: Any, y: Any) -> Callable[[], Any]:
    return lambda: model.fit(x, y)


def _prediction(model: ECGClassifier, x: Any) -> Callable[[], Any]:
    return lambda: model.predict_proba(x)


def _single(model: ECGClassifier, signal: Any) -> Callable[[], Any]:
    return lambda: model.predict_proba(signal[None])


def _timed(calls: list[Callable[[], Any]], repeats: int) -> list[float]:
    """Return the shortest CPU time of each call; they take turns."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for call, spent in zip(calls, times, strict=True):
            started = time.process_time()
            call()
            spent.append(time.process_time() - started)
    return [min(spent) for spent in times]
