"""Three ways to write a box for a Kalman filter, with the noise that goes with each.

In all of them transition, process and measurement noise act on each coordinate alone, so that the
filter of eight states is four filters of two.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["FORMS", "Form", "FormName", "Xyah", "Xysr", "Xyxy"]

FormName = Literal["xyah", "xyxy", "xysr"]
Array = NDArray[np.float64]

_BUT_ASPECT = np.array([1.0, 1.0, 0.0, 1.0])


class Form(Protocol):
    """Coordinates of a box and the variances of their filter.

    All arrays are (N, 4); variances may also be of a shape that is broadcast to it.
    """

    def measure(self, boxes: Array) -> Array:
        """Turn corners into coordinates."""

    def boxes(self, x: Array) -> Array:
        """Turn coordinates into corners."""

    def start(self, x: Array) -> tuple[Array, Array]:
        """Return the variances of position and velocity of new tracks."""

    def process(self, x: Array) -> tuple[Array, Array]:
        """Return the process variances of position and velocity per frame."""

    def noise(self, x: Array) -> Array:
        """Return the measurement variances."""

    def steady(self, x: Array, v: Array, dt: float, lost: NDArray[np.bool_] | None) -> Array:
        """Return the velocities that a prediction may use."""


@dataclass(frozen=True)
class Xyah:
    """Centre, aspect and height; noise in proportion to the height.

    Source: the filter of DeepSORT (arXiv 1703.07402) as used by ByteTrack.

    Parameters
    ----------
    wp, wv : float
        Standard deviation of position and velocity as a share of the height.
    """

    wp: float = 1 / 20
    wv: float = 1 / 160

    def measure(self, boxes: Array) -> Array:
        """Turn corners into centre, aspect, height."""
        size = boxes[:, 2:] - boxes[:, :2]
        centre = boxes[:, :2] + size / 2
        size[:, 0] /= size[:, 1]
        return np.concatenate([centre, size], axis=1)

    def boxes(self, x: Array) -> Array:
        """Turn centre, aspect, height into corners."""
        half = x[:, 2:] / 2
        half[:, 0] *= x[:, 3]
        return np.concatenate([x[:, :2] - half, x[:, :2] + half], axis=1)

    def start(self, x: Array) -> tuple[Array, Array]:
        """Return the variances of new tracks."""
        h = x[:, 3]
        return _squares(2 * self.wp * h, 1e-2), _squares(10 * self.wv * h, 1e-5)

    def process(self, x: Array) -> tuple[Array, Array]:
        """Return the process variances per frame."""
        h = x[:, 3]
        return _squares(self.wp * h, 1e-2), _squares(self.wv * h, 1e-5)

    def noise(self, x: Array) -> Array:
        """Return the measurement variances."""
        return _squares(self.wp * x[:, 3], 1e-1)

    def steady(self, x: Array, v: Array, dt: float, lost: NDArray[np.bool_] | None) -> Array:
        """Keep the height of lost tracks."""
        if lost is None or not lost.any():
            return v
        v = v.copy()
        v[lost, 3] = 0.0
        return v


@dataclass(frozen=True)
class Xyxy:
    """The corners themselves; constant noise in pixels.

    Source: the corner filter of Roboflow ``trackers`` 2.6.1. Only the ratio of measurement to
    process noise matters once a track has started.

    Parameters
    ----------
    r, qp, qv : float
        Variance of measurement, position and velocity.
    """

    r: float = 0.1
    qp: float = 0.01
    qv: float = 0.01

    def measure(self, boxes: Array) -> Array:
        """Return the corners."""
        return boxes.copy()

    def boxes(self, x: Array) -> Array:
        """Return the corners."""
        return x.copy()

    def start(self, x: Array) -> tuple[Array, Array]:
        """Return the variances of new tracks: 1."""
        return np.ones_like(x), np.ones_like(x)

    def process(self, x: Array) -> tuple[Array, Array]:
        """Return the process variances per frame."""
        return np.array(self.qp), np.array(self.qv)

    def noise(self, x: Array) -> Array:
        """Return the measurement variances."""
        return np.array(self.r)

    def steady(self, x: Array, v: Array, dt: float, lost: NDArray[np.bool_] | None) -> Array:
        """Return the velocities as they are."""
        return v


@dataclass(frozen=True)
class Xysr:
    """Centre, area and aspect; the aspect has no velocity.

    Source: the filter of SORT (arXiv 1602.00763).
    """

    def measure(self, boxes: Array) -> Array:
        """Turn corners into centre, area, aspect."""
        size = boxes[:, 2:] - boxes[:, :2]
        centre = boxes[:, :2] + size / 2
        return np.column_stack([centre, size[:, 0] * size[:, 1], size[:, 0] / size[:, 1]])

    def boxes(self, x: Array) -> Array:
        """Turn centre, area, aspect into corners."""
        area, aspect = np.maximum(x[:, 2], 1e-6), np.maximum(x[:, 3], 1e-6)
        width = np.sqrt(area * aspect)
        half = np.column_stack([width, area / width]) / 2
        return np.concatenate([x[:, :2] - half, x[:, :2] + half], axis=1)

    def start(self, x: Array) -> tuple[Array, Array]:
        """Return the variances of new tracks."""
        return _rows(x, (10.0, 10.0, 10.0, 10.0)), _rows(x, (1e4, 1e4, 1e4, 0.0))

    def process(self, x: Array) -> tuple[Array, Array]:
        """Return the process variances per frame."""
        return _rows(x, (1.0, 1.0, 1.0, 1.0)), _rows(x, (0.01, 0.01, 1e-4, 0.0))

    def noise(self, x: Array) -> Array:
        """Return the measurement variances."""
        return _rows(x, (1.0, 1.0, 10.0, 10.0))

    def steady(self, x: Array, v: Array, dt: float, lost: NDArray[np.bool_] | None) -> Array:
        """Stop the shrinking of an area that would vanish."""
        vanishing = x[:, 2] + v[:, 2] * dt <= 0
        if not vanishing.any():
            return v
        v = v.copy()
        v[vanishing, 2] = 0.0
        return v


FORMS: Mapping[FormName, type[Xyah] | type[Xyxy] | type[Xysr]] = {
    "xyah": Xyah,
    "xyxy": Xyxy,
    "xysr": Xysr,
}


def _squares(spread: Array, aspect: float) -> Array:
    """Square standard deviations: (N,) for x, y and h, one number for the aspect."""
    squares: Array = (spread**2)[:, None] * _BUT_ASPECT
    squares[:, 2] = aspect**2
    return squares


def _rows(x: Array, values: tuple[float, ...]) -> Array:
    return np.broadcast_to(np.array(values), x.shape)
