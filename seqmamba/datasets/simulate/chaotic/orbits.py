"""Orbits of the chaotic systems: fixed-step Runge-Kutta, one output per ``dt``."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqmamba.datasets.simulate.chaotic.delayed import mackey_glass_orbit
from seqmamba.datasets.simulate.chaotic.flows import Field
from seqmamba.datasets.simulate.chaotic.systems import System, get_system
from seqmamba.datasets.simulate.chaotic.waves import wave_orbits
from seqmamba.errors import ConfigError

__all__ = ["double_pendulum", "kuramoto_sivashinsky", "lorenz63", "lorenz96", "mackey_glass"]
__all__ += ["orbits", "rk4", "rossler"]

SPREAD = 1e-3  # relative deviation of the starts; the transient drives them apart
COARSE = 4  # the transient is thrown away: its steps may be longer


def orbits(
    system: str, n_steps: int, *, n: int = 1, dt: float | None = None, seed: int = 0
) -> NDArray[np.float64]:
    """Return orbits of a system, behind its transient.

    Parameters
    ----------
    system : str
        A key of :data:`seqmamba.datasets.simulate.chaotic.systems.SYSTEMS`.
    n_steps : int
        Samples per orbit.
    n : int
        Orbits, from starts of their own.
    dt : float or None
        Time between samples; None = that of the table.
    seed : int

    Returns
    -------
    array (n, n_steps, channels), float64

    Examples
    --------
    >>> orbits("rossler", 5, n=2).shape
    (2, 5, 3)
    """
    if n_steps < 1 or n < 1:
        raise ConfigError(f"n_steps and n must be at least 1, got {n_steps!r} and {n!r}")
    found = get_system(system)
    spacing = found.dt if dt is None else dt
    if not spacing > 0:
        raise ConfigError(f"dt must be positive, got {dt!r}")
    random = np.random.default_rng(seed)
    if found.kind == "wave":
        return wave_orbits(found, n_steps, n, spacing, random)
    if found.kind == "delay":
        starts = found.start[0] * (1 + SPREAD * random.standard_normal(n))
        one = [mackey_glass_orbit(found, n_steps, spacing, float(x)) for x in starts]
        return np.stack(one)[..., None]
    return _flow_orbits(found, n_steps, n, spacing, random)


def rk4(field: Field, state: list[Any], step: float, n_steps: int) -> list[Any]:
    """Advance a state by steps of the classical Runge-Kutta method."""
    half, sixth = 0.5 * step, step / 6.0
    for _ in range(n_steps):
        k1 = field(state)
        k2 = field([x + half * k for x, k in zip(state, k1, strict=True)])
        k3 = field([x + half * k for x, k in zip(state, k2, strict=True)])
        k4 = field([x + step * k for x, k in zip(state, k3, strict=True)])
        state = [
            x + sixth * (a + 2.0 * (b + c) + d)
            for x, a, b, c, d in zip(state, k1, k2, k3, k4, strict=True)
        ]
    return state


def _flow_orbits(
    system: System, n_steps: int, n: int, dt: float, random: np.random.Generator
) -> NDArray[np.float64]:
    assert system.field is not None
    noise = 1 + SPREAD * random.standard_normal((len(system.start), n))
    starts = np.array(system.start)[:, None] * noise
    # one orbit: Python's floats, which arrays of length one would slow down several times
    state: list[Any] = [float(row[0]) for row in starts] if n == 1 else list(starts)
    n_before = math.ceil(system.transient / (COARSE * system.step))
    state = rk4(system.field, state, system.transient / n_before, n_before)
    inner = math.ceil(dt / system.step)
    out = np.empty((n_steps, len(state), n))
    for t in range(n_steps):
        out[t] = np.reshape(np.array(state), (-1, n))
        state = rk4(system.field, state, dt / inner, inner)
    if system.observe is not None:
        out = np.stack(system.observe(list(out.swapaxes(0, 1))), axis=1)
    return out.transpose(2, 0, 1).copy()


def _one(system: str, n_steps: int, dt: float, seed: int) -> NDArray[np.float64]:
    found: NDArray[np.float64] = orbits(system, n_steps, dt=dt, seed=seed)[0]
    return found


def lorenz63(n_steps: int = 12_000, *, dt: float = 0.02, seed: int = 0) -> NDArray[np.float64]:
    """Return an orbit of the Lorenz system (10, 28, 8/3): (n_steps, 3).

    Examples
    --------
    >>> lorenz63(n_steps=3).shape
    (3, 3)
    """
    return _one("lorenz63", n_steps, dt, seed)


def rossler(n_steps: int = 12_000, *, dt: float = 0.293, seed: int = 0) -> NDArray[np.float64]:
    """Return an orbit of the Roessler system (0.2, 0.2, 5.7): (n_steps, 3)."""
    return _one("rossler", n_steps, dt, seed)


def lorenz96(n_steps: int = 12_000, *, dt: float = 0.0137, seed: int = 0) -> NDArray[np.float64]:
    """Return an orbit of the Lorenz-96 system in five dimensions, F = 20: (n_steps, 5)."""
    return _one("lorenz96_d5_f20", n_steps, dt, seed)


def double_pendulum(
    n_steps: int = 4_000, *, dt: float = 0.0365, seed: int = 0
) -> NDArray[np.float64]:
    """Return cosines and sines of the angles, and the momenta: (n_steps, 6)."""
    return _one("double_pendulum", n_steps, dt, seed)


def mackey_glass(n_steps: int = 4_000, *, dt: float = 1.0, seed: int = 0) -> NDArray[np.float64]:
    """Return an orbit of the Mackey-Glass equation with delay 30: (n_steps, 1)."""
    return _one("mackey_glass_30", n_steps, dt, seed)


def kuramoto_sivashinsky(
    n_steps: int = 4_000, *, dt: float = 1.0, seed: int = 0
) -> NDArray[np.float64]:
    """Return an orbit of the Kuramoto-Sivashinsky equation, L = 22: (n_steps, 32)."""
    return _one("kuramoto_sivashinsky", n_steps, dt, seed)
