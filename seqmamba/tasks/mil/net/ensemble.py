"""Several networks over bags, whose logits are averaged."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from seqmamba.datasets.samples import Batch
from seqmamba.tasks.mil.net.model import BagNet, NetSettings, Pooled

__all__ = ["BagEnsemble"]


class BagEnsemble(nn.Module):
    """Mean of the logits of networks of one shape: instances (T, F) of B bags -> (B, K).

    Parameters
    ----------
    members : sequence of BagNet
    """

    def __init__(self, members: Sequence[BagNet]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    @property
    def mean(self) -> Tensor:
        """Mean of each feature over the training instances: (F,)."""
        return self._nets()[0].mean

    @property
    def settings(self) -> NetSettings:
        """Settings that all members share."""
        return self._nets()[0].settings

    def forward(self, batch: Batch) -> Tensor:
        """Return the mean logits (B, K)."""
        return self.each(batch).mean(1)

    def each(self, batch: Batch) -> Tensor:
        """Return the logits of every member: (B, M, K)."""
        return torch.stack([net(batch) for net in self._nets()], 1)

    def pooled(self, batch: Batch) -> Iterator[tuple[Tensor, Pooled]]:
        """Give groups of bags: mean logits, embeddings side by side (B, M D), mean attention."""
        for found in zip(*(net.pooled(batch) for net in self._nets()), strict=True):
            chosen = found[0][0]  # the groups depend on the lengths alone
            parts = [pooled for _, pooled in found]
            weights = [p.attention for p in parts if p.attention is not None]
            yield (
                chosen,
                Pooled(
                    torch.stack([p.logits for p in parts]).mean(0),
                    torch.cat([p.embedding for p in parts], 1),
                    torch.stack(weights).mean(0) if weights else None,
                ),
            )

    def _nets(self) -> list[BagNet]:
        return [net for net in self.members if isinstance(net, BagNet)]
