"""Simulators: laws that they keep, agreement with another integrator, known exponents."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from seqmamba.datasets.simulate.chaotic.flows import field_of, pendulum_energy
from seqmamba.datasets.simulate.chaotic.orbits import orbits, rk4
from seqmamba.datasets.simulate.chaotic.systems import SYSTEMS, get_system
from seqmamba.datasets.simulate.chaotic.tables import orbit_table
from seqmamba.errors import ConfigError

FLOWS = [name for name, system in SYSTEMS.items() if system.kind == "flow"]


@pytest.mark.parametrize("name", [n for n in FLOWS if "_d10" not in n and "_d20" not in n])
def test_a_step_agrees_with_another_method(name: str) -> None:
    system = get_system(name)
    assert system.field is not None
    start = [float(x) for x in rk4(system.field, list(system.start), system.step, 200)]
    n = int(np.ceil(system.dt / system.step))

    mine = np.array(rk4(system.field, start, system.dt / n, n))

    field = system.field
    other = solve_ivp(
        lambda _, x: field(x), (0, system.dt), start, method="DOP853", rtol=1e-12, atol=1e-12
    ).y[:, -1]
    tolerance = 1e-5 if name == "chua" else 1e-7  # its field has kinks, which cost both methods
    assert np.abs(mine - other).max() < tolerance * max(np.abs(other).max(), 1.0)


@pytest.mark.parametrize("time", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_the_pendulum_keeps_its_energy(time: int) -> None:
    state = list(SYSTEMS["double_pendulum"].start)

    end = rk4(field_of("double_pendulum"), state, 5e-4, 2_000 * time)

    assert abs(float(pendulum_energy(end))) < 1e-8


def test_waves_keep_their_mean() -> None:
    from seqmamba.datasets.simulate.chaotic.waves import POINTS, Etdrk4

    u = np.cos(np.arange(POINTS) * 2 * np.pi / POINTS) + 0.3

    end = np.fft.irfft(Etdrk4(0.25).advance(np.fft.rfft(u), 400), POINTS)

    assert end.mean() == pytest.approx(0.3, abs=1e-10)
    assert end.std() > 0.1


def test_the_delay_equation_agrees_with_small_steps() -> None:
    # Euler with 100 steps per unit from the same constant past
    from seqmamba.datasets.simulate.chaotic.delayed import mackey_glass_orbit
    from seqmamba.datasets.simulate.chaotic.systems import System

    system = System(0.0074, 1.0, 0.05, 0.0, (1.2,), ("x",), kind="delay", delay=30.0)
    x = [1.2] * 3_001
    for _ in range(6_000):
        late = x[-3_001]
        x.append(x[-1] + 0.01 * (0.2 * late / (1 + late**10) - 0.1 * x[-1]))

    orbit = mackey_glass_orbit(system, 60, 1.0, 1.2)

    np.testing.assert_allclose(orbit, x[3_000::100][:60], atol=2e-3)


@pytest.mark.parametrize("name", ["lorenz63", "mackey_glass_30", "kuramoto_sivashinsky"])
def test_a_seed_gives_an_orbit_and_another_seed_another(name: str) -> None:
    first, again, other = (orbits(name, 20, seed=s) for s in (0, 0, 1))

    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


def test_orbits_at_once_are_those_one_by_one() -> None:
    together = orbits("lorenz63", 5, n=2, seed=0)

    assert together.shape == (2, 5, 3)
    assert not np.allclose(together[0], together[1])


def test_a_table_names_its_channels() -> None:
    table = orbit_table("double_pendulum", 3, n=2)

    assert table.columns[:4] == ["unique_id", "ds", "cos_theta1", "sin_theta1"]
    assert table.height == 6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lorenz63", "rossler", "chua", "sprott_b", "lorenz96_d5_f20"])
def test_twin_orbits_part_at_the_known_rate(name: str) -> None:
    system = get_system(name)
    assert system.field is not None
    n = int(np.ceil(system.dt / system.step))
    state = list(orbits(name, 1, n=60, seed=0)[:, 0].T)
    twin = [x + (1e-7 if i == 0 else 0.0) for i, x in enumerate(state)]
    growth = []
    for _ in range(int(60 * system.lyapunov_time / system.dt)):
        state = rk4(system.field, state, system.dt / n, n)
        twin = rk4(system.field, twin, system.dt / n, n)
        gap = np.array(twin) - np.array(state)
        size = np.linalg.norm(gap, axis=0)
        growth.append(np.log(size / 1e-7))
        twin = list(np.array(state) + gap * (1e-7 / size))

    rate = np.mean(growth[len(growth) // 6 :]) / system.dt

    assert rate == pytest.approx(system.lyapunov, rel=0.03)


@pytest.mark.slow
def test_lorenz_has_its_mean_height() -> None:
    z = orbits("lorenz63", 5_000, n=50, dt=0.04, seed=0)[..., 2]  # 1e4 units of time

    assert z.mean() == pytest.approx(23.55, abs=0.1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: get_system("lorentz63"), "Did you mean 'lorenz63'"),
        (lambda: orbits("lorenz63", 0), "n_steps and n must be at least 1"),
        (lambda: orbits("lorenz63", 5, dt=-1.0), "dt must be positive"),
    ],
)
def test_wrong_requests_are_named(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(ConfigError, match=message):
        call()
