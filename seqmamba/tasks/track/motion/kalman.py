"""Kalman filters with constant velocity for all tracks at once."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from seqmamba.errors import ConfigError
from seqmamba.params import nearest
from seqmamba.tasks.track.motion.forms import FORMS, Form
from seqmamba.tasks.track.motion.model import ArrayState, Boxes, Rows

__all__ = ["KalmanMotion"]


class KalmanMotion(ArrayState):
    """Constant velocity, filtered: the classical opponent.

    With position p and velocity v of one coordinate and the covariance (a, b; b, c)::

        predict  p += v dt;  a += 2 dt b + dt^2 c + dt q_p;  b += dt c;  c += dt q_v
        update   k_p = a / (a + r);  k_v = b / (a + r);  p += k_p (z - p);  v += k_v (z - p)
                 (a, b, c) = ((1 - k_p) a, (1 - k_p) b, c - k_v b)

    Agrees with one ``filterpy.kalman.KalmanFilter`` (2.0.0) per track to 1e-9.

    Parameters
    ----------
    form : {"xyxy", "xyah", "xysr"} or Form
        Coordinates and noise; see :mod:`seqmamba.tasks.track.motion.forms`.

    Examples
    --------
    >>> motion = KalmanMotion("xyxy")
    >>> motion.initiate(np.array([[0.0, 0.0, 10.0, 20.0]]), np.ones(1))
    >>> motion.predict().tolist()
    [[0.0, 0.0, 10.0, 20.0]]
    """

    _shapes: Mapping[str, tuple[int, ...]] = {
        "position": (4,),
        "velocity": (4,),
        "spread": (4,),
        "cross": (4,),
        "drift": (4,),
    }
    position: NDArray[np.float64]
    velocity: NDArray[np.float64]
    spread: NDArray[np.float64]  # variance of the position
    cross: NDArray[np.float64]  # covariance of position and velocity
    drift: NDArray[np.float64]  # variance of the velocity

    def __init__(self, form: str | Form = "xyxy") -> None:
        if isinstance(form, str) and form not in FORMS:
            known = ", ".join(repr(name) for name in FORMS)
            raise ConfigError(f"form must be one of {known}; got {form!r}.{nearest(form, FORMS)}")
        self.form: Form = FORMS[form]() if isinstance(form, str) else form  # type: ignore[index]
        self.reset()

    def initiate(self, boxes: Boxes, scores: NDArray[np.float64]) -> None:
        """Append one row per box, at rest."""
        position = self.form.measure(boxes)
        spread, drift = self.form.start(position)
        zero = np.zeros_like(position)
        self._append(position=position, velocity=zero, spread=spread, cross=zero, drift=drift)

    def predict(self, dt: float = 1.0, lost: NDArray[np.bool_] | None = None) -> Boxes:
        """Advance all rows; process noise grows with ``dt``."""
        q_position, q_velocity = self.form.process(self.position)
        self.velocity = self.form.steady(self.position, self.velocity, dt, lost)
        self.position += dt * self.velocity
        moved = dt * self.drift
        self.spread += dt * (2 * self.cross + moved + q_position)
        self.cross += moved
        self.drift += dt * q_velocity
        return self.form.boxes(self.position)

    def update(self, rows: Rows, boxes: Boxes, scores: NDArray[np.float64]) -> None:
        """Correct some rows by their detections."""
        # all rows at once with a gain of 0 for the unseen: one scatter in place of eight
        error = np.zeros_like(self.position)
        error[rows] = self.form.measure(boxes) - self.position[rows]
        weight = np.zeros((len(self), 1))
        weight[rows] = 1.0
        weight = weight / (self.spread + self.form.noise(self.position))
        gain, push = self.spread * weight, self.cross * weight
        self.position += gain * error
        self.velocity += push * error
        self.drift -= push * self.cross
        kept = 1 - gain
        self.spread *= kept
        self.cross *= kept

    def predict_horizon(self, h: int) -> Boxes:
        """Follow the velocities for ``h`` frames: (N, h, 4)."""
        steps = []
        position = self.position
        for _ in range(h):
            position = position + self.form.steady(position, self.velocity, 1.0, None)
            steps.append(self.form.boxes(position))
        return np.stack(steps, axis=1) if steps else np.zeros((len(self), 0, 4))

    def gating(self, rows: Rows, boxes: Boxes) -> NDArray[np.float64] | None:
        """Return squared Mahalanobis distances with four degrees of freedom: (k, m)."""
        position = self.position[rows]
        total = self.spread[rows] + self.form.noise(position)
        error = self.form.measure(boxes)[None] - position[:, None]
        distance: NDArray[np.float64] = (error**2 / total[:, None]).sum(axis=-1)
        return distance
