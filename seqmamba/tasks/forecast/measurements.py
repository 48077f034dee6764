"""What forecasting costs: ratios to the bare network in one process, and memory out of core."""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from seqmamba.datasets.series.stream import LARGE
from seqmamba.datasets.simulate.panels import panel as simulated
from seqmamba.tasks.forecast.estimator import SMambaForecaster
from seqmamba.tasks.forecast.reading.table import read_table, scaling_of, seen_codes, windows
from seqmamba.train.callbacks import Callback, State
from seqmamba.train.distributed import LossStep
from seqmamba.train.loop import run
from seqmamba.train.optim import make_optimizer

__all__ = ["bench"]


def bench(*, repeats: int = 50, rows: int = 0, series: int = 10_000) -> pl.DataFrame:
    """Measure predict and a training step against the bare network, and memory out of core.

    Parameters
    ----------
    repeats : int
        Calls per figure; the median counts.
    rows : int
        Rows of a simulated Parquet file to fit one epoch on and to forecast; 0 = leave it out. Run
        it in a process of its own: memory is the peak since the start.
    series : int
        Series of that file.

    Returns
    -------
    polars DataFrame
        what, milliseconds (or mebibytes), ratio to the bare network, limit.
    """
    found = [*_predict_cost(repeats), *_step_cost(repeats)]
    if rows:
        found += _out_of_core(rows, series)
    schema = {"what": pl.String, "value": pl.Float64, "unit": pl.String}
    return pl.DataFrame(found, schema={**schema, "ratio": pl.Float64, "limit": pl.String})


def _row(what: str, value: float, unit: str, ratio: float | None, limit: str) -> dict[str, Any]:
    return {"what": what, "value": value, "unit": unit, "ratio": ratio, "limit": limit}


def _median_ms(call: Callable[[], Any], repeats: int) -> float:
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1e3


def _fitted() -> tuple[SMambaForecaster, pl.DataFrame]:
    """Return an untrained forecaster of the ETT size on seven series, and its last window."""
    table = simulated(n_series=7, n_steps=1_000, seed=0)
    wide = pl.from_pandas(table.pivot(index="ds", columns="unique_id", values="y").reset_index())
    model = SMambaForecaster(h=96, input_size=96, max_epochs=0, anchor=None, random_state=0)
    return model.fit(wide), wide.tail(96)


def _predict_cost(repeats: int) -> list[dict[str, Any]]:
    model, last = _fitted()
    panel = read_table(model, last).panel
    scaled = scaling_of(model).apply(panel, seen_codes(model, panel))
    last_window = windows(
        model, scaled, first=panel.lengths, count=np.ones(1, np.int64), has_targets=False
    )
    batch = last_window.batch(np.arange(1))

    def bare() -> Any:
        with torch.inference_mode():
            return model.net_(batch)

    network = _median_ms(bare, repeats)
    rows = [_row("bare forward pass, 7 series", network, "ms", 1.0, "")]
    forms: dict[str, Any] = {"polars": last, "pandas": last.to_pandas()}
    for name, table in forms.items():
        cost = _median_ms(partial(model.predict, table), repeats)
        rows.append(_row(f"predict, {name}", cost, "ms", cost / network, "3x, 5 ms"))
    return rows


def _step_cost(repeats: int) -> list[dict[str, Any]]:
    model, _ = _fitted()
    table = simulated(n_series=7, n_steps=1_000, seed=0)
    panel = read_table(model, table).panel
    samples = windows(model, scaling_of(model).apply(panel, np.arange(7)))
    batch = samples.batch(np.arange(model.batch_size))
    step = LossStep(model.net_.train(), model._loss)
    optimizer = make_optimizer(model.net_, "adamw", 1e-4, 0.0)

    def bare() -> None:
        optimizer.zero_grad(set_to_none=True)
        step(batch).backward()
        optimizer.step()

    network = _median_ms(bare, repeats)
    clock = _Clock()
    n_epochs = -(-repeats // (len(samples) // model.batch_size))
    settings = replace(model._settings(None, None, len(samples)), max_epochs=n_epochs)
    run(model.net_, model._loss, samples, None, settings=settings, callbacks=(clock,), seed=0)
    whole = float(np.median(np.diff(clock.times))) * 1e3
    return [
        _row("bare training step, 32 windows", network, "ms", 1.0, ""),
        _row("training step of fit", whole, "ms", whole / network, "1.3x"),
    ]


class _Clock(Callback):
    """Note the time after each step."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step(self, state: State) -> None:
        self.times.append(time.perf_counter())


def _out_of_core(rows: int, series: int) -> list[dict[str, Any]]:
    """Fit one epoch of drawn windows and forecast every series, from a Parquet file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.parquet"
        _write_large(path, rows, series)
        before = _peak_mib()
        model = SMambaForecaster(
            h=24, input_size=96, grouping="each", d_model=64, max_epochs=1, random_state=0,
            windows_per_epoch=20_000, batch_size=256,
        )  # fmt: skip
        started = time.perf_counter()
        model.fit(path)
        fitted = time.perf_counter()
        answer = model.predict(path)
        done = time.perf_counter()
    streamed = "streamed" if rows >= LARGE else "in memory"
    return [
        _row(f"fit, {rows:,} rows ({streamed})", (fitted - started) * 1e3, "ms", None, ""),
        _row(f"predict, {answer.height:,} rows", (done - fitted) * 1e3, "ms", None, ""),
        _row("peak memory before", before, "MiB", None, ""),
        _row("peak memory", _peak_mib(), "MiB", None, "2048 MiB"),
    ]


def _write_large(path: Path, rows: int, series: int) -> None:
    """Write equal parts of seasonal series, a few hundred at a time."""
    import pyarrow.parquet as parquet  # only here: writes row group by row group

    length, random = rows // series, np.random.default_rng(0)
    hours = np.arange(length)
    stamps = pl.Series(hours * 3_600_000_000 + 1_577_836_800_000_000).cast(pl.Datetime("us"))
    writer = None
    for start in range(0, series, 200):
        n = min(200, series - start)
        phase = random.uniform(0, 24, (n, 1))
        values = 10 + np.sin(2 * np.pi * (hours - phase) / 24) + random.normal(0, 0.3, (n, length))
        names = np.repeat([f"s{start + k:06d}" for k in range(n)], length)
        part = pl.DataFrame(
            {"unique_id": names, "ds": pl.concat([stamps] * n), "y": values.reshape(-1)}
        ).to_arrow()
        writer = writer or parquet.ParquetWriter(path, part.schema)
        writer.write_table(part)
    assert writer is not None
    writer.close()


def _peak_mib() -> float:
    try:
        import resource  # not on Windows
    except ImportError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
