"""Scans as eager operations: pairs, gradients, autocast, checkpointing, copies."""

import copy
import pickle
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from seqmamba.errors import BackendError
from seqmamba.kernels import (
    ConvArguments,
    ScanArguments,
    causal_conv1d,
    conv_pair,
    conv_step,
    scan_pair,
    selective_scan,
    state_step,
    use,
)
from seqmamba.testing.scan_cases import (
    ConvCase,
    ScanCase,
    conv_arguments,
    relative_error,
    scan_arguments,
)


class Layer(nn.Module):
    """A convolution and a scan with parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 1, 4))
        self.A = nn.Parameter(-torch.rand(6, 3) - 0.1)
        self.project = nn.Linear(6, 12)

    def forward(self, x: Tensor) -> Tensor:
        x = causal_conv1d(x, self.weight, None, "silu")
        delta, B, C = self.project(x).split([6, 3, 3], -1)
        return selective_scan(x, delta, self.A, B, C, delta_softplus=True)


def leaves(arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        k: v.clone().requires_grad_() if isinstance(v, Tensor) and v.is_floating_point() else v
        for k, v in arguments.items()
    }


@pytest.mark.parametrize("backend", ["auto", "torch", "reference"])
def test_a_pair_equals_two_calls(backend: str) -> None:
    first, second = (
        leaves(scan_arguments(ScanCase(reverse=r), (2, 9, 4, 3))) for r in (False, True)
    )
    second["u"] = first["u"]  # both directions read one input

    together = scan_pair(cast(ScanArguments, first), cast(ScanArguments, second), backend=backend)
    apart = [selective_scan(**a, backend=backend) for a in (first, second)]

    wanted = [first["u"], first["A"], second["A"], second["z"]]
    weight = torch.randn_like(together[0])
    found = torch.autograd.grad(((together[0] - together[1]) * weight).sum(), wanted)
    expected = torch.autograd.grad(((apart[0] - apart[1]) * weight).sum(), wanted)
    torch.testing.assert_close(list(together), apart)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("backend", ["auto", "torch", "reference"])
def test_a_pair_of_convolutions_equals_two_calls(backend: str) -> None:
    first, second = (leaves(conv_arguments(ConvCase(reverse=r), (2, 9, 4))) for r in (False, True))
    second["x"] = first["x"]

    together = conv_pair(cast(ConvArguments, first), cast(ConvArguments, second), backend=backend)

    for out, arguments in zip(together, (first, second), strict=True):
        expected = causal_conv1d(**arguments, backend=backend)
        torch.testing.assert_close(out, expected)
        weights = [arguments["x"], arguments["weight"]]
        found = torch.autograd.grad(out.square().sum(), weights, retain_graph=True)
        torch.testing.assert_close(found, torch.autograd.grad(expected.square().sum(), weights))


@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_a_second_derivative_is_refused_not_silently_zero(backend: str) -> None:
    arguments = leaves(scan_arguments(ScanCase(), (2, 5, 4, 3)))
    out = selective_scan(**arguments, backend=backend)
    (gradient,) = torch.autograd.grad(out.sum(), arguments["u"], create_graph=True)

    with pytest.raises(BackendError, match=r'no second derivative\. Use backend="reference"'):
        torch.autograd.grad(gradient.sum(), arguments["A"])


@pytest.mark.parametrize("backend", ["auto", "torch", "reference"])
def test_autocast_leaves_states_and_decays_in_float32(backend: str) -> None:
    layer, x = Layer(), torch.randn(2, 9, 6)
    plain = layer(x)

    with torch.autocast("cpu", torch.bfloat16), use(backend):
        out = layer(x)
        B = C = torch.randn(2, 9, 3).bfloat16()
        state = selective_scan(x.bfloat16(), x.bfloat16(), layer.A, B, C, return_last_state=True)[1]

    assert state.dtype == torch.float32
    assert relative_error(out.detach().float(), plain.detach(), norm=2) <= 0.03
    out.float().sum().backward()
    assert layer.A.grad is not None
    assert layer.A.grad.dtype == torch.float32


@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_checkpointing_changes_nothing(backend: str) -> None:
    layer, x = Layer(), torch.randn(2, 9, 6, requires_grad=True)

    with use(backend):
        plain = torch.autograd.grad(layer(x).square().sum(), [x, *layer.parameters()])
        out = checkpoint(layer, x, use_reentrant=False)
        found = torch.autograd.grad(out.square().sum(), [x, *layer.parameters()])

    torch.testing.assert_close(found, plain)


def test_copies_and_pickles_of_a_layer_give_the_same_bits() -> None:
    layer, x = Layer(), torch.randn(2, 9, 6)

    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(x), layer(x))


def test_an_output_without_gradient_needs_none() -> None:
    arguments = leaves(scan_arguments(ScanCase(), (2, 5, 4, 3)))

    out, last = selective_scan(**arguments, return_last_state=True)
    (from_last,) = torch.autograd.grad(last.sum(), arguments["A"], retain_graph=True)
    (from_both,) = torch.autograd.grad(last.sum() + 0 * out.sum(), arguments["A"])

    torch.testing.assert_close(from_last, from_both)
    with torch.no_grad():
        assert not selective_scan(**arguments).requires_grad


def test_steps_carry_gradients_where_they_are_wanted() -> None:
    arguments = leaves(scan_arguments(ScanCase(optional=("D",)), (2, 4, 4, 3)))
    start = torch.zeros(2, 4, 3, dtype=torch.float64)
    state, conv_state = start.clone(), torch.zeros(2, 4, 4, dtype=torch.float64)
    weight = torch.randn(4, 4, dtype=torch.float64, requires_grad=True)
    rest = {k: arguments[k] for k in ("A", "D", "delta_softplus")}

    steps = [
        state_step(state, **{k: arguments[k][:, t] for k in ("u", "delta", "B", "C")}, **rest)
        for t in range(4)
    ]
    whole = selective_scan(**arguments)
    taps = [conv_step(conv_state, u, weight) for u in arguments["u"].unbind(1)]

    found = torch.autograd.grad(torch.stack(steps, 1).square().sum(), arguments["A"])
    torch.testing.assert_close(found, torch.autograd.grad(whole.square().sum(), arguments["A"]))
    (of_taps,) = torch.autograd.grad(torch.stack(taps, 1).square().sum(), weight)
    conv = causal_conv1d(arguments["u"], weight)
    torch.testing.assert_close(of_taps, torch.autograd.grad(conv.square().sum(), weight)[0])
