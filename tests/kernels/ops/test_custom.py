"""Custom operators: compile, export and the transformations of ``torch.func``."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev, vmap

from seqmamba.errors import BackendError
from seqmamba.kernels import causal_conv1d, scan_pair, selective_scan, use
from seqmamba.kernels.layout import conv_call, scan_call
from seqmamba.kernels.ops import custom
from seqmamba.testing.scan_cases import (
    CONV_CASES,
    SCAN_CASES,
    conv_arguments,
    scan_arguments,
)


class Layer(nn.Module):
    """Convolution and both directions of a scan."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 1, 4))
        self.A = nn.Parameter(-torch.rand(6, 3) - 0.1)
        self.project = nn.Linear(6, 12)

    def forward(self, x: Tensor) -> Tensor:
        x = causal_conv1d(x, self.weight, None, "silu")
        delta, B, C = self.project(x).split([6, 3, 3], -1)
        first, second = scan_pair(
            {"u": x, "delta": delta, "A": self.A, "B": B, "C": C, "delta_softplus": True},
            {"u": x, "delta": delta.abs(), "A": self.A, "B": B, "C": C, "reverse": True},
        )
        return first + second


def gradients(function: Callable[[Tensor], Tensor], layer: Layer, x: Tensor) -> list[Tensor]:
    found = torch.autograd.grad(function(x).square().sum(), [x, *layer.parameters()])
    return list(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["full", "groups", "initial-state", "lengths-reverse", "packed"])
def test_scan_operator_keeps_torchs_rules(name: str) -> None:
    arguments = scan_arguments(SCAN_CASES[name], (2, 5, 4, 3), dtype=torch.float32)
    call = scan_call(**arguments)
    tensors = [None if t is None else t.clone().requires_grad_() for t in call.tensors()]
    borders = (call.lengths, call.cu_seqlens, call.mask)
    flags = (call.delta_softplus, call.reverse, call.window)

    torch.library.opcheck(custom._scan, (*tensors, *borders, *flags, "torch"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["silu", "initial-state", "lengths-reverse"])
def test_conv_operator_keeps_torchs_rules(name: str) -> None:
    call = conv_call(**conv_arguments(CONV_CASES[name], (2, 5, 4), dtype=torch.float32))
    tensors = [None if t is None else t.clone().requires_grad_() for t in call.tensors()]
    borders = (call.lengths, call.cu_seqlens, call.mask)

    torch.library.opcheck(custom._conv, (*tensors, *borders, True, call.reverse, "torch"))


@pytest.mark.filterwarnings("ignore:.torch.jit.script_method:DeprecationWarning")  # by inductor
@pytest.mark.parametrize(
    "compiler", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)]
)
def test_one_compiled_graph_serves_every_length(compiler: str) -> None:
    layer, lengths = Layer().double(), []

    def spy(module: torch.fx.GraphModule, inputs: Any) -> Any:
        lengths.append(len(inputs))
        return torch._dynamo.lookup_backend(compiler)(module, inputs)

    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend=spy)
    for length in (7, 12, 33):
        x = torch.randn(2, length, 6, dtype=torch.float64, requires_grad=True)

        torch.testing.assert_close(compiled(x), layer(x))
        torch.testing.assert_close(gradients(compiled, layer, x), gradients(layer, layer, x))
    assert len(lengths) == 1


def test_masks_and_states_compile() -> None:
    arguments = scan_arguments(SCAN_CASES["mask-reverse"], (2, 7, 4, 3))
    lengths = torch.tensor([3, 7])

    def function(u: Tensor) -> tuple[Tensor, Tensor]:
        given = arguments | {"u": u, "lengths": lengths}
        out, last = selective_scan(**given, return_last_state=True)
        return out, last

    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")

    torch.testing.assert_close(compiled(arguments["u"]), function(arguments["u"]))


@pytest.mark.slow
def test_export_keeps_one_node_or_the_reference_loop() -> None:
    layer, x = Layer(), torch.randn(2, 7, 6)
    length = torch.export.Dim("length", min=2, max=64)

    program = torch.export.export(layer, (x,), dynamic_shapes=({1: length},))
    with use("reference"):
        unrolled = torch.export.export(layer, (x,))

    longer = torch.randn(2, 20, 6)
    torch.testing.assert_close(program.module()(longer), layer(longer))
    torch.testing.assert_close(unrolled.module()(x), layer(x))
    assert "selective_scan" in str(program.graph)
    assert "selective_scan" not in str(unrolled.graph)


def test_vmap_over_inputs_and_over_parameters() -> None:
    arguments = scan_arguments(SCAN_CASES["full"], (2, 5, 4, 3))
    inputs, decays = torch.randn(3, 2, 5, 4).double(), -torch.rand(3, 4, 3).double()

    def function(u: Tensor, A: Tensor) -> Tensor:
        out: Tensor = selective_scan(**arguments | {"u": u, "A": A})
        return out

    together = vmap(function)(inputs, decays)

    alone = [function(u, A) for u, A in zip(inputs, decays, strict=True)]
    torch.testing.assert_close(together, torch.stack(alone))
    shared = vmap(function, in_dims=(0, None))(inputs, decays[0])
    torch.testing.assert_close(shared[1], function(inputs[1], decays[0]))


def test_gradients_per_sample_come_from_func() -> None:
    layer, x = Layer().double(), torch.randn(3, 5, 6).double()
    parameters: dict[str, Tensor] = dict(layer.named_parameters())

    def loss(values: dict[str, Tensor], row: Tensor) -> Tensor:
        out: Tensor = functional_call(layer, values, (row[None],))
        return out.square().sum()

    per_sample = vmap(grad(loss), in_dims=(None, 0))(parameters, x)

    for b in range(3):
        expected = torch.autograd.grad(loss(parameters, x[b]), list(parameters.values()))
        for found, value in zip(per_sample.values(), expected, strict=True):
            torch.testing.assert_close(found[b], value)


def test_second_derivatives_of_func_are_refused() -> None:
    arguments = scan_arguments(SCAN_CASES["full"], (2, 3, 4, 2))

    def loss(u: Tensor) -> Tensor:
        out: Tensor = selective_scan(**arguments | {"u": u})
        return out.square().sum()

    second = jacrev(jacrev(loss))
    with pytest.raises(BackendError, match="no second derivative"):
        second(arguments["u"])
    with use("reference"):
        assert second(arguments["u"]).isfinite().all()
