"""The metric of a kernel, learned: how far apart two states are for what happens next.

A map that is fitted with one metric says by its slopes which directions matter; features drawn in
the metric of their mean outer product give a better map (recursive feature machines: Radhakrishnan
et al., arXiv 2212.13881). Where channels differ in how they act (a fast and a slow one, delays) the
error of a step falls ten- to hundredfold.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqmamba.tasks.chaos.maps.ridge import RidgeMap

__all__ = ["sharpened", "widened"]

ROWS = 1_000  # at which slopes are taken, evenly drawn
FLOOR = 1e-6  # of the largest eigenvalue: no direction is lost for good


def sharpened(map_: RidgeMap, segments: Sequence[NDArray[np.float64]]) -> RidgeMap:
    """Return an unfitted map like a fitted one, whose frequencies follow the learned metric."""
    z = map_.pairs(segments)[0]
    z = z[:: max(len(z) // ROWS, 1)]
    slopes = map_.slope(z)  # (n, delays * V, V)
    metric = torch.einsum("niv,njv->ij", slopes, slopes) / len(z)
    fresh = RidgeMap(map_.setting, map_.channels)
    fresh.projection[:-1] = _root(metric) @ fresh.projection[:-1]
    return fresh


def widened(map_: RidgeMap, times: int) -> RidgeMap:
    """Return an unfitted map with so many times the features, of the same metric.

    Their frequencies are random mixtures of those that are there, and so vary alike.
    """
    n = map_.setting.n_features
    wide = RidgeMap(replace(map_.setting, n_features=times * n), map_.channels)
    random = torch.Generator().manual_seed(0)
    mixture = torch.randn(n, times * n, generator=random, dtype=torch.float64) / n**0.5
    wide.projection[:-1] = map_.projection[:-1] @ mixture
    return wide


def _root(metric: Tensor) -> Tensor:
    """Return the square root of a metric, scaled so that lengths stay as they are on average."""
    size, axes = torch.linalg.eigh(metric)
    size = size.clamp_min(FLOOR * float(size.max()))
    root: Tensor = axes @ torch.diag((size / size.mean()).sqrt()) @ axes.T
    return root
