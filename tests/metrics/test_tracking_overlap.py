"""Overlaps of boxes and errors of forecasts."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seqmamba.errors import DataError
from seqmamba.metrics.tracking import ade, biou, fde, giou, hmiou, horizon_iou, iou

A = np.array([0.0, 0.0, 2.0, 2.0])
BESIDE = np.array([3.0, 0.0, 5.0, 2.0])

corners = arrays(np.float64, (4, 2), elements=st.floats(-1e3, 1e3))
sizes = arrays(np.float64, (4, 2), elements=st.floats(0.5, 1e3))
SIMILARITIES = pytest.mark.parametrize("similarity", [iou, giou, hmiou, biou])


@SIMILARITIES
@given(corner=corners, size=sizes, shift=st.floats(-500, 500), factor=st.floats(0.1, 10))
def test_symmetric_bounded_and_free_of_place_and_scale(
    similarity: Any, corner: Any, size: Any, shift: float, factor: float
) -> None:
    boxes = np.concatenate([corner, corner + size], axis=1)

    value = similarity(boxes[:, None], boxes)

    assert np.all((value >= -1) & (value <= 1 + 1e-12))
    np.testing.assert_allclose(value, value.T, atol=1e-12)
    np.testing.assert_allclose(np.diag(value), 1)
    moved = boxes * factor + shift
    np.testing.assert_allclose(similarity(moved[:, None], moved), value, atol=1e-6)


def test_values_by_hand() -> None:
    half = np.array([1.0, 0.0, 3.0, 2.0])
    lower = np.array([0.0, 1.0, 2.0, 3.0])

    assert iou(A, half) == pytest.approx(1 / 3)
    assert giou(A, BESIDE) == pytest.approx(-1 / 5)
    assert hmiou(A, lower) == pytest.approx(1 / 3 * 1 / 3)
    assert iou(A, BESIDE) == 0
    assert biou(A, BESIDE, buffer=0.3) == pytest.approx((0.2 * 3.2) / (2 * 3.2**2 - 0.2 * 3.2))


def test_displacement_by_hand() -> None:
    truth, forecast = np.zeros((1, 2, 2)), np.array([[[3.0, 4.0], [0.0, 1.0]]])

    assert ade(truth, forecast) == 3
    assert fde(truth, forecast) == 1


def test_no_objects_give_nan() -> None:
    assert np.isnan(ade(np.zeros((0, 3, 2)), np.zeros((0, 3, 2))))


def test_horizon_iou_is_per_step() -> None:
    boxes = np.stack([A, BESIDE])[None]

    np.testing.assert_allclose(horizon_iou(boxes, np.stack([A, A])[None]), [1, 0])


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(DataError, match=r"\(1, 2, 2\) and forecast \(1, 3, 2\)"):
        ade(np.zeros((1, 2, 2)), np.zeros((1, 3, 2)))
