"""Published settings re-run: our errors beside the paper's and the cheap baselines'.

Protocol: forecasting specification, 5 to 7: outer-standardised scale, every test window (stride
1), every step and series; scaler and early stopping see training and validation rows only.
"""

import csv
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import nn

from seqmamba import storage
from seqmamba.datasets.cards import card, load
from seqmamba.datasets.windows import WindowSamples
from seqmamba.errors import ConfigError
from seqmamba.params import nearest, params_of
from seqmamba.tasks.forecast.answers.scores import fitted_baselines
from seqmamba.tasks.forecast.estimator import SMambaForecaster
from seqmamba.tasks.forecast.measurements import bench
from seqmamba.tasks.forecast.reading.table import read_table, scaling_of, seen_codes, windows

__all__ = ["Parts", "bench", "cut_parts", "run_recipe", "scaled_errors"]

FIRST_SEED = 2023  # that of the released scripts
PAPER, DEFAULT = "paper (anchor=None)", "default (anchor=auto)"
SETTINGS = (PAPER, DEFAULT)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """A table cut at the borders of the literature.

    Parameters
    ----------
    train, valid, test : DataFrame
        With context, ``train`` holds the validation rows too, and ``test`` the look-back before.
    n_valid : int
        Validation rows at the end of ``train``; 0 = ``valid`` is a table of its own.
    """

    train: pl.DataFrame
    valid: pl.DataFrame | None
    test: pl.DataFrame
    n_valid: int


def cut_parts(table: pl.DataFrame, borders: Mapping[str, Any], input_size: int) -> Parts:
    """Cut a table at the borders of a data card."""
    train, valid, test = (int(borders[name]) for name in ("train", "valid", "test"))
    if borders.get("context", True):
        end = train + valid
        return Parts(table[:end], None, table[end - input_size : end + test], valid)
    return Parts(
        table[:train], table[train : train + valid], table[train + valid : train + valid + test], 0
    )


def run_recipe(
    recipe: Mapping[str, Any],
    data_dir: str | Path | None = None,
    seeds: int = 3,
    settings: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Train a published setting and our defaults on its data, and score the test part.

    "paper" is the recipe as it stands; "default" takes what concerns the data from it (h,
    input_size, time features, scaler) and every other parameter from the estimator.

    Parameters
    ----------
    recipe : mapping
        Blocks of a file in ``tasks/forecast/``; may hold its ``name``, such as ``etth1-96``.
    data_dir : path or None
        Folder of the data files; None = the data cache.
    seeds : int
        Runs per setting.
    settings : sequence of str or None
        Some of ``"paper (anchor=None)"``, ``"default (anchor=auto)"``; None = both.

    Returns
    -------
    polars DataFrame
        One row per model: model, mse, mse_sd, mae, mae_sd, seeds, seconds (of one fit). The
        paper's row and the baselines have no deviation.

    Raises
    ------
    ConfigError
        The recipe names no card, or a parameter that does not exist.
    DataError, FileNotFoundError
        The data are not those of the card.
    """
    params = _params(recipe)
    described = card(recipe["data"]["card"])
    table = _in_file_order(load(described.name, data_dir), described.columns.get("time"))
    parts = cut_parts(table, described.borders, params["input_size"])
    name = recipe.get("name", f"{described.name}-{params['h']}")
    rows = _paper_row(f"forecast/{name}")
    chosen = list(SETTINGS) if settings is None else list(settings)
    model = None
    for setting in chosen:
        errors, seconds = [], []
        for seed in range(FIRST_SEED, FIRST_SEED + seeds):
            started = time.perf_counter()
            used = params if setting == PAPER else _of_data(params)
            model = _fit({**used, "random_state": seed}, parts)
            seconds.append(time.perf_counter() - started)
            errors.append(scaled_errors(model, model.net_, test_windows(model, parts.test)))
            log.info("%s, %s, seed %d: mse %.4f, mae %.4f", name, setting, seed, *errors[-1])
        rows.append(_row(setting, errors, float(np.mean(seconds))))
    if model is None:
        model = _fit({**_of_data(params), "max_epochs": 0}, parts)
    samples = test_windows(model, parts.test)
    for label, baseline in fitted_baselines(model).items():
        rows.append(_row(label, [scaled_errors(model, baseline, samples)], None))
    return pl.DataFrame(rows, infer_schema_length=None)


def _in_file_order(table: pl.DataFrame, time: str | None) -> pl.DataFrame:
    """Rename the series so that the network reads them in the order of the file, as the paper."""
    values = [name for name in table.columns if name != time]
    return table.rename({name: f"{k:04d} {name}" for k, name in enumerate(values)})


def test_windows(model: SMambaForecaster, table: pl.DataFrame) -> WindowSamples:
    """Return all windows of a test table, scaled as the model's training part."""
    panel = read_table(model, table).panel
    return windows(model, scaling_of(model).apply(panel, seen_codes(model, panel)))


def scaled_errors(
    model: SMambaForecaster, net: nn.Module, samples: WindowSamples
) -> tuple[float, float]:
    """Return MSE and MAE on the scaled series over all windows, whatever the batch size."""
    device = next(model.net_.parameters()).device
    squared, absolute, count = 0.0, 0.0, 0
    with torch.inference_mode():
        for start in range(0, len(samples), 256):
            indices = np.arange(start, min(start + 256, len(samples)))
            batch = samples.batch(indices).to(device)
            assert batch.y is not None
            error = (net.to(device)(batch) - batch.y).double()
            squared += float(error.square().sum())
            absolute += float(error.abs().sum())
            count += error.numel()
    return squared / count, absolute / count


def _fit(params: Mapping[str, Any], parts: Parts) -> SMambaForecaster:
    model = SMambaForecaster(**params)
    if parts.valid is None:
        model.set_params(val_size=parts.n_valid)
        return model.fit(parts.train)
    return model.fit(parts.train, eval_set=parts.valid)


def _params(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a recipe; a wide table of one problem."""
    if "card" not in recipe.get("data", {}):
        raise ConfigError("a recipe to benchmark needs the card of its data: data: {card: etth1}.")
    known = params_of(SMambaForecaster)
    found = {"input_size": 96, **recipe.get("params", {}), **recipe.get("train", {})}
    for key in found:
        if key not in known:
            raise ConfigError(f"unknown key {key!r} in the recipe.{nearest(key, known)}")
    return {**found, "grouping": "all"}


def _of_data(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that concern the data; the others stay at their defaults."""
    declared = params_of(SMambaForecaster)
    return {name: value for name, value in params.items() if declared[name].group == "data"}


def _paper_row(recipe: str) -> list[dict[str, Any]]:
    """Return the paper's own row, from the table of scores."""
    found = {}
    path = storage.share("tasks", "scores.csv")
    if path.is_file():
        with open(path, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row["recipe"] == recipe and row["paper"]:
                    found[row["metric"]] = float(row["paper"])
    return [{"model": "paper, printed", **found}] if found else []


def _row(
    label: str, errors: Sequence[tuple[float, float]], seconds: float | None
) -> dict[str, Any]:
    mse, mae = np.array(errors).T
    several = len(errors) > 1
    return {
        "model": label,
        "mse": float(mse.mean()),
        "mse_sd": float(mse.std(ddof=1)) if several else None,
        "mae": float(mae.mean()),
        "mae_sd": float(mae.std(ddof=1)) if several else None,
        "seeds": len(errors) if seconds is not None else None,
        "seconds": seconds,
    }
