"""The paper's protocol re-run on our own simulations, and the speed of rollouts.

Chaotic-forecasting specification, 5.1 and 7: one long orbit to train on, 100 others to test, 300
rows forecast from the 30 before them (and the delayed rows that a model reads before those).
"""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from seqmamba.datasets.cards import card, check
from seqmamba.datasets.samples import Batch
from seqmamba.datasets.simulate.chaotic.orbits import orbits
from seqmamba.datasets.simulate.chaotic.systems import get_system
from seqmamba.errors import ConfigError
from seqmamba.metrics.chaos import valid_steps, valid_steps_smape
from seqmamba.params import nearest, params_of
from seqmamba.tasks.chaos.answers.scores import Paths, rollouts
from seqmamba.tasks.chaos.estimator import PhyxMambaForecaster

__all__ = ["bench", "run_recipe"]

Array = NDArray[np.float64]

TRAIN_ROWS = 29_550  # released generator
TEST_ORBITS, H = 100, 300
ROOM = 60  # rows before the forecast: the context, and what delays reach back to
DATA_KEYS = ("card", "system", "clock", "rows", "noise", "channels", "seed", "h", "long")


def run_recipe(blocks: Mapping[str, Any], data_dir: str | Path | None, seeds: int) -> pl.DataFrame:
    """Fit the recipe, and the default where the recipe is the paper's, and score rollouts.

    Parameters
    ----------
    blocks : mapping
        ``data``: ``system`` (simulated, on the paper's ``clock: nominal`` or our own) or ``card``
        (a reference trajectory in ``data_dir``); ``rows``, ``noise`` (standard deviations on the
        training rows and contexts; the truth stays clean), ``channels`` (observed ones), ``h``
        (rows of a scored rollout), ``long`` (rows of 100 rollouts that must not diverge).
        ``params`` and ``train``: of the estimator.
    data_dir : path or None
        Folder of the reference trajectories.
    seeds : int
        Fits, each with noise of its own.

    Returns
    -------
    DataFrame
        One row per model: mean valid times ``vpt`` (in true Lyapunov times, errors in standard
        deviations) and ``vpt_smape`` (in the paper's clock and metric), the difference of ``vpt``
        to NG-RC and to RFF on the same starts with 95 % bootstrap bounds, diverged rollouts and
        long ones, the largest exponent of the fitted model over the true one, CPU seconds of a fit.
    """
    data = blocks.get("data", {})
    for key in data:
        if key not in DATA_KEYS:
            raise ConfigError(f"unknown key {key!r} in data.{nearest(key, DATA_KEYS)}")
    params = {**blocks.get("params", {}), **blocks.get("train", {})}
    known = params_of(PhyxMambaForecaster)
    for key in params:
        if key not in known:
            raise ConfigError(f"unknown key {key!r} in the recipe.{nearest(key, known)}")
    train, test, clock = _data(data, data_dir)
    variants = {"recipe": params}
    if params.get("anchor", "auto") is None:
        own = {k: v for k, v in params.items() if known[k].group == "data"}
        variants["default"] = own
    found: dict[str, list[dict[str, Array]]] = {}
    for seed in range(seeds):
        for label, chosen in variants.items():
            for name, figures in _scored(chosen, label, train, test, clock, data, seed):
                found.setdefault(name, []).append(figures)
    return pl.DataFrame([_row(name, runs, found) for name, runs in found.items()])


def _data(
    data: Mapping[str, Any], data_dir: str | Path | None
) -> tuple[Array, Array, dict[str, float]]:
    """Return training rows (n, V), test orbits (M, n, V), and dt, nominal and true LT."""
    if "card" in data:
        if data_dir is None:
            raise ConfigError("a recipe with a card needs --data-dir, the folder of its file.")
        with np.load(check(card(data["card"]), data_dir)[0]) as file:
            train, test = file["train"].astype(float), file["test"].astype(float)
            dt, exponent = float(file["dt"]), float(file["lyap"])
        clock = {"dt": dt, "nominal": 1 / exponent, "true": 1 / exponent}
    elif "system" in data:
        name, seed = data["system"], int(data.get("seed", 0))
        system = get_system(name)
        nominal = system.nominal or system.lyapunov
        dt = 1 / (30 * nominal) if data.get("clock") == "nominal" else system.dt
        train = orbits(name, int(data.get("rows", TRAIN_ROWS)), dt=dt, seed=seed)[0]
        test = orbits(name, ROOM + int(data.get("h", H)), n=TEST_ORBITS, dt=dt, seed=seed + 1)
        clock = {"dt": dt, "nominal": 1 / nominal, "true": system.lyapunov_time}
    else:
        raise ConfigError("a chaos recipe needs data.system or data.card.")
    chosen = data.get("channels")
    if chosen is not None:
        train, test = train[:, chosen], test[..., chosen]
    return train, test, clock


