"""A table of scores beside baselines, with bootstrap intervals."""

import math
from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.metrics.metric import Metric, bootstrap, skill

__all__ = ["score_beside"]

RESAMPLES = 200


def score_beside(
    codes: NDArray[np.int64],
    probability: NDArray[np.float64],
    baselines: Mapping[str, NDArray[np.float64]],
    metrics: Mapping[str, Metric],
) -> pl.DataFrame:
    """Return one row per metric.

    Parameters
    ----------
    codes : int array (n,)
    probability : array (n, K)
    baselines : mapping of name to array (n, K)
    metrics : mapping of name to Metric

    Returns
    -------
    DataFrame
        ``metric, value, low, high, baseline, skill`` and a column per baseline; ``baseline`` is
        the best of them, low and high are the 95 % interval by bootstrap over bags.
    """
    rows = []
    for name, metric in metrics.items():
        value = metric.function(codes, probability)
        _, low, high = bootstrap(metric.function, codes, probability, n_resamples=RESAMPLES)
        others = {k: metric.function(codes, p) for k, p in baselines.items()}
        known = [v for v in others.values() if not math.isnan(v)]
        best = max if metric.greater_is_better else min
        baseline = best(known) if known else math.nan
        row = {"metric": name, "value": value, "low": low, "high": high}
        row |= {"baseline": baseline, "skill": skill(value, baseline, metric)}
        rows.append({**row, **others})
    return pl.DataFrame(rows)
