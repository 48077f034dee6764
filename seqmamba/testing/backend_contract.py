# ruff: noqa: D102 - the name of a test is its promise
"""What every back-end of :mod:`seqmamba.kernels` promises, as tests to subclass.

    class TestMine(BackendContract):
        backend = "mine"

Run with pytest; a back-end that cannot be used here is skipped with its reason. Oracle: the
``reference`` back-end in float64 on the same (rounded) inputs.
"""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from seqmamba.kernels import conv_step, selective_scan, state_step
from seqmamba.testing.backend_limits import BackendLimits
from seqmamba.testing.scan_cases import (
    CONV_CASES,
    SCAN_CASES,
    ConvCase,
    Outcome,
    ScanCase,
    arguments_of,
    in_dtype,
    outcome,
    relative_error,
    truth,
)

__all__ = ["BackendContract"]

TINY = (2, 5, 4, 3)  # B, L, E, N
SHAPES = [  # every L, E, N and B of the kernels specification (section 10) up to L = 200
    *[(1, 1, 1, 1), (3, 2, 3, 4), (1, 3, 16, 8), (3, 7, 17, 16), (128, 7, 16, 16)],
    *[(1, 31, 64, 4), (3, 32, 16, 1), (1, 33, 17, 32), (1, 96, 100, 16), (3, 127, 3, 64)],
    *[(1, 128, 17, 16), (1, 129, 16, 128), (3, 200, 64, 16), (1, 33, 3, 256), (3, 7, 512, 16)],
]
LONG_SHAPES = [(3, 1000, 64, 16), (1, 2049, 17, 16), (1, 10007, 16, 8)]


