"""Scores of ensembles: hand-made values, and honest members win."""

import numpy as np
import pytest

from seqmamba.errors import DataError
from seqmamba.metrics.chaos import coverage_by_lead, crps_by_lead

TRUTH = np.array([[[1.0, 2.0], [2.0, 4.0], [1.0, 2.0], [2.0, 4.0]]])


def test_ensembles_are_scored_as_by_hand() -> None:
    members = np.array([1.0, 2.0, 4.0]).reshape(1, 3, 1, 1)

    # mean error of the truth 2: 1; mean distance of two members: 2
    assert crps_by_lead([[[2.0]]], members, [1.0]) == pytest.approx(1 - 2 / 2)
    assert crps_by_lead([[[2.0]]], members[:, :1], [0.5]) == pytest.approx(2.0)
    assert coverage_by_lead([[[2.0]]], members) == 1
    assert coverage_by_lead([[[4.1]]], members) == 0


def test_an_honest_ensemble_covers_its_level_and_beats_a_narrow_one() -> None:
    random = np.random.default_rng(0)
    truth, members = random.standard_normal((400, 5, 2)), random.standard_normal((400, 50, 5, 2))

    covered = coverage_by_lead(truth, members, 0.8)

    np.testing.assert_allclose(covered, 0.8, atol=0.06)
    assert (crps_by_lead(truth, members, 1.0) < crps_by_lead(truth, 0.2 * members, 1.0)).all()


def test_shapes_of_ensembles_must_agree() -> None:
    with pytest.raises(DataError, match="and members"):
        crps_by_lead(TRUTH, TRUTH, [1.0, 1.0])
