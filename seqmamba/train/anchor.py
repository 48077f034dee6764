"""Anchors: the cheap model that a network stands on.

    output = anchor(batch) + net(batch),    the last layer of net starts at zero

so that the network learns what the cheap model leaves over, and before the first step the whole is
the cheap model itself.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from seqmamba.datasets.samples import Batch, Samples
from seqmamba.errors import ConfigError
from seqmamba.params import nearest
from seqmamba.train.loop import Objective

__all__ = ["Anchor", "Anchored", "Comparison", "choose_anchor"]

log = logging.getLogger(__name__)

Comparison = Callable[[nn.Module, nn.Module, Samples], bool]


class Anchor(nn.Module):
    """A cheap model in the output space of a network; what it learns lives in buffers."""

    def fit(self, samples: Samples) -> Self:
        """Learn from the training part; return self. Nothing to learn by default."""
        return self

    def tune(self, score: Callable[[nn.Module], float]) -> None:
        """Choose what ``fit`` left open by a score of the validation part; smaller is better."""

    def forward(self, batch: Batch) -> Tensor:
        """Return the forecast in the network's own output space."""
        raise TypeError(f"{type(self).__name__} must define forward(batch)")


class Anchored(nn.Module):
    """Sum of a fitted anchor and a network that learns the rest: Batch -> Tensor.

    Parameters
    ----------
    net : Module with ``output_layer()``
        That layer is set to zero here.
    anchor : Anchor
        Already fitted; takes no gradient.
    """

    def __init__(self, net: Any, anchor: Anchor) -> None:
        super().__init__()
        self.net = net
        self.anchor = anchor.requires_grad_(False)
        self.silence()

    def silence(self) -> None:
        """Set the network's last layer to zero: the anchor stands alone."""
        last = self.net.output_layer()
        nn.init.zeros_(last.weight)
        if last.bias is not None:
            nn.init.zeros_(last.bias)

    @property
    def is_silent(self) -> bool:
        """Whether the network's last layer is zero, and so adds nothing to the anchor."""
        last = self.net.output_layer()
        return not any(bool(p.any()) for p in last.parameters())

    def forward(self, batch: Batch) -> Tensor:
        """Return anchor plus residual, in the network's output space."""
        residual: Tensor = self.net(batch)
        return torch.add(self.anchor(batch), residual)


def choose_anchor(
    name: str,
    candidates: Mapping[str, Anchor],
    train: Samples,
    valid: Samples,
    objective: Objective,
    comparison: Comparison | None = None,
) -> tuple[str, Anchor, dict[str, float]]:
    """Fit the named anchor, or with ``"auto"`` all, and return the best on the validation part.

    Parameters
    ----------
    candidates : mapping of str to Anchor
        The simplest first.
    comparison : callable (simple, other, samples) -> bool or None
        Says whether the other is surely better; a simpler anchor then stays where chance may have
        ranked them. None = the smallest objective.

    Returns
    -------
    name, anchor, scores
        ``scores`` holds the objective of each fitted candidate; smaller is better.
    """
    if name != "auto" and name not in candidates:
        known = ", ".join(candidates)
        raise ConfigError(
            f"anchor must be 'auto', None or one of {known}; got {name!r}."
            f"{nearest(name, candidates)}"
        )
    chosen = candidates if name == "auto" else {name: candidates[name]}
    scores = {}
    for label, anchor in chosen.items():
        anchor.fit(train)
        anchor.tune(lambda tried: objective(tried.eval(), valid))
        scores[label] = objective(anchor.eval(), valid)
        log.info("anchor %s: validation objective %.4g", label, scores[label])
    best = min(scores, key=scores.__getitem__)
    if comparison is not None:
        best, *others = chosen
        for other in others:
            if comparison(chosen[best], chosen[other], valid):
                best = other
    return best, chosen[best], scores
