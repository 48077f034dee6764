"""Losses on the scaled series: mean over the observed targets."""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["LossName", "forecast_loss", "pinball_loss", "window_losses"]

LossName = Literal["mse", "mae", "huber"]

_ELEMENTS: Mapping[str, Callable[..., Tensor]] = {
    "mse": functional.mse_loss,
    "mae": functional.l1_loss,
    "huber": functional.huber_loss,
}


def forecast_loss(
    name: LossName,
    output: Tensor,
    y: Tensor,
    observed: Tensor | None,
    quantiles: tuple[float, ...] | None = None,
) -> Tensor:
    """Return the mean loss of a batch: ().

    Parameters
    ----------
    output : (B, H, N), or (B, H, N, Q) with quantiles
    y : (B, H, N)
    observed : (B, H, N) bool or None
        None = all.
    quantiles : tuple of Q levels or None
        The pinball loss takes the place of the named one.
    """
    if observed is None and not quantiles:
        return _ELEMENTS[name](output, y)
    losses = _element_losses(name, output, y, quantiles)
    if observed is None:
        return losses.mean()
    weight = observed.to(losses.dtype)
    return (losses * weight).sum() / weight.sum().clamp(min=1)


def window_losses(
    name: LossName,
    output: Tensor,
    y: Tensor,
    observed: Tensor | None,
    quantiles: tuple[float, ...] | None = None,
) -> Tensor:
    """Return the mean loss of each window: (B,); arguments as :func:`forecast_loss`."""
    losses = _element_losses(name, output, y, quantiles)
    if observed is None:
        return losses.mean(dim=(1, 2))
    weight = observed.to(losses.dtype)
    return (losses * weight).sum(dim=(1, 2)) / weight.sum(dim=(1, 2)).clamp(min=1)


def _element_losses(
    name: LossName, output: Tensor, y: Tensor, quantiles: tuple[float, ...] | None
) -> Tensor:
    """Return the loss of every target: (B, H, N)."""
    if quantiles:
        return pinball_loss(output, y.unsqueeze(3), quantiles).mean(dim=3)
    return _ELEMENTS[name](output, y, reduction="none")


def pinball_loss(output: Tensor, y: Tensor, quantiles: tuple[float, ...]) -> Tensor:
    """Return max(q e, (q - 1) e) with e = y - output, per element: (..., Q)."""
    levels = torch.tensor(quantiles, dtype=output.dtype, device=output.device)
    error = y - output
    return torch.maximum(levels * error, (levels - 1) * error)
