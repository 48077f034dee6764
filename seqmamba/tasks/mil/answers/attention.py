"""Which instances of a bag count: attention of the pooling, and contributions to a logit."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from seqmamba.datasets.bags.packed import Bags
from seqmamba.errors import ConfigError
from seqmamba.tasks.mil.data import BagSamples

if TYPE_CHECKING:
    from seqmamba.tasks.mil.bag_estimator import BagEstimator

__all__ = ["attention_of", "attribution_of", "instance_table"]

Floats = NDArray[np.float32]


def attention_of(model: "BagEstimator", samples: BagSamples) -> list[Floats]:
    """Return the attention of each instance, a sum of 1 per bag: list of (L,).

    Raises
    ------
    ConfigError
        The pooling has no attention.
    """
    if model.pool not in ("attention", "gated"):
        raise ConfigError(
            f"pool {model.pool!r} has no attention; fit with pool='attention' or 'gated', or use "
            "attribution."
        )
    found: list[Any] = [None] * len(samples)
    lengths = samples.lengths
    for rows, pooled, _ in model._walk(samples):
        assert pooled.attention is not None
        values = pooled.attention.float().cpu().numpy()
        for row, value in zip(rows, values, strict=True):
            found[row] = value[: lengths[row]]
    return found


def attribution_of(
    model: "BagEstimator", samples: BagSamples, targets: NDArray[np.int64]
) -> list[Floats]:
    """Return gradient times input of one logit per bag, summed over features: list of (L,).

    Inputs are the standardised features: an instance at the mean of all contributes nothing.

    Parameters
    ----------
    targets : int array (n,)
        Which logit of each bag.
    """
    net: Any = model.net_
    device = next(net.parameters()).device
    found: list[Any] = []
    with model._threads(), torch.enable_grad():
        for i in range(len(samples)):
            batch = samples.batch(np.array([i])).to(device)
            batch.x = batch.x.float().requires_grad_()
            logit = net(batch)[0, int(targets[i])]
            (slope,) = torch.autograd.grad(logit, batch.x)
            share = (slope * (batch.x - net.mean)).sum(1)
            found.append(share.detach().cpu().numpy())
    return found


def instance_table(
    bags: Bags, ids: Sequence[str], values: Sequence[Floats], name: str
) -> pl.DataFrame:
    """Return one row per instance: ``bag_id, instance, x, y, <name>, rank`` (1 = greatest).

    ``x`` and ``y`` are there only where the bags have coordinates.
    """
    lengths = [len(value) for value in values]
    assert lengths == bags.lengths.tolist(), "one value per instance, in the order of the bag"
    places = [bags.coords(i) for i in range(len(ids))]
    rank = [np.argsort(np.argsort(-value, kind="stable")) + 1 for value in values]
    columns: dict[str, Any] = {
        "bag_id": np.repeat(np.array(ids, dtype=object), lengths).tolist(),
        "instance": np.concatenate([np.arange(length) for length in lengths]),
    }
    known = [place for place in places if place is not None]
    if len(known) == len(places):
        x, y = np.concatenate(known).T
        columns |= {"x": x, "y": y}
    columns |= {name: np.concatenate(values).astype(np.float64), "rank": np.concatenate(rank)}
    return pl.DataFrame(columns)
