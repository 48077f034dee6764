"""Losses: teacher-forced patches, and rollouts held on the attractor by their measures."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

__all__ = ["Statistic", "mmd", "mmd_conditional", "mmd_invariant", "patch_loss"]

Statistic = Literal["U", "V"]

SIGMAS = (0.2, 0.5, 0.9, 1.3)  # released util/loss_fn.py


def patch_loss(first: Tensor, further: Sequence[Tensor], target: Tensor, weight: float) -> Tensor:
    """Return ``MSE + weight * mean of the MSE of the multi-patch modules``: ().

    Parameters
    ----------
    first : Tensor (B, L, p, V)
        Patch behind each token.
    further : sequence of Tensor (B, L - k - 1, p, V)
        Of module k: the patch that lies k + 1 further.
    target : Tensor (B, L, p, V)
    """
    loss = (first - target).square().mean()
    if not further:
        return loss
    errors = [(y - target[:, k + 1 :]).square().mean() for k, y in enumerate(further)]
    return loss + weight * torch.stack(errors).mean()


def mmd(a: Tensor, b: Tensor, statistic: Statistic = "U") -> Tensor:
    r"""Return the squared maximum mean discrepancy of samples (..., B, V): (...).

    .. math:: k(a, b) = \sum_{s} \frac{s^2}{s^2 + |a - b|^2}, \quad s \in \{0.2, 0.5, 0.9, 1.3\}

    "V" is the released estimate: diagonal included, biased by about ``8 / B``, not below 0. "U"
    leaves the diagonal out and is unbiased at every B. Points are standardised by the caller.

    Examples
    --------
    >>> x = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
    >>> float(mmd(x, x, "V"))
    0.0
    """
    aa, bb, ab = _kernel(a, a), _kernel(b, b), _kernel(a, b)
    n = a.shape[-2]
    cross = 2 * ab.mean(dim=(-2, -1))
    if statistic == "V":
        return (aa.mean(dim=(-2, -1)) + bb.mean(dim=(-2, -1)) - cross).clamp_min(0)
    peak = float(len(SIGMAS))  # the kernel of a point with itself
    own = (aa + bb).sum(dim=(-2, -1)) - 2 * peak * n
    return own / (n * (n - 1)) - cross


def mmd_invariant(start: Tensor, path: Tensor, statistic: Statistic, pool: int) -> Tensor:
    """Return the distance of forecasts from the invariant measure: ().

    Parameters
    ----------
    start : Tensor (B, V)
        First row of the contexts: a sample of the invariant measure.
    path : Tensor (B, H, V)
    pool : int
        Steps that are pooled to one sample set: same target, less variance.
    """
    batch = len(start)
    groups = []
    for steps in torch.split(path, pool, dim=1):
        pooled = steps.flatten(0, 1)
        stride = max(pooled.shape[0] // batch, 1)
        # one step of each row in turn, so that a set holds B points whatever the pool
        index = torch.arange(batch, device=path.device) * stride
        index = index + torch.arange(batch, device=path.device) % stride
        groups.append(pooled[index % pooled.shape[0]])
    points = torch.stack(groups)  # (H / pool, B, V)
    return mmd(start.expand_as(points), points, statistic).mean()


def mmd_conditional(truth: Tensor, path: Tensor, statistic: Statistic) -> Tensor:
    """Return the mean distance of the pushed-forward measures, step by step: ()."""
    return mmd(truth.transpose(0, 1), path.transpose(0, 1), statistic).mean()


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    square = (a.unsqueeze(-2) - b.unsqueeze(-3)).square().sum(-1) if a.shape[-1] <= 4 else None
    if square is None:
        square = (
            a.square().sum(-1).unsqueeze(-1)
            + b.square().sum(-1).unsqueeze(-2)
            - 2 * a @ b.transpose(-1, -2)
        ).clamp_min(0)
    total = torch.zeros_like(square)
    for sigma in SIGMAS:
        total = total + sigma**2 / (sigma**2 + square)
    return total
