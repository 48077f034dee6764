"""The network: published sizes, padding without effect, long bags in pieces, hard-wired orders."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from seqmamba.datasets.samples import Batch
from seqmamba.nn.order import reorder
from seqmamba.tasks.mil.net import model
from seqmamba.tasks.mil.net.chunks import encode_in_chunks
from seqmamba.tasks.mil.net.groups import groups_of
from seqmamba.tasks.mil.net.model import BagNet, EncoderName, NetSettings, PoolName
from seqmamba.tasks.mil.net.s4d import S4D

ENCODERS: tuple[EncoderName, ...] = ("srmamba", "bimamba", "mamba", "lbmamba", "s4d", "none")
POOLS: tuple[PoolName, ...] = ("attention", "gated", "mean", "max")
SMALL: dict[str, Any] = {"d_model": 16, "n_layers": 2, "d_state": 4, "rate": 4}


def net_of(encoder: EncoderName, pool: PoolName = "attention", **settings: Any) -> BagNet:
    torch.manual_seed(0)
    return BagNet(6, 3, NetSettings(encoder, pool, **{**SMALL, **settings})).eval()


def packed(lengths: list[int], channels: int = 6) -> Batch:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(sum(lengths), channels, generator=generator)
    return Batch(x, extra={"lengths": torch.tensor(lengths)})


@pytest.mark.parametrize(
    ("encoder", "expected"),
    [
        ("srmamba", 4_227_843),
        ("bimamba", 4_227_843),
        ("mamba", 3_984_131),
        ("lbmamba", 3_984_131),
    ],
)
def test_parameters_are_those_of_the_paper(encoder: EncoderName, expected: int) -> None:
    net = BagNet(1024, 2, NetSettings(encoder))  # multiple-instance specification, 2

    assert sum(p.numel() for p in net.parameters()) == expected


def test_seven_tokens_in_lines_of_three() -> None:
    order = reorder(7, 3)

    assert order.keep is not None
    source = order.source.masked_fill(~order.keep, -1)
    assert source[0].tolist() == [0, 3, 6, 1, 4, -1, 2, 5, -1]
    assert order.inverse[0].tolist() == [0, 3, 6, 1, 4, 7, 2]


def test_padding_of_the_last_line_is_no_matter_without_one() -> None:
    masked, reference = (net_of("srmamba", pad_mode=mode) for mode in ("masked", "reference"))
    even, odd = packed([12]), packed([13])

    assert_close(masked(even), reference(even), rtol=1e-6, atol=1e-6)
    assert not torch.allclose(masked(odd), reference(odd), atol=1e-6)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_bag_alone_is_the_bag_among_others(
    encoder: EncoderName, pool: PoolName, tolerance: Any
) -> None:
    net, lengths = net_of(encoder, pool), [5, 17, 1, 9]
    batch = packed(lengths)

    together = net(batch)

    for row, x in zip(together, batch.x.split(lengths), strict=True):  # type: ignore[no-untyped-call]
        assert_close(net(Batch(x, extra={"lengths": torch.tensor([len(x)])}))[0], row, **tolerance)


def test_the_cap_on_a_pass_changes_nothing(tolerance: Any) -> None:
    batch = packed([5, 17, 1, 9, 9, 2])

    whole, capped = net_of("srmamba")(batch), net_of("srmamba", max_tokens=18)(batch)

    assert_close(whole, capped, **tolerance)


def test_groups_hold_each_bag_once_and_keep_the_cap() -> None:
    lengths = torch.tensor([3, 9, 4, 2, 4, 20])

    groups = groups_of(lengths, 12)

    assert sorted(torch.cat(groups).tolist()) == [0, 1, 2, 3, 4, 5]
    assert all(len(g) == 1 or len(g) * int(lengths[g].max()) <= 12 for g in groups)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_only_sequence_encoders_see_the_order(encoder: EncoderName) -> None:
    net, batch = net_of(encoder), packed([15])
    shuffled = Batch(batch.x[torch.randperm(15)], extra=batch.extra)

    same = torch.allclose(net(batch), net(shuffled), atol=1e-5)

    assert same == (encoder == "none")


def test_noise_and_thinning_are_of_training_alone() -> None:
    settings: dict[str, Any] = {"instance_noise": 0.5, "instance_dropout": 0.5, "max_instances": 4}
    net, batch = net_of("srmamba", **settings), packed([15, 3])

    assert torch.equal(net(batch), net(batch))
    assert torch.equal(net(batch), net_of("srmamba")(batch))
    net.train()
    assert not torch.equal(net(batch), net(batch))


def test_thinning_keeps_the_order_and_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    net = net_of("none", max_instances=4).train()
    x = torch.arange(15.0).reshape(1, 15, 1).expand(1, 15, 6)
    seen: list[Tensor] = []

    out, mask = net._augment(x, torch.tensor([15]))

    seen.append(out[mask][:, 0])
    assert len(seen[0]) == 4
    assert bool((seen[0].diff() > 0).all())


@pytest.mark.parametrize("pad_mode", ["masked", "reference"])
@pytest.mark.parametrize("encoder", [name for name in ENCODERS if name != "s4d"])
def test_a_long_bag_in_pieces_is_the_whole(encoder: EncoderName, pad_mode: Any) -> None:
    net, x = net_of(encoder, pad_mode=pad_mode, rate=7), packed([5_000]).x
    with torch.no_grad():
        whole = net.pool_bags(x[None], torch.tensor([5_000])).logits
        pieces = net._pool(encode_in_chunks(net, x, 512)[None], None).logits

    assert_close(pieces, whole, rtol=1e-4, atol=1e-4)


def test_inference_goes_by_pieces_above_the_limit(
    monkeypatch: pytest.MonkeyPatch, tolerance: Any
) -> None:
    net, batch = net_of("srmamba", max_tokens=300), packed([300, 20])  # each bag by itself
    with torch.no_grad():
        whole = net(batch)
    monkeypatch.setattr(model, "CHUNK", 64)

    with torch.no_grad():
        pieces = net(batch)

    assert_close(pieces, whole, **tolerance)


def test_checkpoints_change_no_gradient(tolerance: Any) -> None:
    batch, gradients = packed([30, 11]), []
    for limit in (10, 10_000):
        net = net_of("srmamba", checkpoint_tokens=limit).train()
        net(batch).square().sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in net.parameters()]))  # type: ignore[union-attr]

    assert_close(*gradients, **tolerance)


def test_s4d_is_the_loop_over_its_states() -> None:
    torch.manual_seed(0)
    layer, mask = S4D(3, d_state=4), torch.ones(1, 9, dtype=torch.bool)
    u = torch.randn(1, 9, 3)
    A = torch.complex(-layer.log_decay.exp(), layer.frequency)
    decay = (layer.log_dt.exp()[:, None] * A).exp()
    state, steps = torch.zeros_like(A), []
    for value in layer.norm(u)[0]:
        state = decay * state + (decay - 1) / A * value[:, None]
        steps.append(2 * (torch.view_as_complex(layer.C) * state).sum(1).real + layer.D * value)

    expected = torch.nn.functional.glu(layer.out(torch.nn.functional.gelu(torch.stack(steps))))

    assert_close(layer(u, mask)[0], expected, rtol=1e-4, atol=1e-5)


def test_the_reference_start_forgets_at_once() -> None:
    net: Any = net_of("srmamba", start="reference")
    kept: Any = net_of("srmamba")

    bias, usual = (n.encoder.blocks[0].mixer.dt_proj.bias for n in (net, kept))

    assert float(torch.nn.functional.softplus(bias.detach()).mean()) == pytest.approx(math.log(2))
    assert float(torch.nn.functional.softplus(usual.detach()).max()) <= 0.1 + 1e-6


def test_mean_and_max_pool_the_logits() -> None:
    batch = packed([7])
    mean, most = net_of("none", "mean"), net_of("none", "max")

    each = mean.head(mean.activation(mean.embed(batch.x)))

    assert_close(mean(batch)[0], each.mean(0))
    assert_close(most(batch)[0], each.amax(0))


def test_attention_is_zero_on_padding_and_sums_to_one() -> None:
    net, batch = net_of("srmamba"), packed([5, 9])

    ((chosen, pooled),) = net.pooled(batch)

    assert pooled.attention is not None
    assert chosen.tolist() == [1, 0]
    assert_close(pooled.attention.sum(1), torch.ones(2))
    assert float(pooled.attention[1, 5:].detach().abs().max()) == 0.0
