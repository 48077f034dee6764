"""The concordance index counts the pairs that can be compared."""

import math

import numpy as np
import pytest

from seqmamba.errors import DataError
from seqmamba.metrics.survival import concordance


def by_pairs(time: list[float], event: list[bool], risk: list[float]) -> float:
    """The definition, pair by pair."""
    right = counted = 0.0
    for i in range(len(time)):
        for j in range(len(time)):
            later = time[j] > time[i] or (time[j] == time[i] and not event[j])
            if event[i] and i != j and later:
                counted += 1
                right += 1.0 if risk[i] > risk[j] else 0.5 if risk[i] == risk[j] else 0.0
    return right / counted


@pytest.mark.parametrize("seed", range(3))
def test_ties_in_time_and_risk(seed: int) -> None:
    rng = np.random.default_rng(seed)
    time, risk = rng.integers(1, 6, 30).astype(float), rng.integers(0, 4, 30).astype(float)
    event = rng.random(30) < 0.6

    found = concordance(time, event, risk)

    assert found == pytest.approx(by_pairs(time.tolist(), event.tolist(), risk.tolist()))


def test_equal_risks_count_half() -> None:
    assert concordance([1, 2, 3], [1, 1, 0], [0, 0, 0]) == 0.5


def test_without_events_there_is_no_index() -> None:
    assert math.isnan(concordance([1, 2], [0, 0], [1, 2]))


def test_lengths_are_checked() -> None:
    with pytest.raises(DataError, match="one length"):
        concordance([1.0], [True, False], [1.0])
