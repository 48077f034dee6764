"""Functions under their published names give the same numbers channels-first."""

from typing import Any

import pytest
import torch
from torch.nn import functional

from seqmamba.errors import ConfigError, DataError
from seqmamba.kernels import causal_conv1d, selective_scan, ssd
from seqmamba.kernels.compat import (
    causal_conv1d_fn,
    causal_conv1d_update,
    mamba_chunk_scan_combined,
    selective_scan_fn,
    selective_state_update,
)
from seqmamba.testing.scan_cases import SCAN_CASES, scan_arguments


@pytest.mark.parametrize("case", ["full", "groups", "constant-B"])
def test_scan_takes_channels_first(case: str) -> None:
    native = scan_arguments(SCAN_CASES[case], (2, 7, 4, 3))
    native = {k: v for k, v in native.items() if k not in ("reverse", "window")}
    published: dict[str, Any] = {
        k: v.movedim(1, -1) if isinstance(v, torch.Tensor) and v.ndim > 2 else v
        for k, v in native.items()
    }

    out, last = selective_scan_fn(**published, return_last_state=True)

    expected, expected_last = selective_scan(**native, return_last_state=True)
    torch.testing.assert_close(out, expected.mT)
    torch.testing.assert_close(last, expected_last)
    torch.testing.assert_close(selective_scan_fn(**published), out)


@pytest.mark.parametrize("contiguous", [True, False])
def test_heads_are_channels_of_one_state(contiguous: bool) -> None:
    state = torch.randn(2, 4, 3, 5) if contiguous else torch.randn(2, 3, 4, 5).transpose(1, 2)
    x, dt, z = torch.randn(3, 2, 4, 3).unbind(0)
    A, D, bias = -torch.rand(4, 3, 5), torch.randn(4, 3), torch.randn(4, 3)
    B, C = torch.randn(2, 2, 2, 5).unbind(0)
    flat = state.flatten(1, 2).clone()

    out = selective_state_update(state, x, dt, A, B, C, D, z, bias, True)

    d, b, gate = D.flatten(), bias.flatten(), z.flatten(1)
    inputs = x.flatten(1), dt.flatten(1), A.flatten(0, 1)
    expected = selective_state_update(flat, *inputs, B, C, d, gate, b, True)
    torch.testing.assert_close(out.flatten(1), expected)
    torch.testing.assert_close(state.flatten(1, 2), flat)


@pytest.mark.parametrize("activation", ["silu", "swish", None])
def test_conv_equals_torchs_and_returns_its_state(activation: str | None) -> None:
    x, weight, bias = torch.randn(2, 5, 9), torch.randn(5, 4), torch.randn(5)
    before = torch.randn(2, 5, 3)
    joined = torch.cat([before, x], -1)
    expected = functional.conv1d(joined, weight[:, None], bias, groups=5)

    out, last = causal_conv1d_fn(
        *(x, weight, bias),
        initial_states=before,
        return_final_states=True,
        activation=activation,  # type: ignore[arg-type]  # one of the literals
    )

    torch.testing.assert_close(out, functional.silu(expected) if activation else expected)
    torch.testing.assert_close(last, joined[..., -3:])


@pytest.mark.parametrize("length", [3, 4])
def test_conv_update_takes_both_state_lengths(length: int) -> None:
    x, weight = torch.randn(2, 6, 5), torch.randn(5, 4)
    state = torch.zeros(2, 5, length)

    steps = [causal_conv1d_update(x[:, t], state, weight, None, "silu") for t in range(6)]

    torch.testing.assert_close(torch.stack(steps, 1), causal_conv1d(x, weight, None, "silu"))
    torch.testing.assert_close(state, x[:, -length:].mT)


def test_wrong_states_and_activations_are_named() -> None:
    x, weight = torch.ones(2, 5), torch.ones(5, 4)
    with pytest.raises(DataError, match="conv_state must hold 4 or 3 inputs, got 6"):
        causal_conv1d_update(x, torch.zeros(2, 5, 6), weight)
    with pytest.raises(ConfigError, match="'swish' or None, got 'relu'"):
        causal_conv1d_fn(x[..., None], weight, activation="relu")  # type: ignore[arg-type]  # wrong


def test_chunk_scan_is_ssd() -> None:
    x, dt, A = torch.randn(1, 8, 2, 3), torch.rand(1, 8, 2), -torch.rand(2)
    B, C = torch.randn(2, 1, 8, 1, 4).unbind(0)

    out, last = mamba_chunk_scan_combined(x, dt, A, B, C, 4, return_final_states=True)

    expected, expected_last = ssd(x, dt, A, B, C, return_last_state=True)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(last, expected_last)
