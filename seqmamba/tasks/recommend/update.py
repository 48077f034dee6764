"""New events for a fitted recommender: longer histories, new users, new items, more training."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqmamba.datasets.interactions.ids import Ids
from seqmamba.datasets.interactions.table import Interactions
from seqmamba.datasets.samples import Info
from seqmamba.tasks.recommend.data import History, SequenceSamples

__all__ = ["Merged", "merge", "new_vectors", "update_samples"]

NEIGHBOUR_DISTANCE = 2  # items so near in the new rows lend a new item their mean vector
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Merged:
    """Old and new events together.

    Parameters
    ----------
    users, items : Ids
        The old ones first.
    log : History
        New events stand behind the old ones of their user; what trains is as before.
    is_new : array (n,) bool
        Which events are new.
    """

    users: Ids
    items: Ids
    log: History
    is_new: NDArray[np.bool_]


def merge(log: History, users: Ids, items: Ids, data: Interactions) -> Merged:
    """Append the events of a table."""
    all_users, user_codes = users.extend(data.users.values)
    all_items, item_codes = items.extend(data.items.values)
    owner = np.concatenate([np.repeat(np.arange(len(users)), log.counts), user_codes[data.owners]])
    fresh = (item_codes[data.sequence - 1] + 1).astype(np.int32)
    order = np.argsort(owner, kind="stable")  # old events come first, new ones keep their order
    times = None
    if log.times is not None and data.times is not None:
        times = np.concatenate([log.times, data.times])[order]
    counts = np.bincount(owner, minlength=len(all_users))
    merged = History(
        sequence=np.concatenate([log.sequence, fresh])[order],
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        trained=np.pad(log.trained, (0, len(all_users) - len(users))),
        n_items=len(all_items),
        times=times,
    )
    return Merged(all_users, all_items, merged, order >= len(log.sequence))


def new_vectors(vectors: Tensor, data: Interactions, known: Ids, all_items: Ids) -> Tensor:
    """Return vectors for the items behind the known ones: (new, D).

    The mean of the known items that stand beside the new one in the new rows, within distance 2;
    N(0, 0.02²) where there are none.
    """
    n_known, n_new = len(known), len(all_items) - len(known)
    codes = all_items.codes(data.items.values)[data.sequence - 1]
    total = torch.zeros(n_new, vectors.shape[1], dtype=vectors.dtype, device=vectors.device)
    found = torch.zeros(n_new, dtype=vectors.dtype, device=vectors.device)
    for distance in range(1, NEIGHBOUR_DISTANCE + 1):
        same = data.owners[distance:] == data.owners[:-distance]
        left, right = codes[:-distance][same], codes[distance:][same]
        for item, beside in ((left, right), (right, left)):
            lends = (item >= n_known) & (beside < n_known)
            place = torch.from_numpy(item[lends] - n_known).to(vectors.device)
            lent = torch.from_numpy(beside[lends]).to(vectors.device)
            total.index_add_(0, place, vectors[lent])
            found.index_add_(0, place, torch.ones_like(place, dtype=vectors.dtype))
    drawn = nn.init.normal_(torch.empty_like(total), std=0.02)
    return torch.where(found[:, None] > 0, total / found.clamp(min=1)[:, None], drawn)


def update_samples(
    merged: Merged, max_len: int, info: Info, generator: np.random.Generator
) -> SequenceSamples:
    """Return windows that end before each new event, and as many that end before old ones."""
    log = replace(merged.log, trained=merged.log.counts)
    owner = np.repeat(np.arange(len(log.trained)), log.counts)
    place = np.arange(len(log.sequence)) - log.offsets[:-1][owner]
    fresh = np.flatnonzero(merged.is_new & (place > 0))
    old = np.flatnonzero(~merged.is_new & (place > 0))
    drawn = generator.choice(old, size=min(len(fresh), len(old)), replace=False)
    answers = np.sort(np.concatenate([fresh, drawn]))
    lengths = np.minimum(place[answers], max_len)
    return SequenceSamples(
        history=log,
        starts=answers - lengths,
        lengths=lengths,
        n_targets=np.ones(len(answers), dtype=np.int64),
        info=info,
    )
