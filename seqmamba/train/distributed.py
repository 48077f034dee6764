"""Several processes, one global batch: what ``torchrun`` needs and nothing else.

Each process takes its share of every global batch; the shares are weighted so that the mean over
processes is the mean over the global batch.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from seqmamba.datasets.samples import Batch

__all__ = ["LossFunction", "LossStep", "World", "join", "parallel"]

LossFunction = Callable[[nn.Module, Batch], Tensor]


@dataclass(frozen=True)
class World:
    """Place of this process among all."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """True in the one process that prints and writes."""
        return self.rank == 0

    def share(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.int64], float]:
        """Return this process's part of a global batch and the weight of its mean loss."""
        if self.size == 1:
            return indices, 1.0
        part = np.array_split(indices, self.size)[self.rank]
        if len(part) == 0:  # every process must take part in the gradient exchange
            return indices[:1], 0.0
        return part, len(part) * self.size / len(indices)

    def same(self, value: float) -> float:
        """Return the leading process's value in every process."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64)
        if distributed.get_backend() == "nccl":
            shared = shared.cuda()
        distributed.broadcast(shared, src=0)
        return float(shared.item())

    def mean(self, value: float) -> float:
        """Return the mean of a number over all processes."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64)
        if distributed.get_backend() == "nccl":
            shared = shared.cuda()
        distributed.all_reduce(shared)
        return float(shared.item()) / self.size


def join(device: str) -> tuple[World, str]:
    """Join the processes that ``torchrun`` started; return our place and our device."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or not distributed.is_available():
        return World(), device
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    return World(distributed.get_rank(), distributed.get_world_size()), device


def parallel(step: nn.Module, world: World) -> nn.Module:
    """Wrap a module whose ``forward(batch)`` is the loss, if there are several processes."""
    if world.size == 1:
        return step
    return DistributedDataParallel(step, find_unused_parameters=True)


class LossStep(nn.Module):
    """The loss as a module, so that gradient exchange sees one forward call: Batch -> ()."""

    def __init__(self, net: nn.Module, loss: LossFunction) -> None:
        super().__init__()
        self.net = net
        self._loss = loss

    def forward(self, batch: Batch) -> Tensor:
        """Return the mean loss of a batch."""
        return self._loss(self.net, batch)
