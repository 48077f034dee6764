"""The network: embedding, causality, and rollouts that can be continued."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seqmamba.datasets.samples import Batch, Info
from seqmamba.nn import Encoder
from seqmamba.tasks.chaos.net.model import PhyxMamba
from seqmamba.tasks.chaos.net.rollout import forced, roll
from seqmamba.tasks.chaos.net.tokens import PatchTokens, delay_embed, patches
from seqmamba.tasks.chaos.windows import TrajectoryWindows, WindowShape

LEAD, CONTEXT, PATCH = 4, 20, 5


def network(pad: Any = "context", target: Any = "delta") -> PhyxMamba:
    """Return a small network of two channels with an output that is not zero."""
    torch.manual_seed(0)
    tokens = PatchTokens(
        2, 16, patch=PATCH, delay_dim=3, delay_lag=2, lead=LEAD, pad=pad, dropout=0.0
    )
    encoder = Encoder.preset("phyxmamba", d_model=16, n_layers=2, d_state=8)
    return PhyxMamba(
        tokens, encoder, channels=2, patch=PATCH, n_ahead=2, target=target, is_residual=False
    )


def windows(batch: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, LEAD + CONTEXT, 2, generator=generator, dtype=torch.float64)


def test_delays_stand_in_the_order_of_time() -> None:
    x = torch.arange(10.0).reshape(1, 10, 1)

    embedded = delay_embed(x, 3, 2)

    times = torch.arange(4.0, 10.0)
    expected = torch.stack([times - 4, times - 2, times], dim=-1)
    torch.testing.assert_close(embedded[0, :, 0], expected)


def test_a_token_is_channel_then_lag_then_time() -> None:
    # value = 100 channel + 10 lag + time
    c, m, t = torch.meshgrid(torch.arange(2), torch.arange(3), torch.arange(4), indexing="ij")
    embedded = (100 * c + 10 * m + t).permute(2, 0, 1)[None]  # (1, T, V, m)

    token = patches(embedded, 2)[0, 1]

    assert token.tolist() == [2, 3, 12, 13, 22, 23, 102, 103, 112, 113, 122, 123]


@pytest.mark.parametrize("training", [True, False])
def test_no_token_sees_a_later_one(training: bool) -> None:
    net = network().double().train(training)
    x = windows(1).requires_grad_()
    answer = net(Batch(x=x, y=torch.zeros(1)))  # (1, L, p, V)

    for token in range(answer.shape[1]):
        (slope,) = torch.autograd.grad(answer[0, token].sum(), x, retain_graph=True)
        later = slope[0, LEAD + (token + 1) * PATCH :]
        assert torch.equal(later, torch.zeros_like(later))


@pytest.mark.parametrize("pad", ["edge", "zero"])
def test_rows_before_the_context_count_only_where_asked(pad: str) -> None:
    x = windows()
    other = x.clone()
    other[:, :LEAD] += 1.0

    assert torch.equal(network(pad)(Batch(x=x)), network(pad)(Batch(x=other)))
    assert not torch.equal(network()(Batch(x=x)), network()(Batch(x=other)))


def test_the_last_patch_is_the_answer_without_targets() -> None:
    net, x = network(), windows()

    alone, every = net(Batch(x=x)), net(Batch(x=x, y=torch.zeros(1)))

    torch.testing.assert_close(alone[:, 0], every[:, -1])


@pytest.mark.parametrize(("ahead", "tokens"), [(PATCH, 4), (0, 3)])
def test_every_token_of_a_context_is_trained_unless_as_released(ahead: int, tokens: int) -> None:
    x = np.arange(80.0).reshape(40, 2)
    shape = WindowShape(LEAD, CONTEXT, PATCH, ahead=ahead)
    info = Info(channels=2, length=(40, 40), n_outputs=2)

    batch = TrajectoryWindows.over([x], shape, info).batch(np.array([1]))

    assert batch.x.shape[1] == LEAD + tokens * PATCH
    assert batch.y is not None
    assert np.array_equal(batch.y[0, -1].numpy(), x[1 + LEAD + tokens * PATCH :][:PATCH])


def test_a_later_module_reads_what_lies_between() -> None:
    net, x = network().double(), windows()

    first, further = net.look_ahead(Batch(x=x))

    lengths = [y.shape[1] for y in (first, *further)]
    assert lengths == [4, 3, 2]


def test_a_rollout_goes_on_where_it_stopped() -> None:
    net, x = network().eval(), windows()
    keep = LEAD + CONTEXT

    whole = roll(net, x, 30, keep=keep).path
    first = roll(net, x, 15, keep=keep).path
    rest = roll(net, np.concatenate([x.numpy(), first], axis=1), 15, keep=keep).path

    assert np.array_equal(whole, np.concatenate([first, rest], axis=1))


def test_rollouts_with_gradients_are_the_same() -> None:
    net, x = network().eval(), windows()

    path = forced(net, x, 12, keep=LEAD + CONTEXT)

    np.testing.assert_allclose(
        path.detach().numpy(), roll(net, x, 12, keep=LEAD + CONTEXT).path, atol=1e-5
    )


def test_a_rollout_that_leaves_the_bounds_is_cut_and_counted() -> None:
    net: Any = network().eval()
    with torch.no_grad():
        net.decoder.bias.fill_(3.0)

    rolled = roll(net, windows(), 40, keep=LEAD + CONTEXT, bound=10.0)

    assert rolled.diverged.all()
    assert np.abs(rolled.path).max() == 10.0


def test_an_untrained_increment_is_persistence() -> None:
    net: Any = network().eval()
    with torch.no_grad():
        net.decoder.weight.zero_()
        net.decoder.bias.zero_()

    path = roll(net, windows(), 7, keep=LEAD + CONTEXT).path

    np.testing.assert_allclose(path, np.repeat(windows()[:, -1:].numpy(), 7, axis=1), atol=1e-6)
