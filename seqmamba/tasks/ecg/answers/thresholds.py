"""From which probability on a class is answered: tuned per class on the validation part."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seqmamba.errors import ConfigError
from seqmamba.params import nearest

__all__ = ["FEW_POSITIVES", "ThresholdName", "check_thresholds", "tune_thresholds"]

ThresholdName = Literal["f1", "youden", "half"]
Floats = NDArray[np.float64]
FEW_POSITIVES = 5
NAMES = ("f1", "youden", "half")


def check_thresholds(wanted: Any, classes: Sequence[str]) -> None:
    """Raise :class:`ConfigError` for a rule or a class that does not exist."""
    rules = {"": wanted} if isinstance(wanted, str) else dict(wanted)
    for name, rule in rules.items():
        if name and name not in classes:
            hint = nearest(name, classes)
            raise ConfigError(f"thresholds names class {name!r}, which is not there.{hint}")
        pair = isinstance(rule, tuple | list) and len(rule) == 2 and rule[0] == "sens"
        if not (rule in NAMES or (pair and 0 < float(rule[1]) <= 1)):
            raise ConfigError(
                f"thresholds must be 'f1', 'youden', 'half' or ('sens', share); got {rule!r}."
            )


def tune_thresholds(
    truth: NDArray[Any],
    probabilities: NDArray[Any],
    wanted: str | Mapping[str, Any],
    classes: Sequence[str],
) -> tuple[Floats, list[str]]:
    """Return a threshold per class and the classes that had too few positives for their own.

    Parameters
    ----------
    truth, probabilities : array (n, K)
    wanted : "f1", "youden", "half", or mapping of class to these or to ("sens", share)
        Largest F1, largest sensitivity + specificity, 0.5, or a sensitivity to be reached; classes
        that a mapping leaves out take "f1".
    classes : sequence of str

    Returns
    -------
    thresholds : array (K,)
    few : list of str
        Classes with fewer than 5 positives; they take the threshold of all classes together.
    """
    rules = [wanted if isinstance(wanted, str) else wanted.get(name, "f1") for name in classes]
    pooled: dict[str, float] = {}
    thresholds, few = np.full(len(classes), 0.5), []
    for k, (name, rule) in enumerate(zip(classes, rules, strict=True)):
        if rule == "half":
            continue
        known = ~np.isnan(truth[:, k])
        y, p = truth[known, k], probabilities[known, k]
        if y.sum() >= FEW_POSITIVES and y.sum() < len(y):
            thresholds[k] = _best(y, p, rule)
            continue
        few.append(name)
        kind = rule if isinstance(rule, str) else "f1"
        if kind not in pooled:
            everywhere = ~np.isnan(truth)
            pooled[kind] = _best(truth[everywhere], probabilities[everywhere], kind)
        thresholds[k] = pooled[kind]
    return thresholds, few


def _best(y: Floats, p: Floats, rule: Any) -> float:
    """Return the threshold that is best among the middles between neighbouring probabilities."""
    if not len(y) or y.sum() in (0, len(y)):
        return 0.5
    order = np.argsort(-p, kind="stable")
    y, p = y[order], p[order]
    hits, answered = np.cumsum(y), np.arange(1, len(y) + 1)
    if isinstance(rule, str) and rule == "f1":
        value = 2 * hits / (answered + y.sum())
    elif isinstance(rule, str):
        value = hits / y.sum() - (answered - hits) / (len(y) - y.sum())
    else:
        reached = hits >= float(rule[1]) * y.sum() - 1e-12
        value = np.where(reached, -answered.astype(float), -np.inf)
    last = np.append(p[1:] < p[:-1], True)  # a threshold cannot part equal probabilities
    best = int(np.argmax(np.where(last, value, -np.inf)))
    below = p[best + 1] if best + 1 < len(p) else 0.0
    return float((p[best] + below) / 2)
