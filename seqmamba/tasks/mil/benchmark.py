"""Speed and memory of the networks over bags, and the scores of a recipe."""

import logging
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from seqmamba.datasets.bags.labels import Labels, read_labels
from seqmamba.datasets.bags.read import BagSource, read_bags
from seqmamba.datasets.bags.splits import Split, read_splits
from seqmamba.datasets.cards import Card, card, check, data_home
from seqmamba.datasets.samples import Batch
from seqmamba.datasets.simulate.instances import long_bag
from seqmamba.errors import ConfigError
from seqmamba.metrics import classification
from seqmamba.tasks.mil.answers.validation import fold_splits, part_of
from seqmamba.tasks.mil.baselines import boosted_statistics, regressed_statistics
from seqmamba.tasks.mil.data import BagSamples
from seqmamba.tasks.mil.estimator import MILClassifier
from seqmamba.tasks.mil.net.model import BagNet, EncoderName, NetSettings

__all__ = ["bench", "run_recipe"]

Row = dict[str, Any]
Floats = NDArray[np.float64]
REPEATED_TOKENS = 20_000  # a short bag is measured several times, for a steady median
MOST_REPEATS = 20
ENCODERS: tuple[EncoderName, ...] = ("mamba", "bimamba", "srmamba", "lbmamba", "none")
SCORES = {"accuracy": classification.accuracy, "auroc": classification.auroc}
ORDER_FREE: dict[str, dict[str, Any]] = {  # the pooling models that stand beside each recipe
    "attention_pooling": {"encoder": "none", "pool": "attention", "blend": None},
    "mean_pooling": {"encoder": "none", "pool": "mean", "blend": None},
}
STATISTICS = {"regression": regressed_statistics, "boosting": boosted_statistics}

log = logging.getLogger(__name__)


