"""Exact losses agree with each other; sampled ones estimate them."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

from seqmamba.tasks.recommend.net import losses
from seqmamba.tasks.recommend.net.exact_softmax import exact_softmax

V = 23


@pytest.fixture
def problem() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(7, 5, generator=generator, requires_grad=True)
    items = torch.randn(V, 5, generator=generator, requires_grad=True)
    return h, items, torch.randint(1, V + 1, (7,), generator=generator)


@pytest.mark.parametrize("block", [1, V, 3 * V + 1, 100 * V])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_softmax_in_blocks_of_rows_is_that_of_torch(
    problem: tuple[Tensor, Tensor, Tensor], block: int, smoothing: float
) -> None:
    h, items, targets = problem

    ours = exact_softmax(h, items, targets, smoothing, block)
    theirs = functional.cross_entropy(h @ items.T, targets - 1, label_smoothing=smoothing)

    assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    for mine, torchs in zip(
        torch.autograd.grad(2 * ours, (h, items)),
        torch.autograd.grad(2 * theirs, (h, items)),
        strict=True,
    ):
        assert_close(mine, torchs, rtol=1e-5, atol=1e-6)


def test_softmax_stays_in_single_precision_under_autocast(
    problem: tuple[Tensor, Tensor, Tensor],
) -> None:
    h, items, targets = problem

    with torch.autocast("cpu", torch.bfloat16):
        loss = exact_softmax(h, items, targets)

    assert_close(loss, exact_softmax(h, items, targets))


@pytest.mark.parametrize("chunk", [1, 7, V, V + 3])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_blocks_change_neither_value_nor_gradient(
    problem: tuple[Tensor, Tensor, Tensor], chunk: int, smoothing: float
) -> None:
    h, items, targets = problem

    whole = losses.softmax(h, items, targets, smoothing)
    blocks = losses.softmax_chunked(h, items, targets, smoothing, chunk)

    assert_close(blocks, whole, rtol=1e-6, atol=1e-6)
    for ours, theirs in zip(
        torch.autograd.grad(blocks, (h, items)), torch.autograd.grad(whole, (h, items)), strict=True
    ):
        assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_the_gradient_in_blocks_is_right_to_the_last_digits() -> None:
    h = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    items = torch.randn(9, 4, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(lambda a, b: losses.chunked_logsumexp(a, b, 4), (h, items))


def test_sampled_softmax_tends_to_the_exact_one(problem: tuple[Tensor, Tensor, Tensor]) -> None:
    h, items, targets = problem
    popularity = torch.arange(1, V + 1).double() ** 0.75
    torch.manual_seed(0)

    exact = losses.softmax(h, items, targets)
    for weights in (None, popularity.float()):
        sampled = losses.sampled_softmax(h, items, targets, 200_000, weights)
        assert_close(sampled, exact, rtol=0.02, atol=0.02)


def test_gbce_without_calibration_is_binary_cross_entropy(
    problem: tuple[Tensor, Tensor, Tensor],
) -> None:
    h, items, targets = problem
    torch.manual_seed(0)
    drawn = torch.randint(V, (7, 6))
    logits = torch.cat(
        [
            (h * items[targets - 1]).sum(1, keepdim=True),
            torch.einsum("md,mkd->mk", h, items[drawn]),
        ],
        1,
    )
    truth = functional.one_hot(torch.zeros(7, dtype=torch.int64), 7).float()

    torch.manual_seed(0)
    ours = losses.gbce(h, items, targets, 6, t=0.0)

    assert_close(ours, functional.binary_cross_entropy_with_logits(logits, truth))


def test_full_calibration_weighs_the_target_by_the_sampling_rate(
    problem: tuple[Tensor, Tensor, Tensor],
) -> None:
    h, items, targets = problem
    own = functional.logsigmoid((h * items[targets - 1]).sum(1)).mean()
    values = []
    for t in (0.0, 1.0):
        torch.manual_seed(0)
        values.append(losses.gbce(h, items, targets, 6, t=t))

    alpha = 6 / (V - 1)
    assert_close(values[1] - values[0], (1 - alpha) * own / 7)


def test_bpr_never_draws_an_item_of_the_history() -> None:
    items = torch.zeros(6, 2)
    items[5] = 100.0  # the only item outside the histories
    histories = torch.tensor([4, 1, 2, 3, 2, 0]).expand(50, -1)

    loss = losses.bpr(torch.ones(50, 2), items, torch.full((50,), 5), histories)

    assert loss.item() == pytest.approx(200)  # softplus(200) in every row


def test_bpr_draws_all_other_items_alike() -> None:
    items = torch.eye(5) * 1000
    histories = torch.tensor([[2, 2, 0]]).expand(6000, -1)
    torch.manual_seed(0)

    h = torch.zeros(6000, 5, requires_grad=True)
    loss = losses.bpr(h, items, torch.full((6000,), 4), histories)
    (gradient,) = torch.autograd.grad(loss, h)

    drawn = (gradient > 0).float().mean(0)
    assert drawn[[1, 3]].tolist() == [0, 0]
    assert drawn[[0, 2, 4]].tolist() == pytest.approx([1 / 3] * 3, abs=0.03)


@pytest.mark.parametrize(
    ("n_targets", "n_items", "name"),
    [(512, 12_101, "softmax"), (4096, 60_000, "softmax_chunked"), (8, 1_000_001, "sampled")],
)
def test_the_loss_follows_the_size(n_targets: int, n_items: int, name: str) -> None:
    assert losses.resolve_loss(n_targets, n_items) == name


def test_an_untrained_model_pays_the_logarithm_of_the_catalogue() -> None:
    loss = losses.softmax_chunked(torch.zeros(4, 3), torch.randn(V, 3), torch.tensor([1, 2, 3, 4]))

    assert loss.item() == pytest.approx(math.log(V))
