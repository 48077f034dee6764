"""Token orders are what the papers say, and invertible."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmamba.kernels import inverse_index, partial_flip_index, sr_index
from seqmamba.kernels.layout import conv_call
from seqmamba.kernels.runs import conv_last_state, runs_of


def test_sr_order_reads_columns_of_rows() -> None:
    assert sr_index(6, 3).tolist() == [0, 3, 1, 4, 2, 5]  # rows 0 1 2 / 3 4 5
    assert sr_index(5, 3).tolist() == [0, 3, 1, 4, 2, 5]  # 5 is padding


@settings(deadline=None, max_examples=40)  # time says nothing on a shared machine
@given(st.integers(0, 60), st.integers(1, 12))
def test_sr_order_is_a_permutation_with_an_inverse(length: int, rate: int) -> None:
    index = sr_index(length, rate)

    size = -(-length // rate) * rate
    assert sorted(index.tolist()) == list(range(size))
    assert index[inverse_index(index)].tolist() == list(range(size))


def test_partial_flip_leaves_the_last_tokens_and_the_padding() -> None:
    index = partial_flip_index(torch.tensor([6, 3, 1]), 7, keep_last=2)

    assert index.tolist() == [[3, 2, 1, 0, 4, 5, 6], [0, 1, 2, 3, 4, 5, 6], [0, 1, 2, 3, 4, 5, 6]]


@settings(deadline=None, max_examples=40)  # time says nothing on a shared machine
@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(0, 5))
def test_partial_flip_is_its_own_inverse(lengths: list[int], keep_last: int) -> None:
    index = partial_flip_index(torch.tensor(lengths), 9, keep_last)

    twice = index.gather(1, index)
    assert (twice == torch.arange(9)).all()


@settings(deadline=None, max_examples=40)  # time says nothing on a shared machine
@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.booleans())
def test_packed_rows_go_back_to_their_places(counts: list[int], reverse: bool) -> None:
    borders = torch.tensor([0, *counts]).cumsum(0).int()
    x = torch.arange(float(sum(counts))).view(1, -1, 1)

    runs = runs_of(x, cu_seqlens=borders, reverse=reverse)

    assert torch.equal(runs.give(runs.take(x)), x)
    first = runs.take(x)[:, 0, 0] if max(counts) else torch.zeros(len(counts))
    places = borders[1:] - 1 if reverse else borders[:-1]
    expected = [float(p) if n else 0.0 for p, n in zip(places.tolist(), counts, strict=True)]
    assert first.tolist() == expected


def test_conv_state_holds_the_last_inputs_of_each_row() -> None:
    x = torch.arange(1.0, 11.0).view(2, 5, 1)
    weight, lengths = torch.ones(1, 4), torch.tensor([2, 5])
    start = torch.tensor([[[-4.0, -3.0, -2.0, -1.0]], [[0.0, 0.0, 0.0, 0.0]]])

    forward = conv_last_state(conv_call(x, weight, lengths=lengths, initial_state=start))
    backward = conv_last_state(conv_call(x, weight, lengths=lengths, reverse=True))

    assert forward[:, 0].tolist() == [[-2, -1, 1, 2], [7, 8, 9, 10]]
    assert backward[:, 0].tolist() == [[0, 0, 2, 1], [9, 8, 7, 6]]
