"""Which instances of a bag count: attention of the pooling, and contributions to a logit."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqmamba.datasets.bags.packed import Bags
from seqmamba.datasets.samples import Batch
from seqmamba.errors import ConfigError
from seqmamba.tasks.mil.data import BagSamples

if TYPE_CHECKING:
    from seqmamba.tasks.mil.bag_estimator import BagEstimator

__all__ = ["Method", "attention_of", "attribution_of", "instance_table"]

Floats = NDArray[np.float32]
Method = Literal["integrated", "grad_input"]
STEPS = 64  # along the path: shares then sum to the log-odds within a percent


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
    model: "BagEstimator",
    samples: BagSamples,
    targets: NDArray[np.int64],
    method: Method = "integrated",
) -> list[Floats]:
    r"""Return what each instance adds to the log-odds of one class per bag: list of (L,).

    .. math:: s_i = (x_i - \mu) \cdot \int_0^1
              \frac{\partial o_c}{\partial x_i}(\mu + a (x - \mu)) \, da

    with the log-odds :math:`o_c` of the class against all others and the mean instance
    :math:`\mu` of training. The shares of a bag sum to its log-odds less those of a bag of mean
    instances. "grad_input" takes the slope at the bag alone: one pass, but behind normalisations
    its positive and negative parts nearly cancel. Source: Sundararajan et al., arXiv 1703.01365.

    Parameters
    ----------
    targets : int array (n,)
        Which class of each bag.
    method : {"integrated", "grad_input"}
    """
    net: Any = model.net_
    device = next(net.parameters()).device
    places = torch.ones(1) if method == "grad_input" else (torch.arange(STEPS) + 0.5) / STEPS
    found: list[Any] = []
    with model._threads():
        for i in range(len(samples)):
            batch = samples.batch(np.array([i])).to(device)
            share = _shares(net, batch.x.float(), int(targets[i]), places.to(device))
            found.append(share.cpu().numpy())
    return found


def _shares(net: Any, x: Tensor, target: int, places: Tensor) -> Tensor:
    """Return the contributions of the instances of one bag (L, F) to a class: (L,)."""
    away: Tensor = x - net.mean
    slope = torch.zeros_like(x)
    for part in torch.split(places, max(net.settings.checkpoint_tokens // len(x), 1)):
        path = (net.mean + part[:, None, None] * away).requires_grad_()  # (S, L, F)
        lengths = torch.full((len(part),), len(x), device=x.device)
        with torch.enable_grad():
            logits = net(Batch(path.flatten(0, 1), extra={"lengths": lengths}))
            others = torch.arange(logits.shape[1], device=x.device) != target
            odds = logits[:, target] - logits[:, others].logsumexp(1)
            slope += torch.autograd.grad(odds.sum(), path)[0].sum(0)
    return (slope / len(places) * away).sum(1)


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
