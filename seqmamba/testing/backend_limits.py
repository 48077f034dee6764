# ruff: noqa: D102 - the name of a test is its promise
"""Tests of a back-end at the edge: no tokens, odd strides, extremes, threads, memory."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from seqmamba.kernels import backends, causal_conv1d, selective_scan
from seqmamba.testing.scan_cases import (
    ConvCase,
    ScanCase,
    conv_arguments,
    in_dtype,
    outcome,
    relative_error,
    scan_arguments,
)

__all__ = ["BackendLimits"]

MEMORY_SCRIPT = """
import sys, torch
from seqmamba.kernels import selective_scan
torch.set_num_threads(1)
def kilobytes(field):  # not getrusage: its peak includes the parent that forked this process
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field))
def extra_bytes(length):
    u, delta, z, weight = torch.randn(4, 2, length, 512).unbind(0)
    B, C, A = torch.randn(2, length, 16), torch.randn(2, length, 16), -torch.rand(512, 16)
    for leaf in (u, delta, A, B, C, z):
        leaf.requires_grad_()
    before = kilobytes("VmRSS")
    selective_scan(u, delta, A, B, C, None, z, None, True, backend=sys.argv[1]).backward(weight)
    return 1024 * (kilobytes("VmHWM") - before)
extra_bytes(32)
print(extra_bytes(4096) / (4 * 2 * 4096 * 512))
"""


class BackendLimits:
    """Behaviour of one back-end where inputs are unusual."""

    backend: ClassVar[str]
    device: ClassVar[str] = "cpu"
    dtype: ClassVar[torch.dtype] = torch.float64  # where a test names none
    keeps_every_state: ClassVar[bool] = False  # True for loops that autograd records

    @pytest.fixture(autouse=True)
    def _available(self) -> None:
        reason = backends()[self.backend]
        if reason is not None:
            pytest.skip(f"back-end {self.backend!r}: {reason}")
        if self.device == "cuda" and not torch.cuda.is_available():
            pytest.skip("no CUDA device")

    def scan(self, case: ScanCase, shape: tuple[int, int, int, int], **kw: Any) -> dict[str, Any]:
        """Return arguments of a scan on the device of this contract."""
        return scan_arguments(case, shape, **{"device": self.device, "dtype": self.dtype, **kw})

    def conv(self, case: ConvCase, shape: tuple[int, int, int], **kw: Any) -> dict[str, Any]:
        """Return arguments of a convolution on the device of this contract."""
        return conv_arguments(case, shape, **{"device": self.device, "dtype": self.dtype, **kw})

    def run(self, arguments: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return out and last state of a scan or a convolution."""
        if "u" in arguments:
            return selective_scan(**arguments, return_last_state=True, backend=self.backend)
        return causal_conv1d(**arguments, return_last_state=True, backend=self.backend)

    @pytest.mark.parametrize("shape", [(0, 5, 4, 3), (2, 0, 4, 3), (0, 0, 4, 3)], ids=str)
    @pytest.mark.parametrize("case", [ScanCase(optional=("D", "z", "initial_state")), ScanCase()])
    def test_no_tokens_return_the_initial_state(
        self, shape: tuple[int, int, int, int], case: ScanCase
    ) -> None:
        arguments = self.scan(case, shape)

        found = outcome(arguments, self.backend)

        assert found.out.shape == shape[:3]
        start = arguments.get("initial_state", torch.zeros_like(found.last_state))
        torch.testing.assert_close(found.last_state, start)
        assert not found.gradients["A"].any()
        conv = outcome(self.conv(ConvCase(), shape[:3]), self.backend)
        assert conv.out.shape == shape[:3]

    def test_strides_do_not_matter(self) -> None:
        plain = self.scan(ScanCase("group", "group"), (2, 9, 4, 3), dtype=torch.float32)
        strided = dict(plain)
        strided["u"], strided["z"] = torch.cat([plain["u"], plain["z"]], -1).chunk(2, -1)
        strided["delta"] = plain["delta"].mT.contiguous().mT
        strided["B"] = plain["B"].permute(2, 3, 0, 1).contiguous().permute(2, 3, 0, 1)
        strided["A"], strided["D"] = plain["A"].mT.contiguous().mT, plain["D"].repeat(2)[::2]
        strided["D"] = plain["D"].repeat_interleave(2)[::2]

        found, expected = outcome(strided, self.backend), outcome(plain, self.backend)

        torch.testing.assert_close(found.out, expected.out)
        for name, gradient in expected.gradients.items():
            torch.testing.assert_close(found.gradients[name], gradient)

    def test_expanded_inputs_collect_their_gradient(self) -> None:
        plain = self.scan(ScanCase(), (3, 6, 4, 2))
        one = plain["B"][:1, :1].clone().requires_grad_()

        out = self.run(plain | {"B": one.expand(3, 6, 2)})[0]
        wide = one.detach().expand(3, 6, 2).clone().requires_grad_()
        truth = self.run(plain | {"B": wide})[0]

        torch.testing.assert_close(out, truth)
        (found,) = torch.autograd.grad(out.square().sum(), one)
        (expected,) = torch.autograd.grad(truth.square().sum(), wide)
        torch.testing.assert_close(found, expected.sum((0, 1), keepdim=True))

    @pytest.mark.parametrize("name", ["u", "delta", "A", "C", "z", "delta_bias"])
    def test_any_single_input_may_want_its_gradient(self, name: str) -> None:
        arguments = self.scan(ScanCase(), (2, 6, 4, 2))
        every = {k: v for k, v in arguments.items() if isinstance(v, Tensor)}
        leaves = {k: v.clone().requires_grad_() for k, v in every.items()}
        truth = torch.autograd.grad(self.run(arguments | leaves)[0].sum(), leaves[name])

        found = torch.autograd.grad(
            self.run(arguments | {name: leaves[name]})[0].sum(), leaves[name]
        )

        torch.testing.assert_close(found, truth)

    def test_inputs_are_not_written_to(self) -> None:
        arguments = self.scan(ScanCase(optional=("D", "z", "initial_state")), (2, 20, 4, 3))
        before = {k: v.clone() for k, v in arguments.items() if isinstance(v, Tensor)}

        outcome(arguments, self.backend)

        for name, value in before.items():
            assert torch.equal(arguments[name], value), name

    def test_gradient_of_the_input_of_another_dtype_has_that_dtype(self) -> None:
        arguments = in_dtype(self.scan(ScanCase(), (2, 6, 4, 2)), torch.float32)
        arguments["u"] = arguments["u"].bfloat16()

        found = outcome(arguments, self.backend)

        assert found.out.dtype == found.gradients["u"].dtype == torch.bfloat16
        assert found.last_state.dtype == found.gradients["delta"].dtype == torch.float32

    @pytest.mark.parametrize(
        "change",
        [("delta", 50.0), ("delta", -18.0), ("A", -1e4), ("A", -1e-6), ("u", 1e4)],
        ids=str,
    )
    def test_extremes_stay_finite_and_right(self, change: tuple[str, float]) -> None:
        arguments = self.scan(ScanCase(optional=("D", "z")), (2, 40, 17, 4), dtype=torch.float32)
        arguments[change[0]] = torch.full_like(arguments[change[0]], change[1])

        found = outcome(arguments, self.backend)
        truth = outcome(in_dtype(arguments, torch.float64), "reference")

        assert relative_error(found.out, truth.out) <= 2e-6
        for name, gradient in found.gradients.items():
            assert gradient.isfinite().all(), name

    @pytest.mark.parametrize("poison", [float("nan"), float("inf")])
    @pytest.mark.parametrize("name", ["u", "delta", "B", "z"])
    def test_poison_reaches_what_it_reaches_in_the_reference(
        self, name: str, poison: float
    ) -> None:
        arguments = self.scan(ScanCase(), (2, 40, 17, 4), dtype=torch.float32)
        arguments[name][0, 11, 2] = poison

        out = self.run(arguments)[0]

        truth = selective_scan(**in_dtype(arguments, torch.float64), backend="reference")
        assert torch.equal(out.isfinite(), truth.isfinite())
        assert torch.equal(out.isnan(), truth.isnan())

    def test_same_bits_twice_and_with_any_number_of_threads(self) -> None:
        arguments = self.scan(ScanCase(), (3, 70, 48, 16), dtype=torch.float32)
        conv = self.conv(ConvCase(), (3, 70, 48), dtype=torch.float32)
        former, results = torch.get_num_threads(), []
        try:
            for threads in (1, 1, 2, 5):
                torch.set_num_threads(threads)
                results.append([outcome(a, self.backend) for a in (arguments, conv)])
        finally:
            torch.set_num_threads(former)

        for other in results[1:]:
            for first, again in zip(results[0], other, strict=True):
                assert torch.equal(first.out, again.out)
                for name, gradient in first.gradients.items():
                    assert torch.equal(gradient, again.gradients[name]), name

    def test_python_threads_do_not_disturb_each_other(self) -> None:
        cases = [self.scan(ScanCase(), (2, 30, 16, 4), seed=s) for s in range(8)]
        alone = [outcome(case, self.backend) for case in cases]

        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda case: outcome(case, self.backend), cases))

        for first, again in zip(alone, together, strict=True):
            assert torch.equal(first.out, again.out)
            assert torch.equal(first.gradients["A"], again.gradients["A"])

    @pytest.mark.slow
    def test_works_in_a_forked_process(self) -> None:
        if self.device != "cpu":
            pytest.skip("a CUDA context does not survive a fork")
        script = (
            "import os, sys, torch\n"
            "from seqmamba.testing.scan_cases import ScanCase, outcome, scan_arguments\n"
            "arguments = scan_arguments(ScanCase(), (4, 30, 16, 4))\n"
            "before = outcome(arguments, sys.argv[1]).out\n"
            "child = os.fork()\n"
            "if child == 0:\n"
            "    os._exit(0 if torch.equal(outcome(arguments, sys.argv[1]).out, before) else 1)\n"
            "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        )
        subprocess.run([sys.executable, "-c", script, self.backend], check=True, timeout=60)

    @pytest.mark.slow
    @pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
    def test_memory_stays_far_below_one_state_per_token(self) -> None:
        if self.keeps_every_state or self.device != "cpu":
            pytest.skip("autograd keeps every state here, or memory is not that of the process")
        command = [sys.executable, "-c", MEMORY_SCRIPT, self.backend]
        printed = subprocess.run(command, check=True, timeout=120, capture_output=True).stdout

        assert float(printed) <= 12 + 1  # tensors (B, L, E), of which one for checkpoints
