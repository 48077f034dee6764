"""A network and a cheap model in one ranker, blended on the validation part."""

from typing import Any

import torch
from torch import Tensor, nn

from seqmamba.datasets.samples import Batch
from seqmamba.metrics import ranking
from seqmamba.tasks.recommend.baselines import Baseline
from seqmamba.tasks.recommend.data import SequenceSamples
from seqmamba.tasks.recommend.net.model import ItemRows

__all__ = ["BLENDS", "BlendedRanker", "blend_scores"]

# Weights (network, anchor) that validation chooses from: the bare network, five mixtures and the
# anchor alone, so that the result is worse than neither on the validation part.
BLENDS = (
    (1.0, 0.0),
    (1.0, 0.1),
    (1.0, 0.25),
    (1.0, 0.5),
    (1.0, 1.0),
    (1.0, 2.0),
    (0.0, 1.0),
)


class BlendedRanker(nn.Module):
    r"""Scores :math:`\alpha s_{net} + \lambda \log s_{anchor}`: Batch -> (B, V).

    The network trains as if it stood alone, with :math:`(\alpha, \lambda) = (1, 0)`: an anchor
    counts the very transitions that training asks for, so a joint loss would trust it too much.
    """

    blend: Tensor  # (2,)

    def __init__(self, net: Any, anchor: Baseline) -> None:
        super().__init__()
        self.net = net
        self.anchor = anchor.requires_grad_(False)
        self.register_buffer("blend", torch.tensor([1.0, 0.0]))

    def forward(self, batch: Batch) -> Tensor:
        """Return the blended scores of all items."""
        own, cheap = self.blend.tolist()
        if cheap == 0:
            scores: Tensor = self.net(batch)
            return scores
        logs: Tensor = cheap * self.anchor(batch)
        return logs if own == 0 else logs + own * self.net(batch)

    def hidden(self, items: Tensor, lengths: Tensor, at: Tensor) -> Tensor:
        """Return the network's vectors at some positions: (B, T, D)."""
        h: Tensor = self.net.hidden(items, lengths, at)
        return h

    def item_rows(self) -> ItemRows:
        """Return the network's vectors of items 1..V as a table that is read row by row."""
        rows: ItemRows = self.net.item_rows()
        return rows

    def item_vectors(self) -> Tensor:
        """Return the network's vectors of items 1..V: (V, D)."""
        vectors: Tensor = self.net.item_vectors()
        return vectors


def blend_scores(
    ranker: BlendedRanker, valid: SequenceSamples, device: str
) -> dict[tuple[float, float], float]:
    """Return NDCG@10 on a validation part of every blend."""
    total = dict.fromkeys(BLENDS, 0.0)
    with torch.inference_mode():
        for _, gathered in valid.walk():
            batch = gathered.to(device)
            assert batch.y is not None
            own, cheap = ranker.net(batch), ranker.anchor(batch)
            target = batch.y[:, 0].cpu().numpy() - 1
            for a, b in BLENDS:
                bounds = ranking.rank_bounds((a * own + b * cheap).cpu().numpy(), target)
                total[a, b] += float(ranking.ndcg(*bounds, 10).sum())
    return {blend: value / max(len(valid), 1) for blend, value in total.items()}
