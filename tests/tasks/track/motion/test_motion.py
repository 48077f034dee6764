"""Motion models: what every one of them keeps, and what history models do with gaps."""

from typing import Any

import numpy as np
import pytest

from seqmamba.errors import ConfigError
from seqmamba.tasks.track.motion.choice import NAMED, motion_model
from seqmamba.tasks.track.motion.linear import LinearARMotion
from seqmamba.tasks.track.motion.model import MotionModel

ONE, TWO = np.array([[0.0, 0.0, 10.0, 20.0]]), np.array([[50.0, 10.0, 80.0, 70.0]])
ALL = pytest.mark.parametrize("name", NAMED)


def _line(model: MotionModel, n_steps: int, speed: float = 4.0) -> np.ndarray:
    """Lead one track along a straight line and return its last box."""
    box = ONE
    model.initiate(box, np.ones(1))
    for _ in range(n_steps):
        box = box + np.array([speed, 0, speed, 0])
        model.predict(1.0, np.zeros(1, bool))
        model.update(np.array([0]), box, np.ones(1))
    return box


def _velocity(q: int = 5, **settings: Any) -> LinearARMotion:
    weights = np.zeros((4 * q + 1, 4))
    weights[-5:-1] = np.eye(4)
    return LinearARMotion(weights, **settings)


@ALL
def test_rows_are_kept_apart(name: str) -> None:
    both, alone = motion_model(name), motion_model(name)
    both.initiate(np.concatenate([ONE, TWO]), np.ones(2))
    alone.initiate(TWO, np.ones(1))
    for model, rows in ((both, np.array([1])), (alone, np.array([0]))):
        model.predict(1.0, np.zeros(len(model), bool))
        model.update(rows, TWO + 3, np.ones(1))

    both.keep(np.array([False, True]))

    assert len(both) == 1
    np.testing.assert_allclose(both.predict(), alone.predict())


def test_own_predictions_are_known_as_such() -> None:
    model = _velocity(q=3)
    model.initiate(np.concatenate([ONE, TWO]), np.array([0.9, 0.8]))

    model.predict(1.0, np.zeros(2, bool))
    model.update(np.array([1]), TWO, np.array([0.7]))

    assert model.sure.tolist() == [[0.9, 0.9, 0.9, 0.0], [0.8, 0.8, 0.8, 0.7]]


@ALL
def test_horizon_changes_no_state(name: str) -> None:
    model = motion_model(name)
    _line(model, 8)
    before = model.state_dict()

    ahead = model.predict_horizon(5)

    assert ahead.shape == (1, 5, 4)
    after = model.state_dict()
    assert all(np.array_equal(before[key], after[key]) for key in before)
    np.testing.assert_allclose(ahead[:, 0], model.predict())


@ALL
def test_no_tracks_are_no_trouble(name: str) -> None:
    model = motion_model(name)

    assert model.predict(1.0, np.zeros(0, bool)).shape == (0, 4)
    assert model.predict_horizon(3).shape == (0, 3, 4)


@pytest.mark.parametrize("name", ["kalman", "kalman-xyah", "kalman-xysr", "linear"])
def test_a_straight_line_is_followed(name: str) -> None:
    model = motion_model(name)
    box = _line(model, 60)

    predicted = model.predict(1.0, np.zeros(1, bool))

    np.testing.assert_allclose(predicted, box + np.array([4, 0, 4, 0]), atol=0.8)


def test_a_lost_track_lives_on_its_own_predictions() -> None:
    model = _velocity(damping=1.0)
    box = _line(model, 5)

    far = [model.predict(1.0, np.ones(1, bool)) for _ in range(10)][-1]

    np.testing.assert_allclose(far, box + np.array([40, 0, 40, 0]))


def test_damping_slows_a_lost_track() -> None:
    model = _velocity(damping=0.5)
    box = _line(model, 5)

    far = [model.predict(1.0, np.ones(1, bool)) for _ in range(20)][-1]

    # 4 + 4 * 0.5, then the damped offset is what the next step starts from
    np.testing.assert_allclose(far[0, 0] - box[0, 0], 4 + 2 + 0.5 + 0.0625, atol=0.01)


def test_a_gap_that_ended_becomes_a_line() -> None:
    model = _velocity(damping=1.0)
    box = _line(model, 6)
    for _ in range(3):
        model.predict(1.0, np.ones(1, bool))
    found = box + np.array([30, 0, 30, 0])
    model.update(np.array([0]), found, np.ones(1))

    steps = np.diff(model.history[0, :, 0])

    np.testing.assert_allclose(steps[-3:], 10)
    np.testing.assert_allclose(steps[:-3], 4)


def test_without_repair_the_jump_stays() -> None:
    model = _velocity(damping=1.0, repair=False)
    box = _line(model, 6)
    for _ in range(3):
        model.predict(1.0, np.ones(1, bool))
    model.update(np.array([0]), box + np.array([30, 0, 30, 0]), np.ones(1))

    np.testing.assert_allclose(np.diff(model.history[0, :, 0])[-3:], [4, 4, 22])


def test_a_turning_camera_takes_hidden_tracks_along() -> None:
    boxes = np.concatenate([ONE + 100.0 * i for i in range(6)])
    shared, apart = _velocity(), _velocity(common=False)
    pan = np.array([7.0, 0, 7, 0])
    for model in (shared, apart):
        model.initiate(boxes, np.ones(6))
        for step in range(1, 6):
            model.predict(1.0, np.zeros(6, bool))
            model.update(np.arange(5), boxes[:5] + step * pan, np.ones(5))

    hidden = [model.predict(1.0, np.zeros(6, bool))[5] for model in (shared, apart)]

    np.testing.assert_allclose(hidden[0], boxes[5] + 6 * pan, atol=2)
    np.testing.assert_allclose(hidden[1], boxes[5])


def test_errors_that_differ_move_nobody() -> None:
    boxes, rng = np.concatenate([ONE + 100.0 * i for i in range(6)]), np.random.default_rng(0)
    model = _velocity()
    model.initiate(boxes, np.ones(6))
    model.predict(1.0, np.zeros(6, bool))
    error = rng.permuted(np.array([-4.0, -2, 0.1, 2, 4]))[:, None]

    model.update(np.arange(5), boxes[:5] + error, np.ones(5))

    np.testing.assert_allclose(model.history[5, -1], model.history[5, 0])


def test_sizes_freeze_and_never_vanish() -> None:
    weights = np.zeros((21, 4))
    weights[-1, 2:] = -8.0  # shrink by eight tenths of the size in each step
    model = LinearARMotion(weights, damping=1.0)
    model.initiate(ONE, np.ones(1))

    boxes = np.concatenate([model.predict(1.0, np.ones(1, bool)) for _ in range(12)])

    size = boxes[:, 2:] - boxes[:, :2]
    assert np.all(size > 0)
    np.testing.assert_allclose(size[5:], size[5:6].repeat(7, axis=0), rtol=1e-6)


def test_a_long_time_step_is_several_short_ones() -> None:
    one, three = _velocity(damping=1.0), _velocity(damping=1.0)
    _line(one, 5)
    _line(three, 5)

    jump = three.predict(3.0, np.zeros(1, bool))

    np.testing.assert_allclose(jump, [one.predict() for _ in range(3)][-1])


def test_models_are_copied_and_not_shared() -> None:
    model = _velocity()
    _line(model, 3)

    own = motion_model(model)

    assert len(own) == 0
    assert len(model) == 1


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'kalman'"):
        motion_model("kalmann")
    with pytest.raises(ConfigError, match="motion must be one of"):
        motion_model(3)
