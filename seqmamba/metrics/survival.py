"""Scores of predicted risks against censored times."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqmamba.errors import DataError
from seqmamba.metrics.metric import Metric

__all__ = ["METRICS", "concordance"]


def concordance(time: ArrayLike, event: ArrayLike, risk: ArrayLike) -> float:
    """Return Harrell's concordance index; 1 is perfect, 0.5 chance.

    A pair counts if the shorter time ended with an event: a greater risk there is right, equal
    risks count half. Of two equal times, an event counts as shorter than a censoring; two events
    at one time do not count. NaN if no pair counts. The definition of scikit-survival's
    ``concordance_index_censored``.

    Parameters
    ----------
    time : array (n,)
        Any unit.
    event : array (n,) of bool
        False = censored.
    risk : array (n,)
        Greater means sooner.

    Examples
    --------
    >>> concordance([1.0, 2.0, 3.0], [True, False, True], [3.0, 1.0, 2.0])
    1.0
    """
    times, died = np.asarray(time, np.float64), np.asarray(event, bool)
    risks = np.asarray(risk, np.float64)
    if not times.shape == died.shape == risks.shape or times.ndim != 1:
        raise DataError(
            f"time {times.shape}, event {died.shape} and risk {risks.shape} must be three arrays "
            "of one length."
        )
    right = counted = 0.0
    for i in np.flatnonzero(died).tolist():  # one row of the (n, n) comparison at a time
        later = _outlives(times, died, i)
        counted += float(later.sum())
        right += float((risks[later] < risks[i]).sum() + 0.5 * (risks[later] == risks[i]).sum())
    return right / counted if counted else float("nan")


def _outlives(times: NDArray[np.float64], died: NDArray[np.bool_], i: int) -> NDArray[np.bool_]:
    outlives: NDArray[np.bool_] = (times > times[i]) | ((times == times[i]) & ~died)
    return outlives


METRICS: Mapping[str, Metric] = {"concordance": Metric(concordance, greater_is_better=True)}
