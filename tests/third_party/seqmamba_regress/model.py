"""The network and the cheap model that it may stand on."""

from typing import Self

import torch
from torch import Tensor, nn

from seqmamba.datasets.samples import Batch, Samples
from seqmamba.nn.encoder import Encoder
from seqmamba.nn.pooling import MeanPool
from seqmamba.train.anchor import Anchor


class Regressor(nn.Module):
    """Encoder, masked mean, linear: (B, L, C) -> (B,)."""

    def __init__(self, channels: int, d_model: int, n_layers: int, dropout: float, backend: str):
        super().__init__()
        self.embed = nn.Linear(channels, d_model)
        self.encoder = Encoder(
            d_model, n_layers, direction="bi_sum", dropout=dropout, backend=backend
        )
        self.pool = MeanPool()
        self.out = nn.Linear(d_model, 1)

    def forward(self, batch: Batch) -> Tensor:
        """Return one number per sequence."""
        h = self.encoder(self.embed(batch.x), mask=batch.mask)  # (B, L, D)
        out: Tensor = self.out(self.pool(h, batch.mask)).squeeze(-1)
        return out  # (B,)

    def output_layer(self) -> nn.Linear:
        """Return the layer that an anchored network sets to zero."""
        return self.out


class Zero(Anchor):
    """The mean of the scaled targets."""

    def forward(self, batch: Batch) -> Tensor:
        """Return zeros: (B,)."""
        return batch.x.new_zeros(len(batch))


class Means(Anchor):
    """Linear in the channel means of a sequence."""

    weights: Tensor

    def __init__(self, scale: tuple[float, float]) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("weights", torch.zeros(0))

    def fit(self, samples: Samples) -> Self:
        """Solve the least squares of the training part."""
        batch = samples.batch(torch.arange(len(samples)).numpy())
        assert batch.y is not None
        mean, deviation = self.scale
        target = (batch.y - mean) / deviation
        self.weights = torch.linalg.lstsq(self._features(batch), target[:, None]).solution[:, 0]
        return self

    def forward(self, batch: Batch) -> Tensor:
        """Return (B,)."""
        return self._features(batch) @ self.weights

    def _features(self, batch: Batch) -> Tensor:
        means: Tensor = MeanPool()(batch.x, batch.mask)
        return torch.cat([means, torch.ones_like(means[:, :1])], dim=1)
