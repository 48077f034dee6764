"""Distances of measures and spectra: zero where nothing differs, large where all does."""

import numpy as np
import pytest

from seqmamba.datasets.simulate.chaotic.orbits import orbits
from seqmamba.metrics.chaos import climate, dfrac_paper


def test_equal_orbits_have_no_distance() -> None:
    x = orbits("lorenz63", 3_000, seed=0)[0]

    assert climate.dstsp_gmm(x, x) == pytest.approx(0, abs=1e-12)
    assert climate.dstsp_hist(x, x) == pytest.approx(0, abs=1e-12)
    assert climate.spectral_distance(x, x) == pytest.approx(0, abs=1e-6)
    assert climate.dstsp_gmm_paper(x[None, :300], x[None, :300]) == pytest.approx(0, abs=1e-12)
    assert dfrac_paper(x[None, :300], x[None, :300]) == 0
    # sic: the paper's spectral distance is not 0 for equal orbits
    assert climate.dh_paper(x[None, :300], x[None, :300]) > 0.1


def test_a_fixed_point_is_far_from_the_attractor() -> None:
    x, y = orbits("lorenz63", 3_000, n=2, seed=0)
    still = np.repeat(x[:1], 3_000, axis=0)

    assert climate.dstsp_gmm(x, still) > 50 * climate.dstsp_gmm(x, y)
    assert climate.spectral_distance(x, still) > 5 * climate.spectral_distance(x, y)
