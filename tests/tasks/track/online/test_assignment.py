"""The pairing of tracks and detections."""

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from seqmamba.metrics.tracking import iou
from seqmamba.tasks.track.online import assignment
from seqmamba.tasks.track.online.assignment import assign, candidates


def _boxes(rng: np.random.Generator, n: int, room: float) -> np.ndarray:
    corner, size = rng.uniform(0, room, (n, 2)), rng.uniform(20, 80, (n, 2))
    return np.concatenate([corner, corner + size], axis=1)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(0, 12), m=st.integers(0, 12))
def test_pairs_are_as_good_as_the_dense_optimum(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    value = np.round(rng.random((n, m)), 3)
    rows, columns = np.nonzero(value >= 0.5)
    dense = np.where(value >= 0.5, 1 - value, 1e5)
    best = dense[linear_sum_assignment(dense)]

    i, j = assign(rows, columns, 1 - value[rows, columns])

    assert len(set(i)) == len(i) == len(set(j)) == (best < 1e5).sum()
    assert (1 - value[i, j]).sum() == pytest.approx(best[best < 1e5].sum())


def test_components_give_what_one_problem_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    boxes = _boxes(rng, 200, 1200)
    moved = boxes + rng.normal(0, 8, (200, 1))
    rows, columns, value = candidates(boxes, moved, "iou", 0.1)

    split = assign(rows, columns, 1 - value)
    monkeypatch.setattr(assignment, "WHOLE", 10_000)
    whole = assign(rows, columns, 1 - value)

    np.testing.assert_array_equal(split, whole)


@pytest.mark.parametrize("similarity", ["iou", "hmiou", "biou"])
def test_sorting_out_first_loses_no_pair(
    monkeypatch: pytest.MonkeyPatch, similarity: Literal["iou", "hmiou", "biou"]
) -> None:
    rng = np.random.default_rng(1)
    first, second = _boxes(rng, 80, 700), _boxes(rng, 90, 700)

    sparse = candidates(first, second, similarity, 0.05)
    monkeypatch.setattr(assignment, "SPARSE", 10**9)
    dense = candidates(first, second, similarity, 0.05)

    for a, b in zip(sparse, dense, strict=True):
        np.testing.assert_allclose(a, b)


def test_boxes_that_do_not_touch_pass_with_giou_only() -> None:
    track, detection = np.array([[0.0, 0, 2, 2]]), np.array([[3.0, 0, 5, 2]])

    assert len(candidates(track, detection, "giou", -0.5)[0]) == 1
    assert len(candidates(track, detection, "iou", 0.0)[0]) == 0


def test_two_thousand_detections_are_paired_quickly() -> None:
    rng = np.random.default_rng(2)
    boxes = _boxes(rng, 2000, 8000)

    rows, columns, value = candidates(boxes, boxes, "iou", 0.3)
    i, j = assign(rows, columns, 1 - value)

    np.testing.assert_array_equal(i, j)
    assert len(i) == 2000
    assert iou(boxes[i], boxes[j]).min() == 1
