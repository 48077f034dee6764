"""RecBole's models on the same events: their scores for the same time, and their speed."""

import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl

from seqmamba.datasets.interactions.table import Interactions, read_interactions
from seqmamba.tasks.recommend import recbole

__all__ = ["peer_scores", "peer_speed"]

PROTOCOL: dict[str, Any] = {
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"},
    "metrics": ["Hit", "NDCG", "MRR"],
    "topk": [10],
    "valid_metric": "NDCG@10",
}
VALIDATIONS = 10  # of a training with limited time
Row = dict[str, Any]


def peer_scores(name: str, path: Path, params: Mapping[str, Any], seconds: float, seed: int) -> Row:
    """Train a RecBole model for some time on the same split, and return its test scores.

    Its protocol keeps seen items. The best of ten validated states is tested.
    """
    columns = ("user_col", "item_col", "time_col", "min_user", "min_item", "max_user", "max_item")
    data = read_interactions(path, **{k: params[k] for k in columns if k in params})
    table = _events(data)
    with TemporaryDirectory() as folder:
        recbole.to_atomic(table, folder, "recipe")
        result = recbole.run(
            name,
            "recipe",
            data_path=folder,
            max_minutes=seconds / 60,
            MAX_ITEM_LIST_LENGTH=params.get("max_len", 50),
            epochs=VALIDATIONS,
            stopping_step=VALIDATIONS,
            seed=seed,
            **PROTOCOL,
        )
    scores = {f"{ours}@10": result["test_result"][f"{theirs}@10"] for ours, theirs in _NAMES}
    n_prefixes = len(table) - 3 * len(data.users)  # no first, validation and test events
    return {**scores, "seconds": seconds, "epochs": result["rows"] / n_prefixes}


_NAMES = (("hr", "hit"), ("ndcg", "ndcg"), ("mrr", "mrr"))


def peer_speed(
    name: str, data: Interactions, max_len: int, batch_size: int, steps: int
) -> tuple[float, float]:
    """Return the CPU seconds of an epoch in RecBole, and how many users per second it ranks.

    Parameters
    ----------
    name : str
        ``"SIGMA"`` (ours, inside RecBole) or one of RecBole's.
    data : Interactions
    max_len, batch_size : int
    steps : int
        Training steps; the epoch is extrapolated from their median.
    """
    with TemporaryDirectory() as folder:
        recbole.to_atomic(_events(data), folder, "speed")
        settings = {"MAX_ITEM_LIST_LENGTH": max_len, "train_batch_size": batch_size, **PROTOCOL}
        if name == "SIGMA":
            settings["d_state"] = 32
        with recbole.prepared(name, "speed", folder, data_path=folder, **settings) as parts:
            net, optimizer, spent = parts.net, parts.trainer.optimizer, []
            net.train()
            for _, batch in zip(range(steps + 1), parts.train, strict=False):
                started = time.process_time()
                optimizer.zero_grad()
                net.calculate_loss(batch).backward()
                optimizer.step()
                spent.append(time.process_time() - started)
            started = time.process_time()
            parts.trainer.evaluate(parts.test, load_best_model=False, show_progress=False)
            users = len(data.users) / (time.process_time() - started)
            return float(np.median(spent[1:])) * len(parts.train), users


def _events(data: Interactions) -> pl.DataFrame:
    """Return events as a table whose times are their order."""
    return pl.DataFrame(
        {
            "user_id": data.users.take(data.owners),
            "item_id": data.items.take(data.sequence - 1),
            "timestamp": np.arange(len(data.sequence), dtype=np.float64),
        }
    )
