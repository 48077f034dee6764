"""Speed and memory of the recommender, on one thread, beside RecBole where it is installed."""

import resource
import time
import tracemalloc
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
import polars as pl
import torch

from seqmamba.datasets.interactions.table import read_interactions
from seqmamba.tasks.recommend.data import SequenceSamples
from seqmamba.tasks.recommend.estimator import SIGMARecommender
from seqmamba.tasks.recommend.report import rank_all
from seqmamba.tasks.recommend.serve.topk import top_items
from seqmamba.tasks.recommend.splits import Queries

__all__ = ["bench"]

PEER_LENGTH, PEER_BATCH = 50, 2048  # RecBole's defaults
Row = dict[str, Any]


def bench(data: str | None = None, *, time_col: str = "timestamp", steps: int = 5) -> pl.DataFrame:
    """Measure reading, training, ranking, streaming and top-k on one thread.

    Where RecBole is installed, its SASRec stands beside SIGMA in RecBole's own trainer: equal
    width, batch, length and protocol.

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
        rows = [*_reading(), *_training(source, time_col, steps), *_ranking(source, time_col)]
        rows += [*_streaming(source, time_col), *_top_items()]
        if find_spec("recbole"):
            rows += _peers(source, time_col, steps)
    finally:
        torch.set_num_threads(threads)
    return pl.DataFrame(rows, schema={"what": pl.String, "value": pl.Float64, "unit": pl.String})


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
        model = _untrained(source, time_col, targets=targets)
        samples = model._read(source, None, True)
        value = _epoch_seconds(model, samples, steps)
        rows.append({"what": f"training epoch, targets={targets}", "value": value, "unit": "s"})
    ratio = rows[0]["value"] / rows[1]["value"]
    rows.append({"what": "tail over last", "value": ratio, "unit": "times faster"})
    return rows


def _ranking(source: Any, time_col: str) -> list[Row]:
    model = _untrained(source, time_col, max_len=PEER_LENGTH)
    queries = Queries(*model.asked_)
    started = time.process_time()
    rank_all(
        {"model": model.net_},
        model.log_,
        queries,
        max_len=model.max_len_,
        device="cpu",
        seen=("keep",),
    )
    users = len(queries) / (time.process_time() - started)
    return [{"what": "full ranking, max_len=50", "value": users, "unit": "users/s"}]


def _streaming(source: Any, time_col: str, n_events: int = 200) -> list[Row]:
    model = _untrained(source, time_col, preset="mamba4rec")
    items = model.item_ids_.values[:50]
    state = model.start([])
    started = time.process_time()
    for event in range(n_events):
        model.step(state, items[event % len(items)])
    seconds = (time.process_time() - started) / n_events
    return [{"what": "one event of a stream, mamba4rec", "value": 1e3 * seconds, "unit": "ms"}]


def _peers(source: Any, time_col: str, steps: int) -> list[Row]:
    # RecBole is an optional package
    from seqmamba.tasks.recommend.benchmark.peers import peer_speed

    data = read_interactions(source, time_col=time_col)
    rows = []
    for name in ("SASRec", "SIGMA"):
        epoch, users = peer_speed(name, data, PEER_LENGTH, PEER_BATCH, steps)
        rows.append({"what": f"RecBole's epoch, {name}", "value": epoch, "unit": "s"})
        rows.append({"what": f"RecBole's ranking, {name}", "value": users, "unit": "users/s"})
    return rows


def _untrained(source: Any, time_col: str, **params: Any) -> SIGMARecommender:
    return SIGMARecommender(
        time_col=time_col, anchor=None, max_epochs=0, random_state=0, **params
    ).fit(source)


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
