"""The reference loop gives the numbers of the official code and can be differentiated twice."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seqmamba.kernels import causal_conv1d, selective_scan
from seqmamba.kernels.compat import selective_scan_fn
from seqmamba.testing.scan_cases import SCAN_CASES, scan_arguments

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "selective_scan.json").read_text())


def tensor(stored: dict[str, Any]) -> Tensor:
    return torch.tensor(stored["values"]).view(stored["shape"])


@pytest.mark.parametrize("backend", ["reference", "torch", "auto"])
@pytest.mark.parametrize("name", GOLDEN["cases"])
def test_official_numbers_come_out(
    name: str, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQMAMBA_BACKEND", backend)
    case = GOLDEN["cases"][name]
    arguments: dict[str, Any] = {
        k: tensor(v).requires_grad_() if isinstance(v, dict) else v
        for k, v in case["arguments"].items()
    }

    out, last_state = selective_scan_fn(**arguments, return_last_state=True)
    (out.square().sum() / 2).backward()

    torch.testing.assert_close(out.detach(), tensor(case["out"]), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(last_state.detach(), tensor(case["last_state"]))
    for key, value in case["gradients"].items():
        torch.testing.assert_close(arguments[key].grad, tensor(value), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", ["gate", "groups", "lengths-reverse", "packed", "window-2"])
def test_second_derivatives_are_right(case: str) -> None:
    arguments = scan_arguments(SCAN_CASES[case], (2, 3, 4, 2))
    names = [k for k, v in arguments.items() if isinstance(v, Tensor) and v.is_floating_point()]

    def function(*values: Tensor) -> Tensor:
        given = arguments | dict(zip(names, values, strict=True))
        out: Tensor = selective_scan(**given, backend="reference")
        return out

    leaves = [arguments[name].clone().requires_grad_() for name in names]
    assert torch.autograd.gradgradcheck(function, leaves, fast_mode=True)


@pytest.mark.parametrize("taps", [2, 3, 4, 8])
def test_conv_is_torchs_padded_convolution(taps: int) -> None:
    x, weight, bias = torch.randn(2, 11, 5), torch.randn(5, 1, taps), torch.randn(5)
    padded = functional.conv1d(x.mT, weight, bias, padding=taps - 1, groups=5)

    out = causal_conv1d(x, weight, bias, backend="reference")

    torch.testing.assert_close(out, padded[..., :11].mT)
