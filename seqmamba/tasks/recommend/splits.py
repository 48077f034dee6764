"""Which events train, which are asked for: leave-one-out, by time, or all for training."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seqmamba.datasets.interactions.table import Interactions
from seqmamba.errors import DataError

__all__ = ["Queries", "Split", "SplitName", "leave_one_out", "temporal", "train_on_all"]

Ints = NDArray[np.int64]
SplitName = Literal["leave_one_out", "temporal", "none"]


@dataclass(frozen=True)
class Queries:
    """Questions: the first ``cuts`` events of a user are known; what comes next.

    Parameters
    ----------
    users, cuts, stops : array (n,) int64
        The answers are the events ``cuts..stops - 1`` of the user, at least one.
    """

    users: Ints
    cuts: Ints
    stops: Ints

    def __len__(self) -> int:
        return len(self.users)


@dataclass(frozen=True)
class Split:
    """What a split gives.

    Parameters
    ----------
    trained : array (U,) int64
        Number of leading events of each user that train.
    valid, test : Queries or None
    """

    trained: Ints
    valid: Queries | None
    test: Queries | None


def train_on_all(counts: Ints) -> Split:
    """Hold nothing out."""
    return Split(counts.copy(), None, None)


def leave_one_out(counts: Ints) -> Split:
    """Ask for the last event of each user, and validate on the one before.

    Short users as in RecBole's ``LS: valid_and_test``: up to 2 events train only, 3 have no
    validation event.
    """
    has_test, has_valid = counts >= 3, counts >= 4
    test, valid = np.flatnonzero(has_test), np.flatnonzero(has_valid)
    last = counts - 1
    return Split(
        trained=counts - has_test - has_valid,
        valid=Queries(valid, last[valid] - 1, last[valid]),
        test=Queries(test, last[test], counts[test]),
    )


def temporal(
    data: Interactions, *, valid_size: float = 0.1, test_size: float = 0.1, first_only: bool = True
) -> Split:
    """Train on what came before a moment, ask for what came after it.

    Two moments cut the last ``valid_size + test_size`` of all events into a validation and a test
    part. Users without an event before the cut are left out of the part.

    Parameters
    ----------
    first_only : bool
        Ask for the first event after the cut only, else for all in the part.

    Raises
    ------
    DataError
        There are no times, or a part is empty.
    """
    if data.times is None:
        raise DataError(
            "a temporal split needs times; name their column with time_col, or use "
            "split='leave_one_out'."
        )
    ordered = np.sort(data.times)
    n = len(ordered)
    begin_test = ordered[min(int(n * (1 - test_size)), n - 1)]
    begin_valid = ordered[min(int(n * (1 - test_size - valid_size)), n - 1)]
    before_valid = _events_before(data, begin_valid)
    before_test = _events_before(data, begin_test)
    valid = _asked(before_valid, before_test, first_only)
    test = _asked(before_test, data.counts, first_only)
    if len(valid) == 0 or len(test) == 0:
        raise DataError(
            "no user has events on both sides of the temporal cut; use split='leave_one_out'."
        )
    return Split(before_valid, valid, test)


def _events_before(data: Interactions, moment: Any) -> Ints:
    """Count the events of each user before a moment: (U,)."""
    assert data.times is not None
    return np.bincount(data.owners[data.times < moment], minlength=len(data.users))


def _asked(known: Ints, stops: Ints, first_only: bool) -> Queries:
    users = np.flatnonzero((known > 0) & (stops > known))
    cuts = known[users]
    return Queries(users, cuts, cuts + 1 if first_only else stops[users])
