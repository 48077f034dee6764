"""The assignment problem, by scipy's solver."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["best_pairs"]


def best_pairs(score: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns of the pairs with the greatest total score: (R, C) -> (K,), (K,)."""
    from scipy.optimize import linear_sum_assignment  # scipy: the registry loads without it

    rows, columns = linear_sum_assignment(score, maximize=True)
    return rows, columns
