"""The S-Mamba network: sizes, equations, invariances."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

from seqmamba.datasets.samples import Batch
from seqmamba.nn import Encoder
from seqmamba.tasks.forecast.model import SMamba, TokenLayout


def network(
    size: int = 12,
    h: int = 5,
    d_model: int = 16,
    d_state: int = 3,
    n_layers: int = 2,
    **options: Any,
) -> SMamba:
    torch.manual_seed(0)
    settings = {"d_model": d_model, "n_layers": n_layers, "d_state": d_state, "d_ff": d_model}
    encoder = Encoder.preset("s-mamba", backend="reference", **settings)
    layout = options.pop("layout", TokenLayout())
    return SMamba(size, h, layout, encoder, d_model=d_model, **options).eval()


# forecasting specification, 2.3: L, H, D, n, K -> parameters
SIZES = {
    "ETT-96": (96, 96, 256, 2, 2, 1_145_696),
    "ETTm1-192": (96, 192, 128, 2, 2, 314_944),  # the table prints H 96; its sum is that of H 192
    "Exchange": (96, 96, 128, 32, 2, 348_640),
    "Weather": (96, 96, 512, 2, 3, 6_631_008),
    "Electricity-96": (96, 96, 512, 16, 3, 6_760_032),
    "Traffic-96": (96, 96, 512, 32, 4, 9_176_672),
    "PEMS08-12": (96, 12, 512, 32, 2, 4_595_212),
    "PEMS04-12": (96, 12, 1024, 32, 4, 35_568_652),
    "Solar-96": (96, 96, 512, 32, 2, 4_638_304),
}


@pytest.mark.parametrize("name", SIZES)
def test_parameters_are_the_papers(name: str) -> None:
    size, h, d_model, d_state, n_layers, expected = SIZES[name]
    with torch.device("meta"):
        net = network(size, h, d_model, d_state, n_layers)

    assert sum(p.numel() for p in net.parameters()) == expected


def by_hand(net: SMamba, x: Tensor, marks: Tensor) -> Tensor:
    """Return the forecast by the equations of section 2, one token after the other."""
    mu = x.mean(1, keepdim=True)
    sd = torch.sqrt(x.var(1, keepdim=True, unbiased=False) + 1e-5)
    e = net.embed(torch.cat([((x - mu) / sd).transpose(1, 2), marks.transpose(1, 2)], 1))
    for layer in net.encoder.blocks:
        both: Any = layer.mixer
        fc: Any = layer.mlp
        norm2: Any = layer.norm2
        f = scan_by_hand(both.ahead, e)
        b = scan_by_hand(both.back, e.flip(1)).flip(1)
        a = layer.norm(e + f + b)
        e = norm2(a + fc.fc2(functional.gelu(fc.fc1(a))))
    y: Tensor = net.head(net.encoder.norm_f(e))[:, : x.shape[2]].transpose(1, 2)
    return y * sd + mu


def scan_by_hand(block: Any, e: Tensor) -> Tensor:
    s, z = block.in_proj(e).chunk(2, dim=-1)
    weight, bias = block.conv1d.weight[:, 0], block.conv1d.bias
    before = functional.pad(s, (0, 0, 1, 0))[:, :-1]
    s = functional.silu(before * weight[:, 0] + s * weight[:, 1] + bias)
    rank, n = block.dt_proj.weight.shape[1], block.A_log.shape[1]
    low, B, C = block.x_proj(s).split([rank, n, n], dim=-1)
    dt, A = functional.softplus(block.dt_proj(low)), -torch.exp(block.A_log)
    state, outputs = torch.zeros(len(e), *A.shape), []
    for t in range(e.shape[1]):
        update = (dt[:, t] * s[:, t])[:, :, None] * B[:, t, None, :]
        state = torch.exp(dt[:, t, :, None] * A) * state + update
        outputs.append((state * C[:, t, None, :]).sum(-1) + block.D * s[:, t])
    gated: Tensor = block.out_proj(torch.stack(outputs, 1) * functional.silu(z))
    return gated


def test_the_network_follows_the_equations(tolerance: dict[str, Any]) -> None:
    net = network()
    x, marks = torch.randn(2, 12, 4), torch.randn(2, 12, 3)

    found = net(Batch(x, extra={"marks": marks}))

    assert_close(found, by_hand(net, x, marks), **tolerance)


def test_instance_norm_makes_forecasts_follow_scale_and_shift() -> None:
    net, x = network(), torch.randn(2, 12, 4) * 3

    scaled = net(Batch(2.5 * x + 7))

    assert_close(scaled, 2.5 * net(Batch(x)) + 7, rtol=1e-3, atol=1e-3)  # 1e-5 in the root


def test_any_number_of_series_fits() -> None:
    net = network()

    assert [net(Batch(torch.randn(2, 12, n))).shape[2] for n in (1, 4, 9)] == [1, 4, 9]


def test_a_forecast_does_not_depend_on_its_batch(tolerance: dict[str, Any]) -> None:
    net, x = network(), torch.randn(7, 12, 4)

    assert_close(net(Batch(x))[3:4], net(Batch(x[3:4])), **tolerance)


@pytest.mark.parametrize("n_marks", [0, 2])
def test_padding_series_change_nothing(n_marks: int, tolerance: dict[str, Any]) -> None:
    net, x, marks = network(), torch.randn(1, 12, 3), torch.randn(1, 12, n_marks)
    extra = {"marks": marks} if n_marks else {}
    padded = torch.cat([x, torch.full((1, 12, 2), 1e3)], 2)
    tokens = torch.tensor([[True] * 3 + [False] * 2])

    together = net(Batch(padded, extra={**extra, "tokens": tokens}))

    assert_close(together[:, :, :3], net(Batch(x, extra=extra)), **tolerance)


def test_the_series_learn_from_each_other() -> None:
    net, x = network(), torch.randn(1, 12, 3)
    other = x.clone()
    other[:, 5, 2] += 1

    assert not torch.equal(net(Batch(x))[:, :, 0], net(Batch(other))[:, :, 0])


def test_quantiles_stand_on_an_axis_of_their_own() -> None:
    assert network(n_quantiles=3)(Batch(torch.randn(2, 12, 4))).shape == (2, 5, 4, 3)


def test_a_residual_carries_no_level(tolerance: dict[str, Any]) -> None:
    net, residual = network(), network(is_residual=True)
    x = torch.randn(2, 12, 4) + 5

    level = x.mean(1, keepdim=True)

    assert_close(residual(Batch(x)), net(Batch(x)) - level, **tolerance)


EXTENSIONS: dict[str, dict[str, Any]] = {
    "known ahead": {"has_future": True},
    "static": {"n_static": 2},
    "series": {"n_series": 4},
    "missing": {"has_missing": True},
}


@pytest.mark.parametrize("name", EXTENSIONS)
def test_extensions_leave_the_papers_weights_as_they_are(name: str) -> None:
    plain, extended = network().state_dict(), network(**EXTENSIONS[name]).state_dict()

    assert set(extended) > set(plain)
    assert all(torch.equal(extended[key], value) for key, value in plain.items())


def test_observed_cells_alone_change_nothing(tolerance: dict[str, Any]) -> None:
    net = network(has_missing=True)
    x = torch.randn(2, 12, 4)

    masked = net(Batch(x, extra={"observed": torch.ones(2, 12, 4, dtype=torch.bool)}))

    assert_close(masked, network()(Batch(x)), **tolerance)


def test_what_stands_in_a_missing_lead_does_not_matter() -> None:
    net, x = network(has_missing=True), torch.randn(1, 12, 2)
    observed = torch.ones(1, 12, 2, dtype=torch.bool)
    observed[:, :4, 0] = False
    other = torch.where(observed, x, 99.0)

    found = [net(Batch(v, extra={"observed": observed})) for v in (x, other)]

    assert_close(found[0], found[1])


def test_covariates_are_tokens_without_forecasts() -> None:
    net = network(layout=TokenLayout(n_hist=2), has_future=True, n_static=1, n_series=3)
    extra = {
        "future": torch.randn(2, 17, 1),
        "static": torch.randn(2, 3, 1),
        "series": torch.tensor([[0, 1, 2]] * 2),
        "marks": torch.randn(2, 12, 4),
    }

    assert net(Batch(torch.randn(2, 12, 5), extra=extra)).shape == (2, 5, 3)


@pytest.mark.parametrize("shared", [True, False])
def test_the_layout_tells_targets_from_covariates(shared: bool) -> None:
    columns = 3 + 2 if shared else 3 * (1 + 2)

    assert TokenLayout(2, shared).targets(columns) == 3


def test_gradients_reach_every_weight() -> None:
    net = network(has_missing=True).train()
    observed = torch.from_numpy(np.random.default_rng(0).random((4, 12, 3)) > 0.2)
    x = torch.randn(4, 12, 3, generator=torch.Generator().manual_seed(1))

    net(Batch(x, extra={"observed": observed})).square().mean().backward()

    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
