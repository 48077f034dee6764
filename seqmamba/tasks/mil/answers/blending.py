"""How much networks and a regression on bag statistics count, judged on held-out bags."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from torch import nn

from seqmamba.tasks.mil.baselines import BagStatistics
from seqmamba.tasks.mil.data import BagSamples
from seqmamba.tasks.mil.net.blend import BagBlend, StatisticsAnchor

__all__ = ["Blended", "best_shares", "blend", "held_out_statistics"]

Floats = NDArray[np.float64]


class Blended(NamedTuple):
    """A network beside the regression, and how both count."""

    net: BagBlend
    shares: tuple[float, float]  # of the network, of the regression
    logits: Floats  # (n, K) of the held-out bags


def blend(
    net: nn.Module, logits: Floats, train: BagSamples, valid: BagSamples, n_classes: int
) -> Blended:
    """Put a regression on bag statistics beside a trained network.

    Parameters
    ----------
    net : BagNet or BagEnsemble
    logits : array (n, K)
        What the network makes of the validation bags, by members that did not learn from them.
    train, valid : BagSamples
    n_classes : int
        K.
    """
    assert valid.y is not None
    views = np.stack([logits, held_out_statistics(train, valid, n_classes)])
    weight = np.ones(len(valid)) if valid.weight is None else valid.weight.astype(np.float64)
    shares = best_shares(views, valid.y, weight)
    if not shares.any():  # neither knows anything: the network stays as it is
        shares = np.array([1.0, 0.0])
    weights = BagStatistics.fit(train, n_classes, train.weight).weights
    anchor = StatisticsAnchor(torch.from_numpy(weights).float())
    device = next(net.parameters()).device
    whole = BagBlend(net, anchor, torch.from_numpy(shares).float()).to(device).eval()
    first, second = shares.tolist()
    return Blended(whole, (first, second), np.tensordot(shares, views, 1))


def best_shares(views: Floats, codes: NDArray[np.int64], weight: Floats) -> Floats:
    r"""Return the shares (V,) of least weighted log-loss, none below 0.

    .. math:: s = \arg\min_{s \ge 0} -\sum_i w_i \log \mathrm{softmax}(\sum_v s_v o_{vi})_{y_i}

    The problem is convex. Source: stacked generalisation with non-negative shares, Breiman,
    Machine Learning 24 (1996) 49-64.

    Parameters
    ----------
    views : array (V, n, K)
        Logits o of each view of the bags, by models that did not learn from them.
    codes : int array (n,)
    weight : array (n,)
    """
    rows, mass = np.arange(len(codes)), weight / weight.sum()

    def loss(shares: Floats) -> tuple[float, Floats]:
        blended = np.tensordot(shares, views, 1)  # (n, K)
        away = softmax(blended, axis=1)
        away[rows, codes] -= 1
        slope = (views * (mass[:, None] * away)).sum((1, 2))
        return -float(mass @ log_softmax(blended, axis=1)[rows, codes]), slope

    start = np.full(len(views), 1 / len(views))
    found = minimize(loss, start, jac=True, bounds=[(0, None)] * len(views))
    shares: Floats = found.x
    return shares


def held_out_statistics(train: BagSamples, valid: BagSamples, n_classes: int) -> Floats:
    """Return logits by bag statistics of the validation bags, fitted without them: (n, K).

    Where bags are dealt to folds, each fold is judged by a regression on the others.
    """
    if valid.fold is None:
        return BagStatistics.fit(train, n_classes, train.weight).logits(valid)
    logits = np.zeros((len(valid), n_classes))
    for fold in np.unique(valid.fold):
        others = valid.part(np.flatnonzero(valid.fold != fold))
        mine = np.flatnonzero(valid.fold == fold)
        known = BagStatistics.fit(others, n_classes, others.weight)
        logits[mine] = known.logits(valid.part(mine))
    return logits
