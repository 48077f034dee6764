"""The best items in blocks are the best items."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from seqmamba.tasks.recommend.serve.topk import Forbidden, top_items

V = 23


@pytest.mark.parametrize("block", [1, 7, V, V + 3])
@pytest.mark.parametrize("k", [1, 5, V, V + 9])
@pytest.mark.parametrize("levels", [None, 3], ids=["distinct", "tied"])
def test_blocks_equal_one_sort(block: int, k: int, levels: int | None) -> None:
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(6, 4, generator=generator).round(decimals=1)
    items = torch.randn(V, 4, generator=generator)
    if levels is not None:
        items = items[torch.arange(V) % levels]  # every score occurs several times
    who, what = np.array([0, 0, 3]), np.array([5, 1, 22])

    ranked = top_items(h, items, k, forbidden=Forbidden.of(who, what), block=block)

    scores = torch.stack([h @ item for item in items], 1)
    scores[who, what] = -torch.inf
    expected, order = scores.sort(dim=1, descending=True, stable=True)
    possible = expected[:, :k].isfinite()
    assert_close(ranked.scores, expected[:, :k])
    if levels is None:
        assert torch.equal(ranked.columns[possible], order[:, :k][possible])
    assert_close(ranked.log_total, scores.logsumexp(1))


def test_equal_scores_come_in_the_order_of_the_vocabulary() -> None:
    ranked = top_items(torch.ones(2, 1), torch.ones(9, 1), 4, block=2)

    assert ranked.columns.tolist() == [[0, 1, 2, 3]] * 2


def test_extra_scores_are_added_in_their_place() -> None:
    extra = torch.arange(V).float().expand(2, -1)

    ranked = top_items(torch.zeros(2, 1), torch.zeros(V, 1), 3, extra=extra, block=5)

    assert ranked.columns[0].tolist() == [V - 1, V - 2, V - 3]
