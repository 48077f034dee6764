"""Mamba encoders for sequences: one shared encoder on fast scan kernels, six task heads.

Importing this package loads no torch; names resolve on first use.
"""

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqmamba.environment import info
    from seqmamba.tasks import load
    from seqmamba.tasks.chaos.estimator import PhyxMambaForecaster
    from seqmamba.tasks.ecg.estimator import ECGClassifier
    from seqmamba.tasks.forecast.estimator import SMambaForecaster
    from seqmamba.tasks.mil.estimator import MILClassifier
    from seqmamba.tasks.mil.survival import MILSurvival
    from seqmamba.tasks.recommend.estimator import SIGMARecommender
    from seqmamba.tasks.track.estimator import MotionPredictor
    from seqmamba.tasks.track.online.tracker import Tracker

__all__ = [
    "ECGClassifier",
    "MILClassifier",
    "MILSurvival",
    "MotionPredictor",
    "PhyxMambaForecaster",
    "SIGMARecommender",
    "SMambaForecaster",
    "Tracker",
    "__version__",
    "info",
    "load",
]

_HOMES = {
    "ECGClassifier": "seqmamba.tasks.ecg.estimator",
    "MILClassifier": "seqmamba.tasks.mil.estimator",
    "MILSurvival": "seqmamba.tasks.mil.survival",
    "MotionPredictor": "seqmamba.tasks.track.estimator",
    "PhyxMambaForecaster": "seqmamba.tasks.chaos.estimator",
    "SIGMARecommender": "seqmamba.tasks.recommend.estimator",
    "SMambaForecaster": "seqmamba.tasks.forecast.estimator",
    "Tracker": "seqmamba.tasks.track.online.tracker",
    "info": "seqmamba.environment",
    "load": "seqmamba.tasks",
}

try:
    __version__ = metadata.version("seqmamba")
except metadata.PackageNotFoundError:
    __version__ = "0+clone"


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'seqmamba' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
