"""Simulated data, one function per task: small, seeded, without a file.

Functions resolve on first use, so that no simulator loads what only another one needs. A module
must not have the name of a function here: importing it would hide the function.
"""

from importlib import import_module
from typing import Any

__all__ = ["dancers", "detections", "ecg", "interactions", "panel"]

_HOMES = {
    "dancers": "seqmamba.datasets.simulate.dance",
    "detections": "seqmamba.datasets.simulate.detector",
    "ecg": "seqmamba.datasets.simulate.heart",
    "interactions": "seqmamba.datasets.simulate.shopping",
    "panel": "seqmamba.datasets.simulate.panels",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
