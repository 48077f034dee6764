"""The losses: measures of samples, and patches of later tokens."""

import pytest
import torch
from torch import Tensor

from seqmamba.datasets.simulate.chaotic.orbits import orbits
from seqmamba.tasks.chaos.net.losses import Statistic, mmd, mmd_invariant, patch_loss


@pytest.fixture(scope="module")
def attractor() -> Tensor:
    """Return points of the Lorenz attractor of unit variance, in random order: (20 480, 3)."""
    x = torch.from_numpy(orbits("lorenz63", 1_280, n=16, dt=0.1)).flatten(0, 1)
    x = (x - x.mean(0)) / x.std(0)
    return x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))]


def test_equal_samples_have_no_distance(attractor: Tensor) -> None:
    assert float(mmd(attractor[:512], attractor[:512], "V")) == 0


@pytest.mark.parametrize(
    ("shift", "expected", "tolerance"), [(0.0, 0.013, 0.004), (0.5, 0.158, 0.02), (2.0, 0.95, 0.05)]
)
def test_released_estimate_has_its_measured_values(
    attractor: Tensor, shift: float, expected: float, tolerance: float
) -> None:
    # chaotic-forecasting specification, 11.4; B = 512
    pairs = attractor.reshape(20, 2, 512, 3)

    distance = mmd(pairs[:, 0], pairs[:, 1] + shift, "V").mean()

    assert float(distance) == pytest.approx(expected, abs=tolerance)


def test_unbiased_estimate_is_zero_on_average(attractor: Tensor) -> None:
    pairs = attractor.reshape(20, 2, 512, 3)

    draws = mmd(pairs[:, 0], pairs[:, 1], "U")

    assert abs(float(draws.mean())) < 3 * float(draws.std()) / 20**0.5


@pytest.mark.parametrize("statistic", ["U", "V"])
def test_wide_points_take_the_other_formula(statistic: Statistic) -> None:
    x = torch.randn(2, 64, 3, generator=torch.Generator().manual_seed(0)).double()
    wide = torch.cat([x, torch.zeros(2, 64, 5).double()], dim=-1)

    torch.testing.assert_close(mmd(wide[0], wide[1], statistic), mmd(x[0], x[1], statistic))


def test_pooling_keeps_the_target(attractor: Tensor) -> None:
    path = attractor[: 256 * 16].reshape(256, 16, 3)
    start = attractor[-256:]

    pooled = mmd_invariant(start, path, "U", pool=8)

    assert abs(float(pooled)) < 0.02
    assert float(mmd_invariant(start, path + 1.0, "U", pool=8)) > 0.3


def test_later_patches_are_compared_further_on() -> None:
    # an oracle for depth k gives the target moved by k + 1 more patches
    target = torch.arange(5.0).reshape(1, 5, 1, 1)
    oracle = [target[:, 1:], target[:, 2:]]

    assert float(patch_loss(target, oracle, target, weight=0.1)) == 0
    assert float(patch_loss(target, [target[:, :-1]], target, weight=0.1)) == pytest.approx(0.1)
