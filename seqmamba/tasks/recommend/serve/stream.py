"""Event by event in constant time: a causal network's state, and the scores after each item."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from seqmamba.datasets.samples import Batch
from seqmamba.errors import ConfigError
from seqmamba.nn.branch import State
from seqmamba.tasks.recommend.data import RECENT
from seqmamba.tasks.recommend.net.anchored import BlendedRanker
from seqmamba.tasks.recommend.net.model import SIGMANet

__all__ = ["Stream", "advance", "begin"]


@dataclass
class Stream:
    """What is known of one user while events come in.

    Parameters
    ----------
    memory : list of State
        One per layer.
    items : list of int
        Item numbers 1..V so far, oldest first.
    scores : array (V,) or None
        Scores of all items after the last event.
    """

    memory: list[State]
    items: list[int] = field(default_factory=list)
    scores: Any = None


def begin(net: SIGMANet | BlendedRanker) -> Stream:
    """Return the state before the first event.

    Raises
    ------
    ConfigError
        The network flips its input or looks ahead, so its state depends on all of it.
    """
    bare = net.net if isinstance(net, BlendedRanker) else net
    assert isinstance(bare, SIGMANet)
    if bare.settings.mixer != "mamba":
        raise ConfigError(
            f"streaming needs preset='mamba4rec'; with mixer {bare.settings.mixer!r} the state "
            "depends on the whole history. Use predict(history=...)."
        )
    return Stream(bare.init_state(1))


def advance(net: SIGMANet | BlendedRanker, stream: Stream, item: int) -> None:
    """Read one item number 1..V."""
    bare = net.net if isinstance(net, BlendedRanker) else net
    assert isinstance(bare, SIGMANet)
    device = bare.item_embedding.weight.device
    h = bare.step(torch.tensor([item], device=device), stream.memory)
    stream.items.append(item)
    scores = h @ bare.item_vectors().T
    if isinstance(net, BlendedRanker):
        own, cheap = net.blend.tolist()
        if cheap:
            recent = np.zeros((1, RECENT), dtype=np.int64)
            newest = stream.items[: -RECENT - 1 : -1]
            recent[0, : len(newest)] = newest
            batch = Batch(torch.tensor([[item]]), extra={"recent": torch.from_numpy(recent)})
            scores = own * scores + cheap * net.anchor(batch.to(device))
    stream.scores = scores[0].cpu().numpy()
