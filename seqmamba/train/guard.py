"""What happens when a loss or a gradient is not finite.

The step is left out and counted; after three in a row the run goes back to its best weights with
half the learning rate, at most twice (reliability specification, N1).
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from seqmamba.errors import TrainingDivergedError
from seqmamba.train.row_adam import stored_values

__all__ = ["Guard"]

MAX_BAD_STEPS = 3
MAX_RETREATS = 2

log = logging.getLogger(__name__)


@dataclass
class Guard:
    """Count of what went wrong so far.

    Parameters
    ----------
    scale : float
        Factor on the learning rate: halved by each retreat.
    """

    bad_steps: int = 0
    retreats: int = 0
    scale: float = 1.0

    def note_bad_step(
        self, net: nn.Module, optimizer: Optimizer, best: Mapping[str, Tensor], where: str
    ) -> None:
        """Count a left-out step; go back to the best weights, or give up.

        Raises
        ------
        TrainingDivergedError
            The third bad step in a row after two retreats.
        """
        self.bad_steps += 1
        if self.bad_steps < MAX_BAD_STEPS:
            return
        culprit = _first_non_finite(net)
        net.load_state_dict(best)
        if self.retreats == MAX_RETREATS:
            raise TrainingDivergedError(
                f"the loss became non-finite at {where}. First non-finite: {culprit}. "
                "The best weights so far are kept in net_. Lower learning_rate or set clip_norm=1."
            )
        log.warning(
            "non-finite loss at %s (%s): back to the best weights, half rate", where, culprit
        )
        optimizer.state.clear()
        self.retreats += 1
        self.bad_steps = 0
        self.scale /= 2


def _first_non_finite(net: nn.Module) -> str:
    for name, p in net.named_parameters():
        if not torch.isfinite(p).all():
            return name
        if p.grad is not None and not torch.isfinite(stored_values(p)).all():
            return f"gradient of {name}"
    return "the loss itself"
