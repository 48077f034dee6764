"""Offsets of boxes in units of the box: the language of the motion networks."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["LIMIT", "box_scale", "scaled_offsets"]

LIMIT = 15.0  # scaled offsets are clipped to it: boxes cut by the border jump
SMALLEST_PX = 8.0


def box_scale(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a tenth of the geometric mean of width and height: (..., 4) -> (...), pixels.

    Not the width alone: boxes clipped at the border are a few pixels wide, and dividing by that
    ruins the mean of any loss.
    """
    size = np.sqrt(np.maximum(boxes[..., 2] * boxes[..., 3], 0.0))
    scale: NDArray[np.float64] = np.maximum(size, SMALLEST_PX) / 10
    return scale


def scaled_offsets(boxes: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the clipped differences of consecutive boxes: (..., q + 1, 4) -> (..., q, 4)."""
    return np.clip(np.diff(boxes, axis=-2) / scale, -LIMIT, LIMIT)
