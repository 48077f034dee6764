"""Hyper-parameter search over any estimator of the registry, with optuna."""

from seqmamba.sweeps.recover import recover
from seqmamba.sweeps.result import SweepResult
from seqmamba.sweeps.space import Space
from seqmamba.sweeps.study import sweep

__all__ = ["Space", "SweepResult", "recover", "sweep"]
