"""The adapter to the published extension passes and returns what its interface says.

Without a GPU the extension is stood in for by the reference behind the same interface:
``fwd(u, delta, A, B, C, D, z, delta_bias, softplus) -> out, states[, gated]`` and
``bwd(..., d_out, states, out, dz, softplus, recompute) -> gradients``, all channels-first.
"""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seqmamba.errors import BackendError
from seqmamba.kernels import mamba_ssm, selective_scan
from seqmamba.kernels.compat import selective_scan_fn
from seqmamba.kernels.layout import scan_call
from seqmamba.kernels.problem import Result, Scan
from seqmamba.testing.scan_cases import SCAN_CASES, ScanCase, outcome, scan_arguments


class Extension:
    """The interface of ``selective_scan_cuda`` on any device."""

    def fwd(self, *inputs: Any) -> list[Tensor]:
        u, delta, A, B, C, D, z, bias, softplus = inputs
        assert all(t.is_contiguous() for t in (u, delta, B, C))
        out, last = selective_scan_fn(u, delta, A, B, C, D, None, bias, softplus, True)
        states = torch.stack([torch.ones_like(last), last], -1).flatten(-2)[:, :, None]
        return [out, states] if z is None else [out, states, out * functional.silu(z)]

    def bwd(self, *inputs: Any) -> list[Tensor]:
        tensors, (d_out, states, out, _, softplus, recompute) = inputs[:8], inputs[8:]
        z = tensors[6]
        assert states.shape[2] == 1
        assert (out is None) == (z is None)
        assert not recompute
        leaves: list[Any] = [None if t is None else t.detach().requires_grad_() for t in tensors]
        with torch.enable_grad():
            u, delta, A, B, C, D, gate, bias = leaves
            result = selective_scan_fn(u, delta, A, B, C, D, gate, bias, softplus)
        present = [t for t in leaves if t is not None]
        found = iter(torch.autograd.grad(result, present, d_out))
        du, ddelta, dA, dB, dC, dD, dz, dbias = (
            torch.empty(0) if t is None else next(found) for t in leaves
        )
        rest = [] if z is None else [dz]
        return [du, ddelta, dA, dB.float() if dB.ndim > 2 else dB, dC, dD, dbias, *rest]


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mamba_ssm, "_extension", Extension)


def call(case: ScanCase) -> Scan:
    return scan_call(**scan_arguments(case, (2, 6, 4, 3), dtype=torch.float32))


@pytest.mark.parametrize("name", ["plain", "full", "groups", "constant-B", "constant", "raw-step"])
@pytest.mark.parametrize("reverse", [False, True])
def test_values_and_gradients_come_back_in_our_layout(name: str, reverse: bool) -> None:
    arguments = scan_arguments(SCAN_CASES[name], (2, 6, 4, 3), dtype=torch.float32)
    arguments["reverse"] = reverse
    truth = outcome(arguments, "reference")
    scan = scan_call(**arguments)
    weight = torch.randn(2, 6, 4)

    result = mamba_ssm.forward([scan], True)[0]
    gradients = mamba_ssm.backward([scan], [result], [(weight, None)])[0]

    torch.testing.assert_close(result.out, truth.out)
    torch.testing.assert_close(result.last_state, truth.last_state)
    expected = gradients_of_reference(arguments, weight)
    for found, value in zip(gradients.tensors(), expected, strict=True):
        assert (found is None) == (value is None)
        if found is not None and value is not None:
            torch.testing.assert_close(found.reshape(value.shape), value)


def gradients_of_reference(arguments: dict[str, Any], weight: Tensor) -> list[Tensor | None]:
    """Return the gradients of sum(out * weight) in the order of the fields of Scan."""
    names = ["u", "delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state"]
    leaves = {n: arguments[n].clone().requires_grad_() for n in names if n in arguments}
    out = selective_scan(**arguments | leaves, backend="reference")
    found = dict(zip(leaves, torch.autograd.grad(out, list(leaves.values()), weight), strict=True))
    return [found.get(n) for n in names]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("initial-state", "an initial state"),
        ("lengths", "an initial state"),
        ("mask-reverse", "a mask"),
        ("packed-reverse", "packed segments"),
        ("window-2", "a local window"),
        ("full", "a tensor outside CUDA"),
    ],
)
def test_what_the_extension_does_not_know_is_refused(name: str, reason: str) -> None:
    assert mamba_ssm.why_not_for(call(SCAN_CASES[name])) == f"the extension does not know {reason}"


def test_the_gradient_of_a_last_state_is_refused_not_dropped() -> None:
    scan = call(ScanCase())
    result = Result(scan.u, torch.zeros(2, 4, 3), None)

    with pytest.raises(BackendError, match="no gradient for the last state"):
        mamba_ssm.backward([scan], [result], [(scan.u, result.last_state)])


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_without_a_gpu_it_is_not_available() -> None:
    assert mamba_ssm.why_not() == "no CUDA device"
