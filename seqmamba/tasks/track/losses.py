"""The loss of a motion network over one step or several."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from seqmamba.datasets.samples import Batch
from seqmamba.tasks.track.histories.offsets import LIMIT
from seqmamba.tasks.track.model import Scale, rollout

__all__ = ["giou", "motion_loss"]

DECAY = 0.8  # weight of each further step
BETA = {"box": 0.2, "image": 1.0, "std": 0.2}  # bend of the smooth L1 loss


def motion_loss(
    net: Any, scale: Scale, batch: Batch, *, steps: int = 1, giou_weight: float = 0.0
) -> Tensor:
    """Return the smooth L1 error of the next boxes in scaled units: ().

    The boxes are measured from the last one seen, so that the network also learns to see through
    its jitter. Steps after the first are fed by the network's own boxes.

    Parameters
    ----------
    batch : Batch
        x (B, q + 1, C); y (B, at least ``steps``, C); extra ``known`` (B, at least ``steps``).
    giou_weight : float
        Weight of 1 - GIoU of the boxes, added to each step.
    """
    assert batch.y is not None
    boxes, truth = rollout(net, scale, batch, steps), batch.y[:, :steps]
    unit = scale(batch.x[:, -1])
    unit = unit[:, None] if unit.ndim == 2 else unit
    start = batch.x[:, -1:]
    target = torch.clamp((truth - start) / unit, -LIMIT, LIMIT)
    beta = BETA[scale.name]
    error = functional.smooth_l1_loss((boxes - start) / unit, target, beta=beta, reduction="none")
    error = error.mean(dim=-1)  # (B, steps)
    if giou_weight:
        error = error + giou_weight * (1 - giou(boxes, truth))
    weight = DECAY ** torch.arange(steps, device=error.device) * batch.extra["known"][:, :steps]
    return (error * weight).sum() / weight.sum().clamp(min=1e-9)


def giou(first: Tensor, second: Tensor) -> Tensor:
    """Return the generalised IoU of boxes ``cx, cy, w, h``: (..., 4), (..., 4) -> (...)."""
    low = torch.stack([first[..., :2] - first[..., 2:] / 2, second[..., :2] - second[..., 2:] / 2])
    high = torch.stack([first[..., :2] + first[..., 2:] / 2, second[..., :2] + second[..., 2:] / 2])
    overlap = (high.amin(dim=0) - low.amax(dim=0)).clamp(min=0).prod(dim=-1)
    hull = (high.amax(dim=0) - low.amin(dim=0)).prod(dim=-1).clamp(min=1e-9)
    union = first[..., 2:].prod(dim=-1) + second[..., 2:].prod(dim=-1) - overlap
    return overlap / union.clamp(min=1e-9) - (hull - union) / hull
