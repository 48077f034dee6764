"""The table of chaotic systems: exponents, sampling, steps and transients.

Source of every number: chaotic-forecasting specification, 5.3. The exponents differ from the
tables of dysts where those belong to other parameters (Roessler, Lorenz-96 in five dimensions).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from seqmamba.datasets.simulate.chaotic.flows import Field, State, field_of, lorenz96
from seqmamba.errors import ConfigError
from seqmamba.params import nearest

__all__ = ["SYSTEMS", "System", "get_system"]

Kind = Literal["flow", "delay", "wave"]


@dataclass(frozen=True)
class System:
    """A chaotic system and how to sample it.

    Parameters
    ----------
    lyapunov : float
        Largest Lyapunov exponent per unit of time.
    dt : float
        Usual time between two samples.
    step : float
        Largest internal step of the integrator.
    transient : float
        Time that is thrown away.
    start : tuple of float
        State before the transient ("flow").
    channels : tuple of str
    field : callable or None
        Right-hand side ("flow").
    kind : {"flow", "delay", "wave"}
        Ordinary, delay (Mackey-Glass) or partial (Kuramoto-Sivashinsky) differential equation.
    delay : float
        Delay of the Mackey-Glass equation.
    observe : callable or None
        State components to channels, where a model is not shown the state itself.
    nominal : float or None
        Exponent in the dysts table, the paper's clock; None = not used by the paper.
    """

    lyapunov: float
    dt: float
    step: float
    transient: float
    start: tuple[float, ...] = ()
    channels: tuple[str, ...] = ("x", "y", "z")
    field: Field | None = None
    kind: Kind = "flow"
    delay: float = 0.0
    observe: Callable[[State], list[Any]] | None = None
    nominal: float | None = None

    @property
    def lyapunov_time(self) -> float:
        """Time over which a small error grows by the factor e."""
        return 1.0 / self.lyapunov


def get_system(name: str) -> System:
    """Return a system by name.

    Raises
    ------
    ConfigError
        The name is unknown; the nearest known one is proposed.

    Examples
    --------
    >>> round(get_system("lorenz63").lyapunov_time, 3)
    1.106
    """
    if name not in SYSTEMS:
        known = ", ".join(SYSTEMS)
        raise ConfigError(f"no system {name!r}; known: {known}.{nearest(name, SYSTEMS)}")
    return SYSTEMS[name]


def _flow(
    name: str,
    lyapunov: float,
    dt: float,
    step: float,
    transient: float,
    start: tuple[float, ...],
    **more: Any,
) -> System:
    return System(lyapunov, dt, step, transient, start, field=field_of(name), **more)


def _ring(dim: int, forcing: float, lyapunov: float, dt: float, step: float, **more: Any) -> System:
    start = tuple(forcing * (1.01 if i == 0 else 1.0) for i in range(dim))
    names = tuple(f"x{i}" for i in range(dim))
    transient = 50.0 if (dim, forcing) == (5, 20.0) else 100.0
    field = lorenz96(forcing)
    return System(lyapunov, dt, step, transient, start, names, field, **more)


def _pendulum_view(state: State) -> list[Any]:
    """Angles are unbounded: show their cosines and sines."""
    a, b, p, q = state
    return [np.cos(a), np.sin(a), np.cos(b), np.sin(b), p, q]


def _duffing_view(state: State) -> list[Any]:
    x, v, phase = state
    return [x, v, np.cos(phase), np.sin(phase)]


_PENDULUM = ("cos_theta1", "sin_theta1", "cos_theta2", "sin_theta2", "p1", "p2")
_RIGHT = (np.pi / 2, np.pi / 2, 0.0, 0.0)

SYSTEMS: Mapping[str, System] = {
    "lorenz63": _flow("lorenz63", 0.9044, 0.0369, 0.002, 50.0, (1.0, 1.0, 20.0), nominal=0.89171),
    "rossler": _flow("rossler", 0.0710, 0.293, 0.01, 300.0, (1.0, 1.0, 1.0), nominal=0.15060),
    "lorenz96_d5_f20": _ring(5, 20.0, 2.4415, 0.0137, 0.0005, nominal=1.33617),
    "lorenz96_d4_f20": _ring(4, 20.0, 1.2204, 0.0240, 0.001),
    "lorenz96_d5_f8": _ring(5, 8.0, 0.4725, 0.0445, 0.002),
    "lorenz96_d10_f8": _ring(10, 8.0, 1.1710, 0.0285, 0.002),
    "lorenz96_d20_f8": _ring(20, 8.0, 1.5504, 0.0215, 0.002),
    "lorenz96_d40_f8": _ring(40, 8.0, 1.6719, 0.0199, 0.005),
    "chua": _flow("chua", 0.4290, 0.0777, 0.002, 100.0, (0.1, 0.05, 0.05)),
    "hindmarsh_rose": _flow("hindmarsh_rose", 0.0099, 0.5, 0.01, 2000.0, (0.1, 0.1, 3.0)),
    "double_pendulum": _flow(
        "double_pendulum",
        0.9128,
        0.0365,
        0.0005,
        10.0,
        _RIGHT,
        channels=_PENDULUM,
        observe=_pendulum_view,
    ),
    "halvorsen": _flow("halvorsen", 0.6800, 0.0446, 0.001, 50.0, (-5.0, 0.5, 1.0)),
    "thomas": _flow("thomas", 0.0351, 0.508, 0.01, 500.0, (1.0, 0.5, -0.5)),
    "sprott_b": _flow("sprott_b", 0.2098, 0.159, 0.004, 200.0, (0.5, 0.2, 0.1)),
    "chen": _flow("chen", 2.0456, 0.0148, 0.0002, 20.0, (-3.0, 2.0, 20.0)),
    "duffing": _flow(
        "duffing",
        0.1049,
        0.308,
        0.004,
        300.0,
        (0.5, 0.1, 0.0),
        channels=("x", "v", "cos_phase", "sin_phase"),
        observe=_duffing_view,
    ),
    "rucklidge": _flow("rucklidge", 0.1910, 0.142, 0.002, 100.0, (1.0, 0.5, 4.5)),
    "four_wing": _flow("four_wing", 0.0643, 0.519, 0.005, 200.0, (1.3, -0.2, 0.1)),
    "mackey_glass_17": System(0.0051, 1.0, 0.05, 3000.0, (1.2,), ("x",), kind="delay", delay=17.0),
    "mackey_glass_30": System(0.0074, 1.0, 0.05, 3000.0, (1.2,), ("x",), kind="delay", delay=30.0),
    "kuramoto_sivashinsky": System(
        0.048, 1.0, 0.25, 300.0, channels=tuple(f"u{i}" for i in range(32)), kind="wave"
    ),
}
