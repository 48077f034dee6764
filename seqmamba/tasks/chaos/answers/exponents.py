"""Lyapunov exponents of the fitted model itself, and the dimension that follows from them."""

from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from seqmamba.datasets.samples import Batch
from seqmamba.tasks.chaos.maps.anchors import MapAnchor
from seqmamba.train.anchor import Anchored

if TYPE_CHECKING:
    from seqmamba.tasks.chaos.estimator import PhyxMambaForecaster

__all__ = ["kaplan_yorke", "lyapunov_spectrum"]

Array = NDArray[np.float64]

DISTANCE = 1e-5  # standard deviations; far above the rounding of a float32 network
STARTS = 16  # orbits that are followed at once
SETTLE = 5.0  # Lyapunov times before growth counts: random deviations turn only so fast


@torch.inference_mode()
def lyapunov_spectrum(
    model: "PhyxMambaForecaster", *, count: int = 1, duration: float = 500.0
) -> Array:
    """Return the largest exponents of the model's map, per unit of time.

    Small deviations of the whole window are rolled on beside it and made orthogonal after each
    patch (Benettin et al., Meccanica 15 (1980) 9).

    Parameters
    ----------
    count : int
        Exponents.
    duration : float
        Lyapunov times in all, over several orbits, besides those in which deviations settle.

    Returns
    -------
    array (count,)
        Falling.
    """
    patch = model.patch_
    module, keep = _map_and_rows(model)
    per_time = model.lyapunov_time_ / model.dt_ / patch
    n_before = int(np.ceil(SETTLE * per_time))
    n_steps = n_before + max(int(np.ceil(duration * per_time / STARTS)), 20)
    base = _settled(model, keep)  # (S, keep, V)
    s, _, channels = base.shape
    generator = torch.Generator().manual_seed(0)
    apart = torch.randn(s, count, keep * channels, generator=generator, dtype=torch.float64)
    apart = torch.linalg.qr(apart.transpose(1, 2))[0].transpose(1, 2)
    growth = []
    for _ in range(n_steps):
        moved = base.unsqueeze(1) + DISTANCE * apart.reshape(s, count, keep, channels)
        windows = torch.cat([base.unsqueeze(1), moved], dim=1).flatten(0, 1)
        ahead = module(Batch(x=windows))[:, -1]
        windows = torch.cat([windows, ahead], dim=1)[:, -keep:]
        windows = windows.reshape(s, count + 1, keep, channels)
        base = windows[:, 0].clamp(-model._bound(), model._bound())
        difference = ((windows[:, 1:] - windows[:, :1]) / DISTANCE).flatten(2)
        q, r = torch.linalg.qr(difference.transpose(1, 2))
        apart = q.transpose(1, 2)
        growth.append(r.diagonal(dim1=1, dim2=2).abs().clamp_min(1e-300).log().mean(dim=0))
    counted = torch.stack(growth[n_before:]).mean(dim=0)
    found: Array = counted.numpy() / (patch * model.dt_)
    return np.sort(found)[::-1]


def kaplan_yorke(exponents: Array) -> float:
    """Return the Kaplan-Yorke dimension of a falling spectrum.

    Examples
    --------
    >>> round(kaplan_yorke(np.array([0.9, 0.0, -14.57])), 3)
    2.062
    """
    total = np.cumsum(exponents)
    below = np.flatnonzero(total < 0)
    if not len(below):
        return float(len(exponents))
    k = int(below[0])
    if k == 0:
        return 0.0
    return float(k + total[k - 1] / abs(exponents[k]))


def _map_and_rows(model: "PhyxMambaForecaster") -> tuple[nn.Module, int]:
    """Return the map and how many rows it reads: a contracting direction drowns in older ones."""
    if isinstance(model.net_, Anchored) and model.net_.is_silent:
        anchor = cast(MapAnchor, model.net_.anchor)
        return anchor, anchor.map.reach
    return model.net_, model._shape.lead + model._shape.context


def _settled(model: "PhyxMambaForecaster", keep: int) -> torch.Tensor:
    """Return windows along one rollout of the model, on its own attractor."""
    spacing = max(int(model.lyapunov_time_ / model.dt_), keep)
    start = model._scale.apply(model.context_)[None]
    path = model._roll(model.net_, start, spacing * (STARTS + 2)).path[0]
    ends = len(path) - spacing * np.arange(STARTS)
    return torch.from_numpy(np.stack([path[end - keep : end] for end in ends]))
