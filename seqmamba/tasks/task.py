"""The description of a task, from which command line, sweep, benchmark and contracts are made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from seqmamba.metrics.metric import Metric

__all__ = ["Task"]


@dataclass(frozen=True)
class Task:
    """One task.

    Parameters
    ----------
    name : str
        The word on the command line.
    summary : str
        One line of help.
    estimator : str
        ``"module:Class"``, imported on first use.
    metrics : mapping of str to Metric
    objective : str
        Name of the metric that a sweep optimises.
    demo : str
        ``"module:function"`` giving ``(train, test)`` from ``(seed)``: small simulated data that
        ``fit`` and ``evaluate`` take, in under a second.
    verbs : mapping of str to str
        Extra command -> name of the estimator method that serves it.
    demo_params : mapping
        Parameters under which the demo trains in under a minute on one core.
    """

    name: str
    summary: str
    estimator: str
    metrics: Mapping[str, Metric]
    objective: str
    demo: str
    verbs: Mapping[str, str] = field(default_factory=dict)
    demo_params: Mapping[str, Any] = field(default_factory=dict)

    def estimator_class(self) -> type[Any]:
        """Import and return the estimator's class."""
        return _class(self.estimator)

    def class_named(self, name: str) -> type[Any] | None:
        """Import and return the estimator if that is its class's name, else None."""
        return _class(self.estimator) if self.estimator.endswith(f":{name}") else None

    def demo_data(self, seed: int = 0) -> tuple[Any, Any]:
        """Return simulated ``(train, test)`` data."""
        simulate: Callable[[int], tuple[Any, Any]] = _resolve(self.demo)
        return simulate(seed)


def _class(path: str) -> type[Any]:
    found = _resolve(path)
    assert isinstance(found, type)
    return found


def _resolve(path: str) -> Any:
    module, name = path.split(":")
    return getattr(import_module(module), name)
