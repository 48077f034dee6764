"""Token orders over the real part of each row."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqmamba.nn.order import partial_flip_order, reorder, take

MASKS = st.lists(st.booleans(), min_size=1, max_size=12)


def test_reordering_of_seven_by_three_is_the_published_case() -> None:
    order = reorder(7, 3)  # multiple-instance specification, 2.1: 0 3 6 | 1 4 (7) | 2 5 (8)

    assert order.keep is not None
    assert order.source[order.keep].tolist() == [0, 3, 6, 1, 4, 2, 5]
    assert order.keep.tolist() == [[True] * 5 + [False] + [True] * 2 + [False]]


def test_reference_padding_is_read_as_zeros() -> None:
    order = reorder(7, 3, keep_padding=True)

    assert order.keep is None
    assert order.empty is not None
    assert order.empty.tolist() == [[False] * 5 + [True] + [False] * 2 + [True]]


@pytest.mark.parametrize("rate", [1, 7, 50])
def test_one_line_or_one_column_is_the_identity(rate: int) -> None:
    order = reorder(7, rate)

    assert order.source.tolist() == [list(range(7))]
    assert order.keep is None


@given(real=MASKS, rate=st.integers(1, 13), keep_padding=st.booleans())
def test_reordering_a_masked_row_is_reordering_its_real_tokens(
    real: list[bool], rate: int, keep_padding: bool
) -> None:
    mask = torch.tensor([real])
    count = sum(real)

    order = reorder(len(real), rate, mask=mask, keep_padding=keep_padding)

    kept = torch.ones_like(order.source, dtype=torch.bool) if order.keep is None else order.keep
    if order.empty is not None:
        kept = kept & ~order.empty
    lines = -(-count // min(rate, len(real)))
    ranks = [
        i * min(rate, len(real)) + j for j in range(min(rate, len(real))) for i in range(lines)
    ]
    positions = mask[0].nonzero().flatten()
    expected = positions[[rank for rank in ranks if rank < count]]
    assert order.source[kept].tolist() == expected.tolist()


@given(real=MASKS, rate=st.integers(1, 13))
def test_the_inverse_brings_every_real_token_back(real: list[bool], rate: int) -> None:
    mask = torch.tensor([real])
    x = torch.arange(len(real)).view(1, -1, 1)

    order = reorder(len(real), rate, mask=mask)

    back = take(take(x, order.source), order.inverse)
    assert torch.equal(back[mask], x[mask])


def test_lengths_and_mask_give_the_same_reordering() -> None:
    lengths = torch.tensor([9, 4, 1])
    mask = torch.arange(9) < lengths[:, None]
    x = torch.randn(3, 9, 2)

    by_length, by_mask = reorder(9, 4, lengths=lengths), reorder(9, 4, mask=mask)

    assert by_length.keep is not None
    assert by_mask.keep is not None
    assert torch.equal(by_length.keep, by_mask.keep)
    first, second = take(x, by_length.source), take(x, by_mask.source)
    assert torch.equal(first[by_length.keep], second[by_mask.keep])


@given(real=MASKS, keep_last=st.integers(0, 13))
def test_partial_flip_reverses_real_tokens_but_the_newest(real: list[bool], keep_last: int) -> None:
    mask = torch.tensor([real])
    positions = [place for place, is_real in enumerate(real) if is_real]
    turned = max(len(positions) - keep_last, 0)

    source = partial_flip_order(len(real), keep_last, mask=mask)

    expected = list(range(len(real)))
    for place, old in zip(positions, positions[:turned][::-1] + positions[turned:], strict=True):
        expected[place] = old
    assert source.tolist() == [expected]


def test_partial_flip_is_its_own_inverse() -> None:
    lengths = torch.tensor([9, 4, 1])
    x = torch.randn(3, 9, 2)

    source = partial_flip_order(9, 2, lengths=lengths)

    assert torch.equal(take(take(x, source), source), x)
    assert torch.equal(take(x, source)[0, 7:], x[0, 7:])
