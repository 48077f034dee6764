"""Are ensembles honest? Distance and coverage by lead time.

``truth`` has the shape (M, H, V), ``members`` (M, n, H, V): starts, members, steps, channels.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqmamba.errors import DataError
from seqmamba.metrics.forecast import coverage

__all__ = ["coverage_by_lead", "crps_by_lead"]

Array = NDArray[np.float64]


def crps_by_lead(truth: Any, members: Any, scale: Any) -> Array:
    r"""Return the continuous ranked probability score of each lead time: (H,).

    .. math:: \frac1n \sum_i |x_i - y| - \frac1{2 n (n - 1)} \sum_{i, j} |x_i - x_j|

    in units of ``scale``, mean over starts and channels; smaller is better. For one member it is
    the absolute error. The fair form, whose mean does not depend on n (Ferro, Q. J. R. Meteorol.
    Soc. 140 (2014) 1917).

    Parameters
    ----------
    truth : array (M, H, V)
    members : array (M, n, H, V)
    scale : array (V,)
        Standard deviations of the training part.

    Examples
    --------
    >>> crps_by_lead([[[1.0]]], [[[[0.0]], [[2.0]]]], [1.0]).tolist()
    [0.0]
    """
    true, made = _checked(truth, members)
    n = made.shape[1]
    error = np.abs(made - true[:, None]).mean(axis=1)
    # of sorted values, member i stands in 2 i - n + 1 differences more with plus than with minus
    rank = (2 * np.arange(n) - n + 1)[:, None, None]
    spread = (rank * np.sort(made, axis=1)).sum(axis=1) / max(n * (n - 1), 1)
    found: Array = ((error - spread) / np.asarray(scale)).mean(axis=(0, 2))
    return found


def coverage_by_lead(truth: Any, members: Any, level: float = 0.9) -> Array:
    """Return the share of true values within the members' central interval: (H,).

    Parameters
    ----------
    truth : array (M, H, V)
    members : array (M, n, H, V)
    level : float
        Between 0 and 1; an honest ensemble covers this share.
    """
    true, made = _checked(truth, members)
    low, high = np.quantile(made, [(1 - level) / 2, (1 + level) / 2], axis=1)
    found: Array = coverage(true, low, high, axis=(0, 2))
    return found


def _checked(truth: Any, members: Any) -> tuple[Array, Array]:
    true, made = np.asarray(truth, np.float64), np.asarray(members, np.float64)
    if made.ndim != 4 or true.shape != (len(made), *made.shape[2:]):
        raise DataError(
            "truth must be (starts, steps, channels) and members (starts, members, steps, "
            f"channels); got {true.shape} and {made.shape}."
        )
    return true, made
