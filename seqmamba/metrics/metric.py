"""A metric: a function on arrays with its better direction and unit."""

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Metric", "skill"]


@dataclass(frozen=True)
class Metric:
    """A function ``(truth, prediction) -> float`` and how to read its value."""

    function: Callable[..., float]
    greater_is_better: bool = False
    unit: str = ""


def skill(value: float, baseline: float, metric: Metric, best: float = 1.0) -> float:
    """Return how much of the baseline's distance to perfection a model removes.

    Errors: ``1 - value / baseline``. Scores: ``(value - baseline) / (best - baseline)``.
    1 is perfect, 0 the baseline, below 0 worse than it; NaN if the baseline is perfect.
    """
    distance = (best - baseline) if metric.greater_is_better else baseline
    if distance == 0:
        return float("nan")
    gain = (value - baseline) if metric.greater_is_better else (baseline - value)
    return float(gain / distance)