def _scored(
    params: Mapping[str, Any],
    label: str,
    train: Array,
    test: Array,
    clock: Mapping[str, float],
    data: Mapping[str, Any],
    seed: int,
) -> Iterator[tuple[str, dict[str, Array]]]:
    """Fit once; yield the figures of the model and, beside the last one, of the baselines."""
    random = np.random.default_rng(seed)
    size = float(data.get("noise", 0.0)) * train.std(axis=0)
    noisy = train + size * random.standard_normal(train.shape)
    seen = test + size * random.standard_normal(test.shape)
    settings = {"random_state": seed, **params}
    model = PhyxMambaForecaster(**settings, dt=clock["dt"], lyapunov_time=clock["true"])
    started = time.process_time()
    model.fit(noisy)
    seconds = time.process_time() - started
    h = int(data.get("h", H))
    starts = len(test) if test.shape[1] <= ROOM + h else 2 * TEST_ORBITS
    paths = rollouts(model, seen, test, h, starts)
    whole = {
        "seconds": np.array([seconds]),
        "exponent": model.lyapunov_exponents() * clock["true"],
        "diverged_long": _lost(model, paths, int(data.get("long", 0))),
    }
    yield label, {**_figures(model, paths, "value", clock), **whole}
    if label == "recipe" and params.get("anchor", "auto") is None:
        return  # the default's baselines are the same
    for name in ("anchor", "ngrc", "rff", "persistence", "floor"):
        if name in paths.forecasts:
            yield name, _figures(model, paths, name, clock)


def _lost(model: PhyxMambaForecaster, paths: Paths, rows: int) -> Array:
    """Return how many of 100 long rollouts leave the bounds: (1,)."""
    context = paths.context[np.linspace(0, len(paths.context) - 1, TEST_ORBITS).astype(int)]
    lost = model._roll(model.net_, context, rows).diverged if rows else np.zeros(0)
    return np.array([float(np.sum(lost))])


def _figures(
    model: PhyxMambaForecaster, paths: Paths, name: str, clock: Mapping[str, float]
) -> dict[str, Array]:
    path, dt = paths.forecasts[name], clock["dt"]
    return {
        "vpt": valid_steps(paths.truth, path, model.spread_) * dt / clock["true"],
        "vpt_smape": valid_steps_smape(paths.truth, path) * dt / clock["nominal"],
        "one_step": np.abs(path[:, 0] - paths.truth[:, 0]).mean(axis=1),
        "diverged": np.array([float(paths.diverged[name])]),
    }


def _row(
    name: str, runs: list[dict[str, Array]], others: Mapping[str, list[dict[str, Array]]]
) -> dict[str, Any]:
    row: dict[str, Any] = {"model": name}
    for key in ("vpt", "vpt_smape", "one_step"):
        row[key] = float(np.mean([run[key].mean() for run in runs]))
    valid = np.concatenate([run["vpt"] for run in runs])
    row["vpt_se"] = float(valid.std(ddof=1) / np.sqrt(len(valid)))
    random = np.random.default_rng(0)
    for baseline in ("ngrc", "rff"):
        gain = valid - np.concatenate([run["vpt"] for run in others[baseline]])
        drawn = gain[random.integers(len(gain), size=(2_000, len(gain)))].mean(axis=1)
        low, high = np.quantile(drawn, [0.025, 0.975])
        row |= {f"over_{baseline}": float(gain.mean()), f"over_{baseline}_low": float(low)}
        row[f"over_{baseline}_high"] = float(high)
    row["diverged"] = float(sum(run["diverged"].sum() for run in runs))
    for key in ("seconds", "exponent", "diverged_long"):
        known = [float(run[key][0]) for run in runs if key in run]
        row[key] = float(np.mean(known)) if known else None
    return row


def bench(*, steps: int = 300, rows: int = 4_000, anchor: str = "auto") -> pl.DataFrame:
    """Measure a default fit, a rollout beside its bare network calls, and 100 rollouts at once.

    Parameters
    ----------
    steps : int
        Rows per rollout.
    rows : int
        Training rows of the fit, Lorenz63.
    anchor : str
        Of the forecaster. Maps of thousands of features keep a core busy with one row, so that a
        batch of them gains less than with "ngrc".

    Returns
    -------
    DataFrame
        what, value, unit, limit.
    """
    system = get_system("lorenz63")
    x = orbits("lorenz63", rows + 3_000, seed=0)[0]
    clock: dict[str, Any] = {"dt": system.dt, "lyapunov_time": system.lyapunov_time}
    started = time.process_time()
    model = PhyxMambaForecaster(anchor=anchor, random_state=0, num_threads=1, **clock)
    model.fit(x[:rows])
    fit = time.process_time() - started
    contexts = np.stack([model._scale.apply(x[rows + 25 * i :][:44]) for i in range(100)])
    one = _median(lambda: model._roll(model.net_, contexts[:1], steps))
    together = _median(lambda: model._roll(model.net_, contexts, steps))
    window = torch.from_numpy(contexts)
    calls = -(-steps // model.patch_)
    with torch.inference_mode():
        bare = _median(lambda: model.net_(Batch(x=window))) * calls
    found = [
        (f"fit, {rows} rows", fit, "s", "60 s"),
        ("100 rollouts in one batch", together, "s", ""),
        ("over its bare network calls", together / bare, "x", "2 x"),
        ("100 rollouts one after another, over that", 100 * one / together, "x", "20 x"),
    ]
    return pl.DataFrame(found, ["what", "value", "unit", "limit"], orient="row")


def _median(call: Callable[[], Any], repeats: int = 7) -> float:
    call()
    times = []
    for _ in range(repeats):
        started = time.process_time()
        call()
        times.append(time.process_time() - started)
    return float(np.median(times))
