# ruff: noqa: D102 - the name of a test is its promise
"""What GPU kernels promise where they run without a GPU: emulated, on tiny CPU tensors.

An emulated launch costs milliseconds to seconds, so that shapes are tiny; a subclass makes blocks
and tiles so small that nine tokens make several, and may mark cases as slow.
"""

from typing import Any, ClassVar

import pytest
import torch

from seqmamba.kernels import conv_step, state_step
from seqmamba.kernels.gpu import scan as gpu_scan
from seqmamba.testing.scan_cases import (
    SCAN_CASES,
    ConvCase,
    ScanCase,
    conv_arguments,
    in_dtype,
    outcome,
    relative_error,
    scan_arguments,
)

__all__ = ["SHAPE", "EmulatedContract"]

SHAPE = (2, 9, 4, 3)  # B, L, E, N
STREAMS = ("u", "delta", "B", "C", "z")
CUT = ("full", "groups", "constant", "lengths-reverse", "packed", "mask", "window-2")


class EmulatedContract:
    """Tests of one back-end; ``reference`` in float64 is the oracle."""

    backend: ClassVar[str]

    def assert_as_reference(self, arguments: dict[str, Any], bound: float = 2e-6) -> None:
        """Compare values by the greatest error and gradients by the error's norm."""
        found = outcome(arguments, self.backend)
        truth = outcome(in_dtype(arguments, torch.float64), "reference")
        assert relative_error(found.out, truth.out) <= bound
        assert relative_error(found.last_state, truth.last_state) <= bound
        for name, value in truth.gradients.items():
            assert relative_error(found.gradients[name], value, norm=2) <= 2 * bound, name

    @pytest.mark.slow
    @pytest.mark.parametrize("case", CUT)
    def test_runs_cut_into_chunks_equal_reference(
        self, case: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gpu_scan, "chunk_length", lambda *_: 4)
        self.assert_as_reference(scan_arguments(SCAN_CASES[case], SHAPE, dtype=torch.float32))

    @pytest.mark.slow
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_types_stay_near_the_reference(self, dtype: torch.dtype) -> None:
        bound = 1e-2 if dtype == torch.bfloat16 else 2e-3
        arguments = scan_arguments(ScanCase(), SHAPE, dtype=dtype)
        parameters = {name: arguments[name].float() for name in ("A", "D", "delta_bias")}
        self.assert_as_reference(arguments | parameters, bound)
        self.assert_as_reference(conv_arguments(ConvCase(), SHAPE[:3], dtype=dtype), 2 * bound)

    def test_padding_of_nan_changes_nothing(self) -> None:
        case = ScanCase(padding="lengths", optional=("z", "initial_state"))
        padded = scan_arguments(case, SHAPE, dtype=torch.float32)
        for name in STREAMS:
            padded[name][1, 5:] = torch.nan

        found = outcome(padded | {"lengths": torch.tensor([9, 5])}, self.backend)

        assert not found.out[1, 5:].any()
        for name, gradient in found.gradients.items():
            assert gradient.isfinite().all(), name
        for name in STREAMS:
            assert not found.gradients[name][1, 5:].any(), name

    def test_same_bits_twice(self) -> None:
        arguments = scan_arguments(ScanCase(), SHAPE, dtype=torch.float32)
        first, again = outcome(arguments, self.backend), outcome(arguments, self.backend)
        assert torch.equal(first.out, again.out)
        for name, gradient in first.gradients.items():
            assert torch.equal(gradient, again.gradients[name]), name

    @pytest.mark.slow
    @pytest.mark.parametrize("case", ["full", "groups", "plain"])
    def test_token_by_token_equals_the_whole(self, case: str) -> None:
        whole = scan_arguments(SCAN_CASES[case], (2, 3, 4, 3), dtype=torch.float32)
        state = torch.zeros(2, 4, 3)
        streams = [k for k in STREAMS if k in whole]
        rest = {k: v for k, v in whole.items() if k not in (*streams, "reverse", "window")}

        steps = [
            state_step(state, **{k: whole[k][:, t] for k in streams}, **rest, backend=self.backend)
            for t in range(3)
        ]

        truth = outcome(in_dtype(whole, torch.float64), "reference")
        assert relative_error(torch.stack(steps, 1), truth.out) <= 2e-6
        assert relative_error(state, truth.last_state) <= 2e-6

    @pytest.mark.slow
    def test_conv_token_by_token_equals_the_whole(self) -> None:
        whole = conv_arguments(ConvCase(), (2, 6, 5), dtype=torch.float32)
        state = torch.zeros(2, 5, 4)

        steps = [
            conv_step(state, x, whole["weight"], whole["bias"], "silu", backend=self.backend)
            for x in whole["x"].unbind(1)
        ]

        truth = outcome(in_dtype(whole, torch.float64), "reference")
        assert relative_error(torch.stack(steps, 1), truth.out) <= 2e-6
        assert torch.equal(state, truth.last_state.float())
