"""Rollouts: the patches that a module gives are fed back, with gradients or without."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqmamba.datasets.samples import Batch

__all__ = ["Recurrent", "Rollout", "forced", "roll"]

Array = NDArray[np.float64]

AT_ONCE = 512  # starts per batch


@dataclass(frozen=True)
class Rollout:
    """Forecasts in scaled units, and which of them left the bounds.

    Parameters
    ----------
    path : array (B, h, V)
    diverged : array (B,) of bool
        Somewhere a value was cut at the bound, or was not finite.
    """

    path: Array
    diverged: NDArray[np.bool_]


class Recurrent(nn.Module, ABC):
    """A map with a state: a rollout carries it on instead of reading the context anew."""

    @abstractmethod
    def run(self, context: Tensor, h: int, bound: float) -> Tensor:
        """Return the rows behind contexts (B, n, V), cut at the bound: (B, h, V)."""


@torch.inference_mode()
def roll(net: nn.Module, context: Any, h: int, *, keep: int, bound: float = 10.0) -> Rollout:
    """Forecast ``h`` rows behind contexts, all of them at once.

    Parameters
    ----------
    net : module
        Gives (B, 1, p, V) from a batch without targets.
    context : array (B, n, V)
        Scaled.
    keep : int
        Newest rows that the module reads; older ones are forgotten.
    bound : float
        Values are cut at this many standard deviations, and the row counts as diverged.
    """
    rows = torch.as_tensor(np.asarray(context), dtype=torch.float64)
    parts = [_roll(net, part, h, keep, bound) for part in torch.split(rows, AT_ONCE)]
    path = torch.cat([p for p, _ in parts]) if parts else rows[:, :0]
    lost = torch.cat([d for _, d in parts]) if parts else torch.zeros(0, dtype=torch.bool)
    return Rollout(path.cpu().numpy(), lost.cpu().numpy())


def forced(net: nn.Module, context: Tensor, h: int, *, keep: int, bound: float = 10.0) -> Tensor:
    """Return a rollout (B, h, V) that gradients flow through, clamped at the bound."""
    window, parts, done = context, [], 0
    while done < h:
        patch = net(Batch(x=window[:, -keep:]))[:, -1].clamp(-bound, bound)
        parts.append(patch)
        window = torch.cat([window, patch], dim=1)
        done += patch.shape[1]
    return torch.cat(parts, dim=1)[:, :h]


def _roll(
    net: nn.Module, context: Tensor, h: int, keep: int, bound: float
) -> tuple[Tensor, Tensor]:
    weights = next(net.parameters(), None)
    device = context.device if weights is None else weights.device
    first = context[:, -keep:].to(device)
    n = first.shape[1]
    lost = torch.zeros(len(first), dtype=torch.bool, device=device)
    path = torch.cat([first, first.new_zeros(len(first), h, first.shape[2])], dim=1)
    if isinstance(net, Recurrent):
        path = net.run(first, h, bound)
        return path, ~(path.abs() < bound).all(dim=2).all(dim=1)
    done = 0
    while done < h:
        end = n + done
        patch = net(Batch(x=path[:, max(end - keep, 0) : end]))[:, -1].to(path.dtype)
        patch = patch[:, : h - done]
        out = ~(patch.abs() < bound)  # also what is not a number
        lost |= out.any(dim=2).any(dim=1)
        path[:, end : end + patch.shape[1]] = torch.nan_to_num(patch).clamp(-bound, bound)
        done += patch.shape[1]
    return path[:, n:], lost
