"""Whole blocks in two orders: definitions of bi_shared, bi_sum and partial_flip."""

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close as _assert_close

from seqmamba.nn import Mamba, Mamba2
from seqmamba.nn.directions import BiShared, BiSum, PartialFlip

assert_close = partial(_assert_close, rtol=1e-9, atol=1e-10)  # float64, sums in another order


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 7, 8, dtype=torch.float64)


@pytest.fixture(params=["mamba", "mamba2"])
def block(request: pytest.FixtureRequest) -> Mamba | Mamba2:
    return _block(request.param)


def test_shared_block_in_both_directions(block: Mamba | Mamba2, x: Tensor) -> None:
    expected = block(x) + block(x.flip(1)).flip(1)

    assert_close(BiShared(block)(x), expected)


@pytest.mark.parametrize("kind", ["mamba", "mamba2"])
def test_independent_blocks_in_both_directions(kind: str, x: Tensor) -> None:
    ahead, back = _block(kind), _block(kind)

    expected = ahead(x) + back(x.flip(1)).flip(1)

    assert_close(BiSum(ahead, back)(x), expected)


def test_flip_is_over_the_real_part(block: Mamba | Mamba2, x: Tensor) -> None:
    both = BiShared(block)

    got = both(x, lengths=torch.tensor([7, 4]))

    assert_close(got[1, :4], both(x[1:, :4])[0])


def test_partial_flip_reads_both_orders(block: Mamba | Mamba2, x: Tensor) -> None:
    mixer = PartialFlip(block, keep_last=2)
    flipped = x[:, [4, 3, 2, 1, 0, 5, 6]]

    as_is, other, order = mixer.branches(x)

    assert_close(as_is, block(x))
    assert_close(other, block(flipped))
    assert torch.equal(order, flipped)
    assert_close(mixer(x), as_is + other)


def test_partial_flip_follows_the_length_of_each_row(block: Mamba | Mamba2, x: Tensor) -> None:
    mixer = PartialFlip(block, keep_last=2)

    _, other, _ = mixer.branches(x, lengths=torch.tensor([7, 4]))

    assert_close(other[1, :4], mixer.branches(x[1:, :4])[1][0])


def test_released_flip_is_by_position(block: Mamba | Mamba2, x: Tensor) -> None:
    mixer = PartialFlip(block, keep_last=2, flip_fixed=True)

    _, other, order = mixer.branches(x, lengths=torch.tensor([7, 4]))

    fixed = [4, 3, 2, 1, 0, 5, 6]
    assert torch.equal(order, x[:, fixed])
    assert_close(other[1, 1:5], block(x[1:, [3, 2, 1, 0]])[0])  # position 4 was padding


def test_tail_reads_nothing_newer() -> None:
    """Recommendation specification, 4.3: with m = 5 of 8 items, items 6 and 7 reach 0..5 nowhere.

    Bit for bit, so that one row can serve several targets.
    """
    mixer = PartialFlip(_block("mamba"), keep_last=3)
    x = torch.randn(1, 8, 8, dtype=torch.float64)
    changed = torch.cat([x[:, :6], torch.randn(1, 2, 8, dtype=torch.float64)], 1)

    assert torch.equal(mixer(x)[:, :6], mixer(changed)[:, :6])


def _block(kind: str) -> Mamba | Mamba2:
    if kind == "mamba":
        return Mamba(8, d_state=3).double()
    return Mamba2(8, d_state=3, headdim=4).double()
