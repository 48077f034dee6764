"""The Kuramoto-Sivashinsky equation in a periodic box, by exponential time differencing."""

import math

import numpy as np
from numpy.typing import NDArray

from seqmamba.datasets.simulate.chaotic.systems import System

__all__ = ["wave_orbits"]

LENGTH, POINTS = 22.0, 64
CONTOUR = 64  # points of the complex contour integral of the coefficients

Array = NDArray[np.float64]


def wave_orbits(
    system: System, n_steps: int, n: int, dt: float, random: np.random.Generator
) -> Array:
    """Return every second grid point of ``u_t = -u u_x - u_xx - u_xxxx``: (n, n_steps, 32)."""
    inner = math.ceil(dt / system.step)
    before = math.ceil(system.transient / system.step)
    scheme = Etdrk4(dt / inner)
    x = np.arange(POINTS) * LENGTH / POINTS
    phase = random.uniform(0, 2 * np.pi, (n, 3, 1))
    modes = np.arange(1, 4)[:, None]
    start = np.cos(2 * np.pi * modes * x / LENGTH + phase).sum(axis=1)  # mean 0, which is kept
    v = scheme.advance(np.fft.rfft(start), before)
    out = np.empty((n_steps, n, POINTS))
    for t in range(n_steps):
        out[t] = np.fft.irfft(v, POINTS)
        v = scheme.advance(v, inner)
    return out.transpose(1, 0, 2)[..., ::2].copy()


class Etdrk4:
    """Fourth-order exponential Runge-Kutta method on real transforms.

    Source: Kassam and Trefethen, SIAM J. Sci. Comput. 26 (2005) 1214. The complex transform would
    leave an anti-Hermitian part that the linear term makes unstable.
    """

    def __init__(self, step: float) -> None:
        k = np.arange(POINTS // 2 + 1) * 2 * np.pi / LENGTH
        linear = k**2 - k**4
        roots = np.exp(1j * np.pi * (np.arange(1, CONTOUR + 1) - 0.5) / CONTOUR)
        z = step * linear[:, None] + roots
        self.full, self.half = np.exp(step * linear), np.exp(step * linear / 2)
        self.q = step * np.mean((np.exp(z / 2) - 1) / z, axis=1).real
        self.f1 = step * np.mean((-4 - z + np.exp(z) * (4 - 3 * z + z**2)) / z**3, axis=1).real
        self.f2 = step * np.mean((2 + z + np.exp(z) * (-2 + z)) / z**3, axis=1).real
        self.f3 = step * np.mean((-4 - 3 * z - z**2 + np.exp(z) * (4 - z)) / z**3, axis=1).real
        self.gradient = -0.5j * k * (k <= 2 / 3 * k[-1])  # two thirds: no aliasing

    def advance(self, v: NDArray[np.complex128], n_steps: int) -> NDArray[np.complex128]:
        """Advance transforms (n, 33) by a number of steps."""
        for _ in range(n_steps):
            nv = self._nonlinear(v)
            a = self.half * v + self.q * nv
            na = self._nonlinear(a)
            b = self.half * v + self.q * na
            nb = self._nonlinear(b)
            c = self.half * a + self.q * (2 * nb - nv)
            nc = self._nonlinear(c)
            v = self.full * v + nv * self.f1 + 2 * (na + nb) * self.f2 + nc * self.f3
        return v

    def _nonlinear(self, v: NDArray[np.complex128]) -> NDArray[np.complex128]:
        u = np.fft.irfft(v, POINTS)
        product: NDArray[np.complex128] = self.gradient * np.fft.rfft(u * u)
        return product
