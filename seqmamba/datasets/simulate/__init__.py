"""Simulated data, one function per task: small, seeded, without a file.

Functions resolve on first use, so that no simulator loads what only another one needs. A module
must not have the name of a function here: importing it would hide the function.
"""

from importlib import import_module
from typing import Any

__all__ = [
    "bags",
    "dancers",
    "detections",
    "double_pendulum",
    "ecg",
    "interactions",
    "kuramoto_sivashinsky",
    "lorenz63",
    "lorenz96",
    "mackey_glass",
    "panel",
    "rossler",
]

_HOMES = {
    "bags": "seqmamba.datasets.simulate.instances",
    "dancers": "seqmamba.datasets.simulate.dance",
    "detections": "seqmamba.datasets.simulate.detector",
    "double_pendulum": "seqmamba.datasets.simulate.chaotic.orbits",
    "ecg": "seqmamba.datasets.simulate.heart",
    "interactions": "seqmamba.datasets.simulate.shopping",
    "kuramoto_sivashinsky": "seqmamba.datasets.simulate.chaotic.orbits",
    "lorenz63": "seqmamba.datasets.simulate.chaotic.orbits",
    "lorenz96": "seqmamba.datasets.simulate.chaotic.orbits",
    "mackey_glass": "seqmamba.datasets.simulate.chaotic.orbits",
    "panel": "seqmamba.datasets.simulate.panels",
    "rossler": "seqmamba.datasets.simulate.chaotic.orbits",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
