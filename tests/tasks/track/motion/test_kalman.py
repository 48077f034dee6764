"""The batch filters against filterpy 2.0.0, one filter per track."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqmamba.errors import ConfigError
from seqmamba.tasks.track.motion.kalman import KalmanMotion

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "kalman.json"


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    """Boxes of 3 tracks over 200 frames, a fifth of them unseen, and filterpy's states."""
    data: dict[str, Any] = json.loads(GOLDEN.read_text())
    return data


def _states(golden: dict[str, Any], form: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    boxes, seen = np.array(golden["boxes"]), np.array(golden["seen"])
    motion, scores = KalmanMotion(form), np.ones(boxes.shape[1])
    motion.initiate(boxes[0], scores)
    lost = np.zeros(boxes.shape[1], bool)
    x, diagonal, cross = [], [], []
    for t in range(1, len(boxes)):
        motion.predict(golden["dt"][t], lost)
        rows = np.flatnonzero(seen[t])
        motion.update(rows, boxes[t, rows], scores[rows])
        lost = ~seen[t]
        if t % 20 == 19 or t == len(boxes) - 1:
            x.append(np.hstack([motion.position, motion.velocity]))
            diagonal.append(np.hstack([motion.spread, motion.drift]))
            cross.append(motion.cross.copy())
    return np.array(x), np.array(diagonal), np.array(cross)


@pytest.mark.parametrize("form", ["xyah", "xyxy", "xysr"])
def test_batch_filter_equals_filterpy(golden: dict[str, Any], form: str) -> None:
    expected = {name: np.array(value) for name, value in golden["value"][form].items()}
    size = expected["x"].shape[-1]  # xysr has seven states

    x, diagonal, cross = _states(golden, form)

    np.testing.assert_allclose(x[..., :size], expected["x"], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(diagonal[..., :size], expected["P_diagonal"], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(cross[..., : size - 4], expected["P_cross"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("form", ["xyah", "xyxy", "xysr"])
def test_boxes_survive_the_change_of_coordinates(form: str) -> None:
    motion, boxes = KalmanMotion(form), np.array([[10.0, 20.0, 40.0, 90.0], [-5.0, 0.0, 5.0, 1.0]])

    motion.initiate(boxes, np.ones(2))

    np.testing.assert_allclose(motion.form.boxes(motion.position), boxes, atol=1e-9)


def test_horizon_changes_nothing_and_agrees_with_predict() -> None:
    motion = KalmanMotion("xyxy")
    motion.initiate(np.array([[0.0, 0.0, 10.0, 20.0]]), np.ones(1))
    motion.predict()
    motion.update(np.array([0]), np.array([[3.0, 0.0, 13.0, 20.0]]), np.ones(1))

    ahead = motion.predict_horizon(2)

    np.testing.assert_allclose(ahead[:, 0], motion.predict())
    np.testing.assert_allclose(ahead[:, 1], motion.predict())


def test_gating_is_zero_at_the_prediction_and_grows_away_from_it() -> None:
    motion = KalmanMotion("xyah")
    box = np.array([[0.0, 0.0, 10.0, 20.0]])
    motion.initiate(box, np.ones(1))

    distance = motion.gating(np.array([0]), np.concatenate([box, box + 5, box + 50]))

    assert distance is not None
    assert distance[0, 0] == pytest.approx(0)
    assert 0 < distance[0, 1] < distance[0, 2]


def test_state_dict_continues_exactly() -> None:
    first, second = KalmanMotion("xysr"), KalmanMotion("xysr")
    first.initiate(np.array([[0.0, 0.0, 10.0, 20.0]]), np.ones(1))
    first.predict()

    second.load_state_dict(first.state_dict())

    np.testing.assert_array_equal(first.predict(), second.predict())


def test_unknown_form_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'xyah'"):
        KalmanMotion("xyahh")