def bench(
    *,
    lengths: tuple[int, ...] = (1_000, 10_000, 100_000),
    n_features: int = 1_024,
    d_model: int = 512,
    n_layers: int = 2,
    encoders: tuple[str, ...] = ENCODERS,
) -> pl.DataFrame:
    """Measure inference over bags of growing size on one thread, and what it adds to memory.

    torchmil's ABMIL and TransMIL stand beside where it is installed. Run it in a process of its
    own: memory is the peak since the start.

    Parameters
    ----------
    lengths : tuple of int
        Instances of the bags, rising.
    n_features, d_model, n_layers : int
        Sizes; the defaults are those of the paper.
    encoders : tuple of str
        Which of mamba, bimamba, srmamba, lbmamba, none.

    Returns
    -------
    DataFrame
        what, instances, instances per second of CPU time, growth (time per instance over that of
        the smallest bag), added_mib.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    bag = torch.from_numpy(long_bag(max(lengths), n_features=n_features))
    try:
        rows = [
            row
            for name, net in _nets(n_features, d_model, n_layers, encoders)
            for row in _growth(name, net, bag, lengths)
        ]
    finally:
        torch.set_num_threads(threads)
    return pl.DataFrame(rows)


def run_recipe(blocks: Mapping[str, Any], data_dir: str | None, seeds: int) -> pl.DataFrame:
    """Fit the recipe on the training parts of its data and score it on the test parts.

    Parameters
    ----------
    blocks : mapping
        Blocks of a file in ``tasks/mil/``; ``borders`` of the card say which parts there are.
    data_dir : path or None
        Folder of the data files; None = the data cache.
    seeds : int
        Runs; each has its own folds where the card asks for folds.

    Returns
    -------
    DataFrame
        ``metric, value, sd`` (over the seeds) and, on the same parts, attention pooling, mean
        pooling, logistic regression and gradient boosting on bag statistics.
    """
    data = blocks.get("data", {})
    if "card" not in data:
        raise ConfigError("a recipe of bags needs data.card.")
    described = card(data["card"])
    check(described, data_dir)
    folder = data_home() / described.name if data_dir is None else Path(data_dir)
    source, labels = _read(described, folder)
    settings = {"calibrate": None, **blocks.get("params", {}), **blocks.get("train", {})}
    runs = [_run(described, folder, source, labels, settings, seed) for seed in range(seeds)]
    rows = []
    for metric in SCORES:
        values = np.array([run["value"][metric] for run in runs])
        row: Row = {"metric": metric, "value": float(values.mean())}
        row["sd"] = float(values.std(ddof=1)) if len(values) > 1 else 0.0
        for name in (*ORDER_FREE, *STATISTICS):
            row[name] = float(np.mean([run[name][metric] for run in runs]))
        rows.append(row)
    return pl.DataFrame(rows)


def _read(described: Card, folder: Path) -> tuple[BagSource, Labels]:
    columns = described.columns
    if described.format == "clam":
        source = read_bags(folder / columns["folder"])
        return source, read_labels(folder / columns["labels"], source.bags.ids)
    table = pl.read_parquet(folder / described.files[0].path)
    source = read_bags(table)
    return source, read_labels(folder / columns["labels"], source.bags.ids)


def _run(
    described: Card,
    folder: Path,
    source: BagSource,
    labels: Labels,
    settings: Mapping[str, Any],
    seed: int,
) -> dict[str, dict[str, float]]:
    """Return the scores of every model, averaged over the parts."""
    models: dict[str, dict[str, Any]] = {"value": {}, **ORDER_FREE}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in (*models, *STATISTICS)}
    reader = MILClassifier(**{"random_state": seed, **settings})
    samples = reader._read(source, labels.label, True, groups=labels.group)
    assert samples.y is not None
    for split in _splits(described, folder, reader, samples, labels):
        truth = samples.y[split.test]
        for name, change in models.items():
            model = MILClassifier(**{"random_state": seed, **settings, **change})
            probability = _fitted(model, source, reader.classes_[samples.y], split)
            found[name].append({k: score(truth, probability) for k, score in SCORES.items()})
            log.info("%s, seed %d: %s", name, seed, found[name][-1])
        known = samples.part(np.concatenate([split.train, split.val]))
        asked, n_classes = samples.part(split.test), len(reader.classes_)
        for name, answer in STATISTICS.items():
            probability = answer(known, asked, n_classes)
            found[name].append({k: score(truth, probability) for k, score in SCORES.items()})
    return {
        name: {k: float(np.mean([part[k] for part in parts])) for k in SCORES}
        for name, parts in found.items()
    }


def _fitted(model: MILClassifier, source: BagSource, y: Any, split: Split) -> Floats:
    train = part_of(source, split.train), y[split.train]
    valid = (part_of(source, split.val), y[split.val]) if len(split.val) else None
    model.fit(*train, eval_set=valid)
    return model.predict_proba(part_of(source, split.test))


def _splits(
    described: Card, folder: Path, reader: MILClassifier, samples: BagSamples, labels: Labels
) -> list[Split]:
    """Return the parts that the card names; without a validation part models cut off their own."""
    borders = described.borders
    if "splits" in borders:
        return read_splits(folder / borders["splits"], samples.ids)
    if "folds" in borders:
        return fold_splits(reader, samples, int(borders["folds"]))
    assert labels.split is not None
    known, test = (np.flatnonzero(labels.split == borders[part]) for part in ("train", "test"))
    return [Split(known, known[:0], test)]


def _nets(
    n_features: int, d_model: int, n_layers: int, encoders: tuple[str, ...]
) -> Iterator[tuple[str, Callable[[torch.Tensor], Any]]]:
    for encoder in encoders:
        if encoder not in ENCODERS:
            raise ConfigError(f"no encoder {encoder!r}; known: {', '.join(ENCODERS)}.")
        settings = NetSettings(encoder=encoder, d_model=d_model, n_layers=n_layers)
        yield encoder, partial(_logits, BagNet(n_features, 2, settings).eval())
    try:  # a peer, for comparison only
        from torchmil.models import ABMIL, TransMIL  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        log.info("torchmil is not installed; its models are not measured")
        return
    for name, peer in (("ABMIL", ABMIL), ("TransMIL", TransMIL)):
        yield f"torchmil {name}", partial(_peer, peer(in_shape=(n_features,)).eval())


def _logits(net: BagNet, x: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = net(Batch(x, extra={"lengths": torch.tensor([len(x)])}))
    return logits


def _peer(model: Any, x: torch.Tensor) -> Any:
    return model(x[None].float())


def _growth(
    name: str, net: Callable[[torch.Tensor], Any], bag: torch.Tensor, lengths: tuple[int, ...]
) -> Iterator[Row]:
    first = None
    for length in lengths:
        x = bag[:length]
        before = _peak_mib()
        repeats = min(max(REPEATED_TOKENS // length, 1), MOST_REPEATS)
        spent = []
        with torch.inference_mode():
            net(bag[: min(lengths)])  # warm
            for _ in range(repeats):
                started = time.process_time()
                net(x)
                spent.append(time.process_time() - started)
        each = float(np.median(spent)) / length
        first = first or each
        yield {
            "what": name,
            "instances": length,
            "per_second": 1 / each,
            "growth": each / first,
            "added_mib": _peak_mib() - before,
        }


def _peak_mib() -> float:
    """Return the peak of resident memory since the start."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform != "darwin" else peak / 1024**2
