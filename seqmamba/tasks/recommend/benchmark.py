"""Speed and memory of the recommender, and published settings re-run beside all rivals."""

import logging
import resource
import time
import tracemalloc
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import polars as pl
import torch

from seqmamba.datasets.cards import card, check
from seqmamba.datasets.interactions import read_interactions
from seqmamba.errors import ConfigError
from seqmamba.params import nearest, params_of
from seqmamba.tasks.recommend.data import SequenceSamples
from seqmamba.tasks.recommend.estimator import SIGMARecommender
from seqmamba.tasks.recommend.serve.topk import top_items

__all__ = ["bench", "run_recipe"]

METRICS = ("hr@10", "ndcg@10", "mrr@10")
PEERS = ("SASRec", "GRU4Rec")  # run by RecBole where it is installed
Row = dict[str, Any]

log = logging.getLogger(__name__)


def bench(data: str | None = None, *, time_col: str = "timestamp", steps: int = 5) -> pl.DataFrame:
    """Measure reading, training, evaluation and top-k on one thread.

    Parameters
    ----------
    data : file or None
        Interactions for training and evaluation; None = simulated ones.
    time_col : str
        Their column of times.
    steps : int
        Training steps per measurement; an epoch is extrapolated from their median.

    Returns
    -------
    polars.DataFrame
        what, value, unit. Times are CPU seconds of this process.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        source: Any = _simulated() if data is None else data
        rows = [*_reading(), *_training(source, time_col, steps), *_top_items()]
    finally:
        torch.set_num_threads(threads)
    return pl.DataFrame(rows, schema={"what": pl.String, "value": pl.Float64, "unit": pl.String})


def run_recipe(
    recipe: Mapping[str, Any],
    data_dir: str | Path | None = None,
    seeds: int = 3,
    peers: tuple[str, ...] | None = None,
) -> pl.DataFrame:
    """Train a published setting, and score the held-out events beside all rivals.

    One fit per seed gives both the paper's network and the blend with its anchor: the network
    trains as if it stood alone.

    Parameters
    ----------
    recipe : mapping
        Blocks of a file in ``tasks/recommend/``.
    data_dir : path or None
        Folder of the data files; None = the data cache.
    seeds : int
    peers : tuple of str or None
        RecBole models that are trained in RecBole on the same split; None = SASRec and GRU4Rec
        where RecBole is installed.

    Returns
    -------
    polars.DataFrame
        model, seen, hr@10, ndcg@10, mrr@10 (means), their deviation over seeds, gain_low (lower end
        of the 95 % interval of the NDCG gain over the best cheap model, worst seed), seconds.
    """
    params = _params(recipe)
    path = check(card(recipe["data"]["card"]), data_dir)[0]
    tables, seconds = [], []
    for seed in range(seeds):
        started = time.perf_counter()
        model = SIGMARecommender(**{**params, "random_state": seed}).fit(path)
        seconds.append(time.perf_counter() - started)
        tables.append(model.evaluate(metrics=METRICS))
        log.info("seed %d: %s", seed, tables[-1].select("metric", "seen", "value").rows())
    rows = _score_rows(tables, float(np.mean(seconds)))
    chosen = PEERS if peers is None and find_spec("recbole") else peers or ()
    rows += [_peer_row(name, path, params) for name in chosen]
    return pl.DataFrame(rows, infer_schema_length=None)


def _score_rows(tables: list[pl.DataFrame], seconds: float) -> list[Row]:
    """Turn one evaluation per seed into one row per model and protocol."""
    fixed = {"metric", "seen", "users", "value", "baseline", "best", "skill", "gain"}
    fixed |= {"gain_low", "gain_high"}
    scorers = ["value", *(name for name in tables[0].columns if name not in fixed)]
    rows = []
    for seen in tables[0]["seen"].unique(maintain_order=True):
        mine = [table.filter(pl.col("seen") == seen) for table in tables]
        for scorer in scorers:
            row: Row = {"model": "default" if scorer == "value" else scorer, "seen": seen}
            for place, metric in enumerate(METRICS):
                values = [table[scorer][place] for table in mine]
                row |= {metric: float(np.mean(values)), f"{metric} sd": float(np.std(values))}
            if scorer == "value":
                row["gain_low"] = min(table["gain_low"][1] for table in mine)
                row["seconds"] = seconds
            rows.append(row)
    return rows


def _peer_row(name: str, path: Path, params: Mapping[str, Any]) -> Row:
    """Train a RecBole model on the same events; its protocol keeps seen items."""
    # RecBole is an optional package
    from seqmamba.tasks.recommend import recbole

    columns = ("user_col", "item_col", "time_col", "min_user", "min_item")
    data = read_interactions(path, **{k: params[k] for k in columns if k in params})
    table = pl.DataFrame(
        {
            "user_id": data.users.take(data.owners),
            "item_id": data.items.take(data.sequence - 1),
            "timestamp": np.arange(len(data.sequence), dtype=np.float64),
        }
    )
    started = time.perf_counter()
    with TemporaryDirectory() as folder:
        recbole.to_atomic(table, folder, "recipe")
        result = recbole.run(
            name,
            "recipe",
            data_path=folder,
            load_col={"inter": ["user_id", "item_id", "timestamp"]},
            MAX_ITEM_LIST_LENGTH=params.get("max_len", 50),
            epochs=params.get("max_epochs", 200),
            eval_args={"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"},
            metrics=["Hit", "NDCG", "MRR"],
            topk=[10],
            valid_metric="NDCG@10",
        )["test_result"]
    ours = dict(zip(METRICS, ("hit@10", "ndcg@10", "mrr@10"), strict=True))
    scores = {metric: result[theirs] for metric, theirs in ours.items()}
    return {"model": name, "seen": "keep", **scores, "seconds": time.perf_counter() - started}


def _params(recipe: Mapping[str, Any]) -> dict[str, Any]:
    params = {**recipe.get("params", {}), **recipe.get("train", {})}
    known = params_of(SIGMARecommender)
    for name in params:
        if name not in known:
            raise ConfigError(f"the recipe names {name!r}.{nearest(name, known)}")
    return params


def _simulated() -> pl.DataFrame:
    """Return 200 users with 200 events each over 1,000 items."""
    generator = np.random.default_rng(0)
    owner = np.repeat(np.arange(200), 200)
    items = generator.zipf(1.3, len(owner)) % 1000
    return pl.DataFrame({"user_id": owner, "item_id": items, "timestamp": np.arange(len(owner))})


def _reading() -> list[Row]:
    generator, n = np.random.default_rng(0), 1_000_000
    table = pl.DataFrame(
        {
            "user_id": generator.integers(0, 50_000, n),
            "item_id": generator.integers(0, 20_000, n),
            "timestamp": generator.random(n),
        }
    )
    started = time.process_time()
    read_interactions(table)
    seconds = time.process_time() - started
    tracemalloc.start()
    read_interactions(table)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return [
        {"what": "sequences of 1e6 interactions", "value": seconds, "unit": "s"},
        {"what": "sequences of 1e6 interactions, peak", "value": peak / 1e6, "unit": "MB"},
    ]


def _training(source: Any, time_col: str, steps: int) -> list[Row]:
    rows: list[Row] = []
    ways: tuple[Literal["last", "tail"], ...] = ("last", "tail")
    for targets in ways:
        model = SIGMARecommender(
            targets=targets, time_col=time_col, anchor=None, max_epochs=0, random_state=0
        ).fit(source)
        samples = model._read(source, None, True)
        value = _epoch_seconds(model, samples, steps)
        rows.append({"what": f"training epoch, targets={targets}", "value": value, "unit": "s"})
    ratio = rows[0]["value"] / rows[1]["value"]
    rows.append({"what": "tail over last", "value": ratio, "unit": "times faster"})
    started = time.process_time()
    table = model.evaluate(seen="keep", metrics=METRICS)
    users = table["users"][0] / (time.process_time() - started)
    rows.append({"what": "full ranking with all baselines", "value": users, "unit": "users/s"})
    return rows


def _epoch_seconds(model: SIGMARecommender, samples: SequenceSamples, steps: int) -> float:
    """Return the CPU time of an epoch from the median of a few steps."""
    size, order = model.batch_size_, np.random.default_rng(0).permutation(len(samples))
    model.net_.train()
    optimizer = torch.optim.Adam(model.net_.parameters(), fused=True)
    spent = []
    for step in range(steps + 1):
        started = time.process_time()
        batch = samples.batch(
            np.take(order, np.arange(step * size, (step + 1) * size), mode="wrap")
        )
        optimizer.zero_grad()
        model._loss(model.net_, batch).backward()  # type: ignore[no-untyped-call]  # torch's
        optimizer.step()
        spent.append(time.process_time() - started)
    model.net_.eval()
    return float(np.median(spent[1:])) * len(samples) / size


def _top_items(n_users: int = 100_000, n_items: int = 100_000, measured: int = 4) -> list[Row]:
    """Rank a few batches of the whole task; memory does not grow with the number of users."""
    items = torch.randn(n_items, 64)
    started = time.process_time()
    for _ in range(measured):
        top_items(torch.randn(512, 64), items, 20)
    seconds = (time.process_time() - started) / measured * n_users / 512
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return [
        {"what": "top 20 of 1e5 items for 1e5 users", "value": seconds, "unit": "s"},
        {"what": "peak of the whole process", "value": peak, "unit": "GiB"},
    ]
