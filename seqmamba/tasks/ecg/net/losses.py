"""Losses over several labels, of which some may be unknown (NaN)."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from seqmamba.errors import ConfigError
from seqmamba.params import nearest

__all__ = ["LossName", "asymmetric_loss", "class_weights", "masked_bce", "softmax_loss"]

LossName = Literal["bce", "asl"]
MOST_WEIGHT = 10.0


def masked_bce(
    logits: Tensor, truth: Tensor, weight: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """Return the mean binary cross-entropy over the known labels: ().

    Parameters
    ----------
    logits, truth : Tensor (B, K)
        ``truth`` is 0, 1 or NaN.
    weight : Tensor (K,) or None
        Factor on the positives of each class.
    smoothing : float
        Share by which 0 and 1 move towards one half.
    """
    known = ~truth.isnan()
    target = torch.where(known, truth, 0.0)
    target = target * (1 - smoothing) + 0.5 * smoothing if smoothing else target
    loss = functional.binary_cross_entropy_with_logits(
        logits, target, pos_weight=weight, reduction="none"
    )
    return (loss * known).sum() / known.sum().clamp(min=1)


def asymmetric_loss(
    logits: Tensor, truth: Tensor, *, gamma: float = 0.2, margin: float = 0.05
) -> Tensor:
    r"""Return the asymmetric loss over the known labels: ().

    .. math:: -y \log p - (1 - y)\, p_m^{\gamma} \log(1 - p_m), \qquad
              p_m = \max(p - m, 0)

    Source: Ridnik et al., arXiv 2009.14119, with no focus on the positives; ``gamma`` 0.2 as in
    torch_ecg's CinC 2021 run (ECG specification, 3).
    """
    known = ~truth.isnan()
    target = torch.where(known, truth, 0.0)
    p = torch.sigmoid(logits)
    shifted = (p - margin).clamp(min=0)
    negative = shifted.clamp(min=1e-8) ** gamma * torch.log1p(-shifted.clamp(max=1 - 1e-6))
    loss = -(target * functional.logsigmoid(logits) + (1 - target) * negative)
    return (loss * known).sum() / known.sum().clamp(min=1)


def softmax_loss(
    logits: Tensor, truth: Tensor, weight: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """Return the mean cross-entropy of exclusive classes: (); ``truth`` (B, K) is one-hot."""
    return functional.cross_entropy(
        logits, truth.argmax(-1), weight=weight, label_smoothing=smoothing
    )


def class_weights(
    y: NDArray[Any], classes: Sequence[Any], wanted: str | Mapping[Any, float] | None
) -> NDArray[np.float64] | None:
    """Return a weight per class (K,): balanced is min(10, sqrt(negatives / positives)).

    Raises
    ------
    ConfigError
        A mapping names a class that is not there.
    """
    if wanted is None:
        return None
    if isinstance(wanted, Mapping):
        known = {str(name): k for k, name in enumerate(classes)}
        weights = np.ones(len(classes))
        for name, weight in wanted.items():
            if str(name) not in known:
                hint = nearest(str(name), known)
                raise ConfigError(f"class_weight names class {name!r}, which is not there.{hint}")
            weights[known[str(name)]] = weight
        return weights
    positive, negative = np.nansum(y == 1, axis=0), np.nansum(y == 0, axis=0)
    ratio = np.maximum(negative, 1) / np.maximum(positive, 1)
    return np.asarray(np.minimum(MOST_WEIGHT, np.sqrt(ratio)))
