"""The scores of a recipe: our default beside its baselines."""

import tarfile
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from seqmamba.datasets.boxes.files import read_boxes
from seqmamba.datasets.cards import card, check
from seqmamba.datasets.simulate.dance import dancers
from seqmamba.errors import ConfigError
from seqmamba.tasks.track.estimator import MotionPredictor
from seqmamba.tasks.track.measurements import bench

__all__ = ["bench", "run_recipe"]

Tables = tuple[pl.DataFrame, pl.DataFrame]


def run_recipe(blocks: Mapping[str, Any], data_dir: str | None, seeds: int) -> pl.DataFrame:
    """Fit the recipe on its training videos and score it on the others, beside its baselines.

    Returns
    -------
    DataFrame
        ``metric, value, sd, none, kalman, linear`` as of :meth:`MotionPredictor.evaluate`, with
        the standard deviation over the seeds.
    """
    train, test = _parts(blocks.get("data", {}), data_dir)
    settings = {**blocks.get("params", {}), **blocks.get("train", {})}
    tables = []
    for seed in range(seeds):
        model = MotionPredictor(**{"random_state": seed, **settings}).fit(*train)
        tables.append(model.evaluate(*test).with_columns(seed=pl.lit(seed)))
    spread = (
        pl.concat(tables)
        .group_by("metric", maintain_order=True)
        .agg(
            pl.col("value").mean(),
            pl.col("value").std().alias("sd"),
            pl.col("none", "kalman", "linear").mean(),
        )
    )
    return spread


def _parts(data: Mapping[str, Any], data_dir: str | None) -> tuple[Tables, Tables]:
    """Return (truth, detections) to learn from and to score on: simulated, or a card's videos."""
    if "card" not in data and "borders" in data:
        of = data["borders"]
        first, second = (
            dancers(of["n_sequences"], seed=of[part], kind=of["kind"])
            for part in ("train_seed", "test_seed")
        )
        return first, second
    if "card" not in data or data_dir is None:
        raise ConfigError(
            "a tracking recipe needs data.card and --data-dir, the archive's folder, or "
            "data.borders of simulated videos."
        )
    described = card(data["card"])
    with TemporaryDirectory() as folder:
        for path in check(described, data_dir):
            with tarfile.open(path) as archive:
                archive.extractall(folder, filter="data")
        (root,) = Path(folder).iterdir()
        truth, seen = read_boxes(root, "truth"), read_boxes(root, "detections")
    names = described.borders["valid_videos"]
    held_out = pl.any_horizontal(pl.col("sequence").str.starts_with(name) for name in names)
    learn = truth.filter(~held_out), seen.filter(~held_out)
    return learn, (truth.filter(held_out), seen.filter(held_out))
