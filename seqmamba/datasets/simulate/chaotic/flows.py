"""Right-hand sides of the ordinary differential equations, with the parameters of the table.

A state is a sequence of components, floats for one orbit or arrays (n,) for n at once: Python's
own floats are several times faster than arrays of length one. Source: chaotic-forecasting
specification, 5.3.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["Field", "State", "field_of", "lorenz96", "pendulum_energy"]

State = Sequence[Any]
Field = Callable[[State], list[Any]]

GRAVITY = 9.81


def field_of(name: str) -> Field:
    """Return the right-hand side of a system without free parameters."""
    return _FIELDS[name]


def lorenz96(forcing: float) -> Field:
    """Return ``x_i' = (x_{i+1} - x_{i-2}) x_{i-1} - x_i + F``, cyclic, for any dimension."""

    def field(x: State) -> list[Any]:
        n = len(x)
        return [(x[(i + 1) % n] - x[i - 2]) * x[i - 1] - x[i] + forcing for i in range(n)]

    return field


def pendulum_energy(state: State) -> Any:
    """Return the energy of the double pendulum (unit masses and rods); its flow keeps it."""
    a, b, p, q = state
    d = a - b
    kinetic = (p * p + 2 * q * q - 2 * p * q * np.cos(d)) / (2 * (1 + np.sin(d) ** 2))
    return kinetic - GRAVITY * (2 * np.cos(a) + np.cos(b))


def _lorenz63(state: State) -> list[Any]:
    x, y, z = state
    return [10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z]


def _rossler(state: State) -> list[Any]:
    x, y, z = state
    return [-y - z, x + 0.2 * y, 0.2 + z * (x - 5.7)]


def _chua(state: State) -> list[Any]:
    x, y, z = state
    h = -5 / 7 * x + 0.5 * (-8 / 7 + 5 / 7) * (abs(x + 1) - abs(x - 1))
    return [15.6 * (y - x - h), x - y + z, -28.0 * y]


def _hindmarsh_rose(state: State) -> list[Any]:
    x, y, z = state
    return [y - x * x * x + 3 * x * x - z + 3.25, 1 - 5 * x * x - y, 0.005 * (4 * (x + 1.6) - z)]


def _double_pendulum(state: State) -> list[Any]:
    a, b, p, q = state
    d = a - b
    cos, sin = _cos(d), _sin(d)
    r = 1 + sin * sin
    h1 = p * q * sin / r
    h2 = (p * p + 2 * q * q - 2 * p * q * cos) * _sin(2 * d) / (2 * r * r)
    return [
        (p - q * cos) / r,
        (2 * q - p * cos) / r,
        -2 * GRAVITY * _sin(a) - h1 + h2,
        -GRAVITY * _sin(b) + h1 - h2,
    ]


def _halvorsen(state: State) -> list[Any]:
    x, y, z = state
    return [
        -1.4 * x - 4 * y - 4 * z - y * y,
        -1.4 * y - 4 * z - 4 * x - z * z,
        -1.4 * z - 4 * x - 4 * y - x * x,
    ]


def _thomas(state: State) -> list[Any]:
    x, y, z = state
    return [_sin(y) - 0.18 * x, _sin(z) - 0.18 * y, _sin(x) - 0.18 * z]


def _sprott_b(state: State) -> list[Any]:
    x, y, z = state
    return [y * z, x - y, 1 - x * y]


def _chen(state: State) -> list[Any]:
    x, y, z = state
    return [35.0 * (y - x), -7 * x - x * z + 28 * y, x * y - 3 * z]


def _duffing(state: State) -> list[Any]:
    x, v, phase = state
    return [v, x - x * x * x - 0.3 * v + 0.5 * _cos(phase), 1.2 + 0 * phase]


def _rucklidge(state: State) -> list[Any]:
    x, y, z = state
    return [-2 * x + 6.7 * y - y * z, x, -z + y * y]


def _four_wing(state: State) -> list[Any]:
    x, y, z = state
    return [0.2 * x + y * z, 0.01 * x - 0.4 * y - x * z, -z - x * y]


def _sin(x: Any) -> Any:
    """Return the sine; Python's own for floats, as NumPy's scalars would slow down all else."""
    return math.sin(x) if isinstance(x, float) else np.sin(x)


def _cos(x: Any) -> Any:
    return math.cos(x) if isinstance(x, float) else np.cos(x)


_FIELDS: dict[str, Field] = {
    "lorenz63": _lorenz63,
    "rossler": _rossler,
    "chua": _chua,
    "hindmarsh_rose": _hindmarsh_rose,
    "double_pendulum": _double_pendulum,
    "halvorsen": _halvorsen,
    "thomas": _thomas,
    "sprott_b": _sprott_b,
    "chen": _chen,
    "duffing": _duffing,
    "rucklidge": _rucklidge,
    "four_wing": _four_wing,
}
