"""A published setting re-run beside the cheap models and RecBole's."""

import logging
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from seqmamba.datasets.cards import card, check
from seqmamba.errors import ConfigError
from seqmamba.params import nearest, params_of
from seqmamba.tasks.recommend.estimator import SIGMARecommender

__all__ = ["run_recipe"]

METRICS = ("hr@10", "ndcg@10", "mrr@10")
PEERS = ("SASRec", "GRU4Rec")  # run by RecBole where it is installed
Row = dict[str, Any]

log = logging.getLogger(__name__)


def run_recipe(
    recipe: Mapping[str, Any],
    data_dir: str | Path | None = None,
    seeds: int = 3,
    peers: tuple[str, ...] | None = None,
) -> pl.DataFrame:
    """Train a published setting, and score the held-out events beside all rivals.

    One fit per seed gives both the paper's network and the blend with its anchor: the network
    trains as if it stood alone. RecBole's models get the time that our training took.

    Parameters
    ----------
    recipe : mapping
        Blocks of a file in ``tasks/recommend/``.
    data_dir : path or None
        Folder of the data files; None = the data cache.
    seeds : int
    peers : tuple of str or None
        RecBole models that are trained in RecBole on the same split, once per seed; None = SASRec
        and GRU4Rec where RecBole is installed.

    Returns
    -------
    polars.DataFrame
        model, seen, hr@10, ndcg@10, mrr@10 (means), their deviation over seeds, gain_low (lower end
        of the 95 % interval of the NDCG gain over the best cheap model, worst seed), seconds of
        training per seed, epochs (of RecBole's models: passes over all prefixes that the time
        allowed).
    """
    params = _params(recipe)
    path = check(card(recipe["data"]["card"]), data_dir)[0]
    tables, seconds, epochs = [], [], []
    for seed in range(seeds):
        started = time.perf_counter()
        model = SIGMARecommender(**{**params, "random_state": seed}).fit(path)
        seconds.append(time.perf_counter() - started)
        epochs.append(len(model.history_.rows))
        tables.append(model.evaluate(metrics=METRICS))
        log.info("seed %d: %s", seed, tables[-1].select("metric", "seen", "value").rows())
    effort = {"seconds": float(np.mean(seconds)), "epochs": float(np.mean(epochs))}
    rows = _score_rows(tables, effort)
    chosen = PEERS if peers is None and find_spec("recbole") else peers or ()
    if chosen:
        # RecBole is an optional package
        from seqmamba.tasks.recommend.benchmark.peers import peer_scores

        for name in chosen:
            runs = [peer_scores(name, path, params, effort["seconds"], s) for s in range(seeds)]
            rows.append({"model": name, "seen": "keep", **_over_seeds(runs)})
    return pl.DataFrame(rows, infer_schema_length=None)


def _deviation(values: list[float]) -> float:
    """Return the sample deviation; 0 for a single seed."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _over_seeds(runs: list[Row]) -> Row:
    row: Row = {}
    for metric in METRICS:
        values = [run[metric] for run in runs]
        row |= {metric: float(np.mean(values)), f"{metric} sd": _deviation(values)}
    return row | {
        name: float(np.mean([run[name] for run in runs])) for name in ("seconds", "epochs")
    }


def _score_rows(tables: list[pl.DataFrame], effort: Row) -> list[Row]:
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
                row |= {metric: float(np.mean(values)), f"{metric} sd": _deviation(values)}
            if scorer == "value":
                row["gain_low"] = min(table["gain_low"][1] for table in mine)
                row |= effort
            rows.append(row)
    return rows


def _params(recipe: Mapping[str, Any]) -> dict[str, Any]:
    params = {**recipe.get("params", {}), **recipe.get("train", {})}
    known = params_of(SIGMARecommender)
    for name in params:
        if name not in known:
            raise ConfigError(f"the recipe names {name!r}.{nearest(name, known)}")
    return params
