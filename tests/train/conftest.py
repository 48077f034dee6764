"""A tiny regression problem: y = w . x + noise, and a network with dropout."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqmamba.datasets.samples import Batch, Info


@dataclass
class ArraySamples:
    x: Tensor  # (n, 4)
    y: Tensor  # (n,)

    @property
    def info(self) -> Info:
        return Info(channels=self.x.shape[1])

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        rows = torch.from_numpy(indices)
        return Batch(x=self.x[rows], y=self.y[rows])

    def split(self, held_out: float | int) -> tuple["ArraySamples", "ArraySamples"]:
        n = len(self) - int(held_out * len(self) if held_out < 1 else held_out)
        return ArraySamples(self.x[:n], self.y[:n]), ArraySamples(self.x[n:], self.y[n:])


class TinyNet(nn.Module):
    """Two layers with dropout between: (B, 4) -> (B,)."""

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        self.hidden = nn.Linear(4, 8)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(8, 1)

    def forward(self, batch: Batch) -> Tensor:
        h: Tensor = self.out(self.dropout(torch.tanh(self.hidden(batch.x))))
        return h.squeeze(-1)

    def output_layer(self) -> nn.Linear:
        return self.out


@pytest.fixture
def samples() -> ArraySamples:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 4, generator=generator)
    noise = torch.randn(64, generator=generator)
    return ArraySamples(x, x @ torch.tensor([1.0, -2.0, 0.5, 0.0]) + 0.1 * noise)


@pytest.fixture
def make_net() -> Callable[..., TinyNet]:
    def make(seed: int = 0, dropout: float = 0.1) -> TinyNet:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return TinyNet(dropout)

    return make


@pytest.fixture
def loss() -> Callable[[nn.Module, Batch], Tensor]:
    def mean_squared_error(net: nn.Module, batch: Batch) -> Tensor:
        assert batch.y is not None
        return nn.functional.mse_loss(net(batch), batch.y)

    return mean_squared_error
