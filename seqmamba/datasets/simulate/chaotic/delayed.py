"""The Mackey-Glass delay equation by the method of steps."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from seqmamba.datasets.simulate.chaotic.systems import System

__all__ = ["mackey_glass_orbit"]

GAIN, DECAY, POWER = 0.2, 0.1, 10

Array = NDArray[np.float64]


def mackey_glass_orbit(system: System, n_steps: int, dt: float, start: float) -> Array:
    r"""Return samples of :math:`x' = 0.2 x_\tau / (1 + x_\tau^{10}) - 0.1 x`: (n_steps,).

    Runge-Kutta of order four; the delayed value at half a step is a cubic Hermite polynomial. Over
    one delay the equation is linear in x with a known force, so that each delay is one filter.
    """
    per_delay = math.ceil(system.delay / system.step)
    step = system.delay / per_delay
    wanted = system.transient + (n_steps - 1) * dt
    blocks = math.ceil(wanted / system.delay) + 1
    history = np.full(per_delay + 1, start)
    slopes = np.zeros(per_delay + 1)  # the past is constant
    parts = [history]
    for _ in range(blocks):
        history, slopes = _next_delay(history, slopes, step)
        parts.append(history[1:])
    orbit = np.concatenate(parts)
    place = (system.transient + np.arange(n_steps) * dt + system.delay) / step
    return _between(orbit, place)


def _next_delay(past: Array, slopes: Array, step: float) -> tuple[Array, Array]:
    """Return values and slopes over the delay that follows, both ends included."""
    middle = (past[:-1] + past[1:]) / 2 + step / 8 * (slopes[:-1] - slopes[1:])
    force, half = _force(past), _force(middle)
    zero = np.zeros(len(middle))
    driven = _increment(zero, force[:-1], half, force[1:], step)
    factor = 1.0 + float(_increment(np.ones(1), zero[:1], zero[:1], zero[:1], step)[0])
    values = np.concatenate([past[-1:], np.zeros(len(driven))])
    filtered = lfilter([1.0], [1.0, -factor], driven, zi=np.array([factor * past[-1]]))[0]
    values[1:] = filtered
    return values, force - DECAY * values


def _increment(x: Array, first: Array, half: Array, last: Array, step: float) -> Array:
    """Return the Runge-Kutta increment of ``x' = force - DECAY x``."""
    k1 = first - DECAY * x
    k2 = half - DECAY * (x + step / 2 * k1)
    k3 = half - DECAY * (x + step / 2 * k2)
    k4 = last - DECAY * (x + step * k3)
    return step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def _force(delayed: Array) -> Array:
    return GAIN * delayed / (1 + delayed**POWER)


def _between(values: Array, place: NDArray[Any]) -> Array:
    """Read the orbit between its points: a cubic through the four nearest."""
    first = np.clip(np.floor(place).astype(int) - 1, 0, len(values) - 4)
    u = place - first
    nodes = range(4)
    out = np.zeros(len(place))
    for i in nodes:
        weight = np.ones(len(place))
        for j in nodes:
            if j != i:
                weight *= (u - j) / (i - j)
        out += weight * values[first + i]
    return out