class BackendContract(BackendLimits):
    """Tests of one back-end on one device."""

    def assert_as_reference(
        self,
        case: ScanCase | ConvCase,
        shape: tuple[int, ...],
        *,
        dtype: torch.dtype | None = None,
        seed: int = 0,
        within: tuple[float, float],
    ) -> None:
        """Bound the greatest relative error of values, and that of gradients in the 2-norm."""
        dtype = dtype or self.dtype
        if dtype == torch.float32:
            within = max(within[0], 1e-6), max(within[1], 5e-6)
        arguments = arguments_of(case, shape, dtype=dtype, device=self.device, seed=seed)
        found, expected = outcome(arguments, self.backend), truth(case, shape, dtype, seed)
        assert relative_error(found.out, expected.out) <= within[0]
        assert relative_error(found.last_state, expected.last_state) <= within[0]
        for name, value in expected.gradients.items():
            assert relative_error(found.gradients[name], value, norm=2) <= within[1], name

    def assert_gradcheck(self, arguments: dict[str, Any]) -> None:
        """Compare gradients with finite differences along random directions."""
        if self.dtype != torch.float64:
            pytest.skip("finite differences need float64")
        names = [k for k, v in arguments.items() if isinstance(v, Tensor) and v.is_floating_point()]

        def function(*values: Tensor) -> tuple[Tensor, Tensor]:
            return self.run(arguments | dict(zip(names, values, strict=True)))

        leaves = [arguments[name].clone().requires_grad_() for name in names]
        assert torch.autograd.gradcheck(function, leaves, fast_mode=True)

    # values and gradients

    @pytest.mark.parametrize("case", SCAN_CASES)
    def test_scan_equals_reference_in_every_option(self, case: str) -> None:
        for seed, shape in enumerate([TINY, (3, 37, 8, 4)]):
            self.assert_as_reference(SCAN_CASES[case], shape, seed=seed, within=(1e-11, 1e-10))

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_scan_equals_reference_in_every_shape(self, shape: tuple[int, int, int, int]) -> None:
        self.assert_as_reference(ScanCase(), shape, dtype=torch.float32, within=(1e-6, 5e-6))

    @pytest.mark.slow
    @pytest.mark.parametrize("shape", LONG_SHAPES, ids=str)
    def test_scan_equals_reference_over_long_runs(self, shape: tuple[int, int, int, int]) -> None:
        self.assert_as_reference(ScanCase(), shape, dtype=torch.float32, within=(2e-6, 1e-5))

    @pytest.mark.slow
    def test_states_last_over_a_hundred_thousand_tokens(self) -> None:
        arguments = self.scan(ScanCase(), (1, 100_000, 16, 8), dtype=torch.float32)
        exact = in_dtype(arguments, torch.float64)

        out, last = self.run(arguments)

        expected = selective_scan(**exact, return_last_state=True, backend="reference")
        assert relative_error(out, expected[0]) <= 2e-6
        assert relative_error(last, expected[1]) <= 2e-6

    @pytest.mark.slow
    def test_two_hundred_random_shapes_equal_the_reference(self) -> None:
        random = torch.Generator().manual_seed(0)
        highest = torch.tensor([5, 40, 40, 20])
        for seed in range(200):
            drawn = (torch.rand(4, generator=random) * highest).long() + torch.tensor([0, 1, 1, 1])
            batch, length, width, states = drawn.tolist()
            shape = (batch, 1 if seed % 10 == 0 else length, width, states)
            self.assert_as_reference(
                ScanCase(), shape, dtype=torch.float32, seed=seed, within=(1e-5, 1e-4)
            )

    @pytest.mark.parametrize("case", SCAN_CASES)
    def test_scan_passes_gradcheck(self, case: str) -> None:
        arguments = self.scan(SCAN_CASES[case], TINY)
        self.assert_gradcheck(arguments)

    @pytest.mark.parametrize("case", CONV_CASES)
    def test_conv_equals_reference_and_passes_gradcheck(self, case: str) -> None:
        for seed, shape in enumerate([(2, 5, 3), (3, 40, 17), (1, 2, 64)]):
            self.assert_as_reference(CONV_CASES[case], shape, seed=seed, within=(1e-12, 1e-11))
        self.assert_gradcheck(self.conv(CONV_CASES[case], (2, 5, 3)))

    @pytest.mark.parametrize("case", ["full", "groups", "reverse", "lengths", "window-4"])
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
    def test_half_types_stay_near_the_reference(self, case: str, dtype: torch.dtype) -> None:
        bound = 1e-2 if dtype == torch.bfloat16 else 2e-3
        within = bound, 2 * bound
        self.assert_as_reference(SCAN_CASES[case], (2, 40, 16, 8), dtype=dtype, within=within)

    @pytest.mark.parametrize("case", ["silu", "reverse", "lengths"])
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
    def test_half_type_conv_stays_near_the_reference(self, case: str, dtype: torch.dtype) -> None:
        bound = 2e-2 if dtype == torch.bfloat16 else 4e-3
        within = bound, 2 * bound
        self.assert_as_reference(CONV_CASES[case], (2, 40, 16), dtype=dtype, within=within)

    # structure

    @pytest.mark.parametrize("window", [1, 4])
    def test_reverse_is_scan_between_flips(self, window: int) -> None:
        arguments = self.scan(ScanCase(window=window), (2, 11, 4, 3))
        flipped = arguments | {k: arguments[k].flip(1) for k in ("u", "delta", "B", "C", "z")}

        out, last = self.run(arguments | {"reverse": True})

        torch.testing.assert_close(out, self.run(flipped)[0].flip(1))
        torch.testing.assert_close(last, self.run(flipped)[1])

    @pytest.mark.parametrize("split", [1, 4, 16, 39])
    def test_pieces_with_states_equal_the_whole(self, split: int) -> None:
        scan = self.scan(ScanCase(), (2, 40, 4, 3))
        conv = self.conv(ConvCase(), (2, 40, 4))
        for whole, axes in ((scan, ("u", "delta", "B", "C", "z")), (conv, ("x",))):
            head = whole | {k: whole[k][:, :split] for k in axes}
            tail = whole | {k: whole[k][:, split:] for k in axes}

            first, state = self.run(head)
            second, last = self.run(tail | {"initial_state": state})

            torch.testing.assert_close(torch.cat([first, second], 1), self.run(whole)[0])
            torch.testing.assert_close(last, self.run(whole)[1])

    @pytest.mark.parametrize("case", ["full", "groups", "plain"])
    def test_token_by_token_equals_the_whole(self, case: str) -> None:
        whole = self.scan(SCAN_CASES[case], (3, 9, 4, 3))
        state = whole["A"].new_zeros(3, *whole["A"].shape)
        streams = [k for k in ("u", "delta", "B", "C", "z") if k in whole]
        rest = {k: whole[k] for k in ("A", "D", "delta_bias", "delta_softplus") if k in whole}

        steps = [
            state_step(state, **{k: whole[k][:, t] for k in streams}, **rest, backend=self.backend)
            for t in range(9)
        ]

        torch.testing.assert_close(torch.stack(steps, 1), self.run(whole)[0])
        torch.testing.assert_close(state, self.run(whole)[1])

    def test_conv_token_by_token_equals_the_whole(self) -> None:
        whole = self.conv(ConvCase(), (3, 9, 4))
        state = whole["x"].new_zeros(3, 4, 4)

        steps = [
            conv_step(state, x, whole["weight"], whole["bias"], "silu", backend=self.backend)
            for x in whole["x"].unbind(1)
        ]

        torch.testing.assert_close(torch.stack(steps, 1), self.run(whole)[0])
        torch.testing.assert_close(state, self.run(whole)[1])

    @pytest.mark.parametrize("reverse", [False, True])
    @pytest.mark.parametrize("window", [1, 4])
    def test_padding_of_nan_changes_nothing(self, reverse: bool, window: int) -> None:
        case = ScanCase(reverse=reverse, window=window)
        whole = self.scan(case, (3, 9, 4, 3))
        streams = ("u", "delta", "B", "C", "z")
        padded = whole | {k: whole[k].clone() for k in streams}
        lengths = torch.tensor([0, 5, 9], device=self.device)
        for k in streams:
            padded[k][0], padded[k][1, 5:] = torch.nan, torch.inf
        short = whole | {k: whole[k][1:2, :5] for k in streams}

        found = outcome(padded | {"lengths": lengths}, self.backend)
        alone = self.run(short)

        torch.testing.assert_close(found.out[1:2, :5], alone[0])
        torch.testing.assert_close(found.last_state[1:2], alone[1])
        assert not found.out[0].any()
        assert not found.out[1, 5:].any()
        self.assert_no_gradient_at_padding(found, streams)

    def assert_no_gradient_at_padding(self, found: Outcome, streams: tuple[str, ...]) -> None:
        """Require zeros in row 0 and after token 5 of row 1, and finite values everywhere."""
        for name, gradient in found.gradients.items():
            assert gradient.isfinite().all(), name
        for name in streams:
            assert not found.gradients[name][0].any(), name
            assert not found.gradients[name][1, 5:].any(), name

    def test_left_padding_equals_a_later_start(self) -> None:
        whole = self.scan(ScanCase(), (1, 9, 4, 3))
        mask = torch.arange(9, device=self.device)[None] >= 4
        late = whole | {k: whole[k][:, 4:] for k in ("u", "delta", "B", "C", "z")}

        out, last = self.run(whole | {"mask": mask})

        torch.testing.assert_close(out[:, 4:], self.run(late)[0])
        torch.testing.assert_close(last, self.run(late)[1])
        assert not out[:, :4].any()

    @pytest.mark.parametrize("reverse", [False, True])
    def test_packed_segments_equal_separate_runs(self, reverse: bool) -> None:
        borders = [0, 4, 4, 11, 12]
        scan = self.scan(ScanCase(reverse=reverse), (1, 12, 4, 3))
        conv = self.conv(ConvCase(reverse=reverse), (1, 12, 4))
        for whole, axes in ((scan, ("u", "delta", "B", "C", "z")), (conv, ("x",))):
            packed = self.run(whole | {"cu_seqlens": torch.tensor(borders, device=self.device)})
            for segment, (a, b) in enumerate(pairwise(borders)):
                out, last = self.run(whole | {k: whole[k][:, a:b] for k in axes})

                torch.testing.assert_close(packed[0][:, a:b], out)
                torch.testing.assert_close(packed[1][segment], last[0])

    def test_window_of_everything_is_both_directions_less_the_pulse(self) -> None:
        plain = self.scan(ScanCase(optional=()), (2, 13, 4, 3))
        step = torch.nn.functional.softplus(plain["delta"])
        pulse = step * plain["u"] * (plain["B"] * plain["C"]).sum(-1, keepdim=True)

        both = self.run(plain)[0] + self.run(plain | {"reverse": True})[0] - pulse

        forward_decay = self.run(plain | {"window": 16})[0]
        torch.testing.assert_close(forward_decay, both)

    def test_no_step_is_the_identity_and_strong_decay_forgets(self) -> None:
        whole = self.scan(ScanCase(softplus=False, optional=("initial_state",)), TINY)
        still = self.run(whole | {"delta": torch.zeros_like(whole["delta"])})
        torch.testing.assert_close(still[1], whole["initial_state"])

        last = self.run(whole | {"A": torch.full_like(whole["A"], -1e6)})[1]

        pulse = (whole["delta"] * whole["u"])[:, -1, :, None] * whole["B"][:, -1, None]
        torch.testing.assert_close(last, pulse)
