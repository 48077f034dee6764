"""Corruption of histories: what it changes and what it leaves."""

import numpy as np
import pytest
import torch

from seqmamba.tasks.track.histories.noise import Noise, flip


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _still(n: int = 2000, length: int = 11) -> torch.Tensor:
    return torch.tensor([100.0, 50.0, 40.0, 80.0]).repeat(n, length, 1)


def test_jitter_has_the_size_and_memory_of_a_detector() -> None:
    noisy = Noise(level=(1.0, 1.0), shorten=0, gap=0)(_still())

    moved = (noisy - _still())[..., 0] / 40
    grown = torch.log(noisy / _still())[..., 3]
    assert moved.std() == pytest.approx(0.020, rel=0.05)
    assert grown.std() == pytest.approx(0.018, rel=0.05)
    assert np.corrcoef(moved[:, 4], moved[:, 5])[0, 1] == pytest.approx(0.5, abs=0.06)


def test_no_noise_changes_nothing() -> None:
    path = torch.rand(50, 11, 4) + 10

    assert torch.equal(Noise(level=(0.0, 0.0), shorten=0, gap=0)(path), path)


def test_a_late_start_repeats_the_first_box() -> None:
    path = torch.arange(11.0)[None, :, None].repeat(500, 1, 4) + 1

    late = Noise(level=(0.0, 0.0), shorten=1, gap=0)(path)[..., 0]

    first = late[:, :1]
    assert torch.all((late == first) | (late == path[..., 0]))
    assert torch.equal(late[:, -1], path[:, -1, 0])
    assert torch.unique(late[:, 0]).numel() > 5


def test_a_gap_is_a_line_or_an_open_end() -> None:
    path = torch.cumsum(torch.rand(800, 11, 4), dim=1)

    filled = Noise(level=(0.0, 0.0), shorten=0, gap=1)(path)[..., 0]

    changed = (filled - path[..., 0]).abs() > 1e-5
    assert changed.any(dim=1).float().mean() > 0.9
    assert torch.equal(filled[:, :2], path[:, :2, 0])  # a gap begins after a box and its velocity
    inner = changed[:, 5] & ~changed[:, 4] & ~changed[:, 6]
    line = (path[inner, 4, 0] + path[inner, 6, 0]) / 2
    torch.testing.assert_close(filled[inner, 5], line)


def test_the_mirror_turns_history_and_future_alike() -> None:
    x, y = torch.rand(400, 5, 4) + 1, torch.rand(400, 2, 4) + 1

    seen, future = flip(x, y)

    turned = seen[:, 0, 0] < 0
    assert 0.3 < turned.float().mean() < 0.7
    assert torch.equal(turned, future[:, 0, 0] < 0)
    assert torch.equal(seen[..., 1:], x[..., 1:])
    assert torch.equal(seen[..., 0].abs(), x[..., 0])
