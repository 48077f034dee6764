"""Pooling: masked mean, attention, class token."""

from typing import Literal

import pytest
import torch
from torch.testing import assert_close

from seqmamba.nn import AttentionPool, ClsPool, MeanPool

POSITIONS = ["start", "middle", "end"]
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 1, 1, 1], [1, 0, 1, 0, 1]]).bool()


@pytest.mark.parametrize("pool", [MeanPool(), AttentionPool(6), AttentionPool(6, gated=True)])
def test_padding_changes_nothing(pool: torch.nn.Module) -> None:
    h = torch.randn(4, 5, 6).masked_fill(~MASK.unsqueeze(-1), torch.nan)

    together = pool(h, MASK)

    for row in range(4):
        assert_close(together[row], pool(h[row : row + 1, MASK[row]])[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pool", [MeanPool(), AttentionPool(6)])
def test_empty_row_gives_zeros(pool: torch.nn.Module) -> None:
    pooled = pool(torch.randn(2, 3, 6), torch.tensor([[False] * 3, [True] * 3]))

    assert (pooled[0] == 0).all()
    assert (pooled[1] != 0).all()


def test_mean_is_the_mean() -> None:
    h = torch.randn(2, 3, 6)

    assert_close(MeanPool()(h), h.mean(1))


def test_attention_sums_to_one_over_real_positions() -> None:
    pool = AttentionPool(6, hidden=4)

    pooled, attention = pool.attend(torch.randn(4, 5, 6), MASK)

    assert_close(attention.sum(1), torch.ones(4))
    assert (attention[~MASK] == 0).all()
    assert pooled.shape == (4, 6)


def test_attention_follows_the_formula() -> None:
    pool = AttentionPool(6, hidden=4, gated=True)
    assert pool.gate is not None
    h = torch.randn(5, 6)

    hidden = torch.tanh(pool.value(h)) * torch.sigmoid(pool.gate(h))
    weights = torch.softmax(pool.score(hidden).squeeze(-1), 0)

    assert_close(pool(h.unsqueeze(0))[0], weights @ h)


def test_attention_has_the_size_of_mambamil() -> None:
    pool = AttentionPool(512)  # multiple-instance specification, 2

    assert sum(p.numel() for p in pool.parameters()) == 512 * 128 + 128 + 128 + 1


@pytest.mark.parametrize("position", POSITIONS)
def test_class_token_comes_back(position: Literal["start", "middle", "end"]) -> None:
    pool = ClsPool(6, position)

    x, mask = pool.insert(torch.randn(4, 5, 6), MASK)
    assert mask is not None

    assert_close(pool(x, mask), pool.token.expand(4, 6))
    assert torch.equal(mask.sum(1), MASK.sum(1) + 1)


@pytest.mark.parametrize("position", POSITIONS)
def test_class_token_keeps_the_order_of_the_others(
    position: Literal["start", "middle", "end"],
) -> None:
    pool = ClsPool(1, position)
    h = torch.arange(1.0, 6).view(1, 5, 1).repeat(4, 1, 1)
    alone = {"start": 0, "middle": 1, "end": 3}[position]

    x, mask = pool.insert(h, MASK)
    assert mask is not None

    expected = [3.0, 4.0, 5.0]
    expected.insert(alone, pool.token.item())
    assert x[2, mask[2], 0].tolist() == expected


@pytest.mark.parametrize(("position", "place"), [("start", 0), ("middle", 2), ("end", 5)])
def test_class_token_without_mask_stands_where_it_says(
    position: Literal["start", "middle", "end"], place: int
) -> None:
    pool = ClsPool(6, position)

    x, mask = pool.insert(torch.randn(2, 5, 6))

    assert mask is None
    assert torch.equal(x[1, place], pool.token)
    assert torch.equal(pool(x), pool.token.expand(2, 6))


def test_all_true_mask_and_no_mask_agree() -> None:
    pool = ClsPool(6, "middle")
    h = torch.randn(2, 5, 6)

    with_mask, _ = pool.insert(h, torch.ones(2, 5, dtype=torch.bool))

    assert torch.equal(with_mask, pool.insert(h)[0])
