"""The fitted motion network as a motion model of a tracker."""

from typing import Any, Unpack

import numpy as np
import torch
from numpy.typing import NDArray

from seqmamba.datasets.samples import Batch
from seqmamba.tasks.track.histories.offsets import LIMIT
from seqmamba.tasks.track.model import Scale
from seqmamba.tasks.track.motion.history import HistoryMotion, HistorySettings

__all__ = ["MTPMotion"]


class MTPMotion(HistoryMotion):
    """A network over the last offsets of all tracks at once.

    Parameters
    ----------
    net : Module
        Batch -> next offset in scaled units (B, 4); used as it is, on its own device.
    scale : Scale
    q, damping, repair, common
        See :class:`HistoryMotion`.
    """

    def __init__(self, net: Any, scale: Scale, q: int, **settings: Unpack[HistorySettings]) -> None:
        self.net, self.scale = net, scale
        self.device = next(net.parameters()).device
        super().__init__(q, **settings)

    def next_offset(
        self, history: NDArray[np.float64], sure: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the offset of the next box in pixels: (N, q + 1, 4), (N, q + 1) -> (N, 4)."""
        x = history.copy()
        x[..., :2] -= history[:, -1:, :2]  # float32 is finest around the last box
        with torch.inference_mode():
            boxes = torch.from_numpy(x.astype(np.float32)).to(self.device)
            seen = {"confidence": torch.from_numpy(sure.astype(np.float32)).to(self.device)}
            offset = torch.clamp(self.net(Batch(x=boxes, extra=seen)), -LIMIT, LIMIT)
            offset = offset * self.scale(boxes[:, -1])
        out: NDArray[np.float64] = offset.cpu().double().numpy()
        return out
