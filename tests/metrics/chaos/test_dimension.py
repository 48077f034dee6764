"""Numbers of attractors that are known: dimensions and exponents."""

import numpy as np
import pytest

from seqmamba.datasets.simulate.chaotic.orbits import orbits
from seqmamba.datasets.simulate.chaotic.systems import get_system
from seqmamba.errors import DataError
from seqmamba.metrics.chaos import correlation_dimension, lyapunov_rosenstein


def test_a_circle_has_dimension_one() -> None:
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 3_000)
    points = np.column_stack([np.cos(angle), np.sin(angle)])

    found = correlation_dimension(points, theiler=1, max_points=2_000)

    assert found == pytest.approx(1.0, abs=0.05)


@pytest.mark.slow
def test_lorenz_has_its_correlation_dimension() -> None:
    x = orbits("lorenz63", 5_000, dt=0.1, seed=0)[0]

    # Grassberger and Procaccia 1983: 2.05; orbits return after 0.75, which is 8 rows
    assert correlation_dimension(x, theiler=8) == pytest.approx(2.05, abs=0.1)


@pytest.mark.parametrize("system", ["lorenz63", "rossler"])
def test_the_exponent_is_estimated_from_data(system: str) -> None:
    x = orbits(system, 3_000, seed=0)[0]

    found = lyapunov_rosenstein(x, dt=get_system(system).dt)

    assert found == pytest.approx(get_system(system).lyapunov, rel=0.35)  # an estimate only


def test_too_few_rows_give_no_exponent() -> None:
    with pytest.raises(DataError, match="too few"):
        lyapunov_rosenstein(np.random.default_rng(0).random((80, 2)))
