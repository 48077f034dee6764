"""Speed and memory of the recommender, and published settings re-run beside all rivals."""

from seqmamba.tasks.recommend.benchmark.recipe import run_recipe
from seqmamba.tasks.recommend.benchmark.speed import bench

__all__ = ["bench", "run_recipe"]
