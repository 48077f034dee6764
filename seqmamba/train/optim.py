"""Optimiser with the weight-decay rule of state-space layers, and learning-rate schedules."""

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch import nn
from torch.optim import Optimizer

from seqmamba.train.row_adam import RowAdam
from seqmamba.train.settings import Schedule

__all__ = ["make_optimizer", "schedule_factor", "set_learning_rate"]

WARMUP = 0.05  # share of all steps over which "cosine" and "linear" rise from zero
ONE_CYCLE_WARMUP = 0.25  # large steps from the start can spoil a short training


def make_optimizer(
    net: nn.Module, name: Literal["adam", "adamw"], learning_rate: float, weight_decay: float
) -> Optimizer:
    """Return Adam or AdamW; parameters marked ``_no_weight_decay`` and vectors do not decay.

    A network with a sparse embedding gets :class:`RowAdam`, whose tables do not decay either.
    """
    trained = [p for p in net.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.ndim > 1 and not getattr(p, "_no_weight_decay", False)]
    known = {id(p) for p in decayed}
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": [p for p in trained if id(p) not in known], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if any(isinstance(m, nn.Embedding) and m.sparse for m in net.modules()):
        return RowAdam(groups, lr=learning_rate)
    cls = torch.optim.AdamW if name == "adamw" else torch.optim.Adam
    fused = all(p.device.type in ("cpu", "cuda") for p in trained)
    return cls(groups, lr=learning_rate, fused=fused)


def schedule_factor(name: Schedule, epoch: int, share: float, max_epochs: int) -> float:
    """Return the factor on the learning rate.

    Parameters
    ----------
    name : {"constant", "halve", "cosine", "one_cycle", "linear"}
        ``"halve"``: the first two epochs at full rate, then half of it after each epoch
        (the schedule of S-Mamba's released code). ``"one_cycle"``: cosine with a rise of a quarter
        of all steps.
    epoch : int
        From 0.
    share : float in [0, 1)
        Part of the epoch that is done.
    max_epochs : int
    """
    if name == "constant":
        return 1.0
    if name == "halve":
        return float(0.5 ** max(epoch - 1, 0))
    done = (epoch + share) / max(max_epochs, 1)
    rise = ONE_CYCLE_WARMUP if name == "one_cycle" else WARMUP
    if done < rise:
        return max(done / rise, 0.01)
    rest = (done - rise) / (1 - rise)
    return 1.0 - rest if name == "linear" else 0.5 * (1 + math.cos(math.pi * rest))


def set_learning_rate(optimizer: Optimizer, learning_rate: float) -> None:
    """Set the rate of all parameter groups."""
    groups: Iterable[dict[str, float]] = optimizer.param_groups
    for group in groups:
        group["lr"] = learning_rate
