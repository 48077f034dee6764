"""Linear autoregression of box offsets: the yardstick of the learned models."""

import numpy as np
from numpy.typing import NDArray

from seqmamba.tasks.track.histories.offsets import box_scale, scaled_offsets
from seqmamba.tasks.track.motion.history import HistoryMotion

__all__ = ["LinearARMotion"]


class LinearARMotion(HistoryMotion):
    """The next offset is a linear function of the last q: 4 (4 q + 1) numbers.

    Parameters
    ----------
    weights : array (4 q + 1, 4)
        On the offsets in units of the box scale, oldest first; the last row is the constant.
    damping, repair, common
        See :class:`HistoryMotion`.
    """

    def __init__(
        self,
        weights: NDArray[np.float64],
        *,
        damping: float = 0.95,
        repair: bool = True,
        common: bool = True,
    ) -> None:
        self.weights = np.asarray(weights, np.float64)
        super().__init__(
            (len(self.weights) - 1) // 4, damping=damping, repair=repair, common=common
        )

    def next_offset(
        self, history: NDArray[np.float64], sure: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the offset of the next box in pixels: (N, q + 1, 4), (N, q + 1) -> (N, 4)."""
        scale = box_scale(history[:, -1])[:, None]
        x = scaled_offsets(history, scale[:, None]).reshape(len(history), -1)
        offset: NDArray[np.float64] = (x @ self.weights[:-1] + self.weights[-1]) * scale
        return offset
