"""A table of scores: each metric beside the best constant in hindsight."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.errors import ConfigError
from seqmamba.metrics.metric import Metric, skill
from seqmamba.params import nearest

__all__ = ["named", "score_table"]


def named(names: Sequence[str] | None, known: Mapping[str, Metric]) -> Mapping[str, Metric]:
    """Pick metrics by name; None = all.

    Raises
    ------
    ConfigError
        A name is unknown; the nearest known one is proposed.
    """
    if names is None:
        return known
    for name in names:
        if name not in known:
            listed = ", ".join(known)
            raise ConfigError(f"no metric {name!r}; known: {listed}.{nearest(name, known)}")
    return {name: known[name] for name in names}


def score_table(truth: Any, predicted: Any, metrics: Mapping[str, Metric]) -> pl.DataFrame:
    """Return one row per metric: metric, value, baseline, skill.

    The baseline is the best constant in hindsight: the mean, or the most frequent class.

    Parameters
    ----------
    truth, predicted : array (n, ...)
    metrics : mapping of str to Metric

    Examples
    --------
    >>> absolute = Metric(lambda truth, predicted: abs(truth - predicted).mean())
    >>> score_table([0.0, 2.0], [0.5, 1.5], {"mae": absolute}).row(0)
    ('mae', 0.5, 1.0, 0.5)
    """
    true, answers = np.asarray(truth), np.asarray(predicted)
    constant = np.full_like(answers, _best_constant(true))
    rows = []
    for name, metric in metrics.items():
        value = float(metric.function(true, answers))
        baseline = float(metric.function(true, constant))
        row = {"metric": name, "value": value, "baseline": baseline}
        rows.append({**row, "skill": skill(value, baseline, metric)})
    return pl.DataFrame(rows)


def _best_constant(truth: NDArray[Any]) -> Any:
    if np.issubdtype(truth.dtype, np.floating):
        return truth.mean(axis=0)
    values, counts = np.unique(truth, return_counts=True)
    return values[counts.argmax()]
