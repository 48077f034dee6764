"""Networks beside a regression on bag statistics; the shares of both are learned."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqmamba.datasets.samples import Batch
from seqmamba.tasks.mil.net.ensemble import BagEnsemble
from seqmamba.tasks.mil.net.model import BagNet, NetSettings, Pooled
from seqmamba.train.anchor import Anchor

__all__ = ["BagBlend", "StatisticsAnchor", "statistics_of"]

FARTHEST = 3.0  # standard scores of bag statistics are cut here: features of images have long tails


class StatisticsAnchor(Anchor):
    """Logistic regression on the statistics of a bag: instances (T, F) of B bags -> (B, K).

    Its ``weights`` are those of :class:`seqmamba.tasks.mil.baselines.BagStatistics`.
    """

    weights: Tensor  # (K + 2, 4 F + 2)

    def __init__(self, weights: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weights", torch.zeros(2, 1) if weights is None else weights)

    def forward(self, batch: Batch) -> Tensor:
        """Return the logits (B, K) of the bags that lie packed in ``batch.x`` (T, F)."""
        mean, spread = self.weights[:2, :-1]
        z = (statistics_of(batch.x.to(mean.dtype), batch.extra["lengths"]) - mean) / spread
        z = z.clamp(-FARTHEST, FARTHEST)
        return functional.linear(z, self.weights[2:, :-1], self.weights[2:, -1])


class BagBlend(nn.Module):
    r"""Weighted sum of two views of a bag: instances (T, F) of B bags -> (B, K).

    .. math:: o = s_1 \, \mathrm{net}(x) + s_2 \, \mathrm{anchor}(x)

    The network is trained by itself, so that its attention keeps its meaning where the anchor has
    the greater share.

    Parameters
    ----------
    net : BagNet or BagEnsemble
    anchor : StatisticsAnchor
    shares : Tensor (2,) or None
        None = the network alone, until a file says otherwise.
    """

    shares: Tensor

    def __init__(self, net: nn.Module, anchor: nn.Module, shares: Tensor | None = None) -> None:
        super().__init__()
        self.net = net
        self.anchor = anchor
        self.register_buffer("shares", torch.tensor([1.0, 0.0]) if shares is None else shares)

    @property
    def mean(self) -> Tensor:
        """Mean of each feature over the training instances: (F,)."""
        return self._trained().mean

    @property
    def settings(self) -> NetSettings:
        """Settings of the network."""
        return self._trained().settings

    def forward(self, batch: Batch) -> Tensor:
        """Return the blended logits (B, K)."""
        logits: Tensor = self.shares[0] * self.net(batch) + self.shares[1] * self.anchor(batch)
        return logits

    def pooled(self, batch: Batch) -> Iterator[tuple[Tensor, Pooled]]:
        """Give groups of bags: blended logits; embedding and attention of the network."""
        beside = self.shares[1] * self.anchor(batch)
        for chosen, found in self._trained().pooled(batch):
            yield chosen, found._replace(logits=self.shares[0] * found.logits + beside[chosen])

    def _trained(self) -> BagNet | BagEnsemble:
        net: Any = self.net
        assert isinstance(net, BagNet | BagEnsemble)
        return net


def statistics_of(x: Tensor, lengths: Tensor) -> Tensor:
    """Return mean, least, greatest, deviation of each feature, log of the size: (B, 4 F + 1).

    Differentiable twin of :func:`seqmamba.tasks.mil.baselines.bag_statistics`.

    Parameters
    ----------
    x : Tensor (T, F)
        Instances of B bags, one after the other.
    lengths : int Tensor (B,)
    """
    bag = torch.repeat_interleave(torch.arange(len(lengths), device=x.device), lengths)
    count, empty = lengths[:, None].to(x.dtype), x.new_zeros(len(lengths), x.shape[1])
    places = bag[:, None].expand_as(x)
    mean = empty.index_add(0, bag, x) / count
    least = empty.scatter_reduce(0, places, x, "amin", include_self=False)
    greatest = empty.scatter_reduce(0, places, x, "amax", include_self=False)
    variance = empty.index_add(0, bag, (x - mean[bag]) ** 2) / count
    spread = variance.clamp(min=1e-14).sqrt()  # a slope of the root that is finite at 0
    return torch.cat([mean, least, greatest, spread, count.log()], 1)
