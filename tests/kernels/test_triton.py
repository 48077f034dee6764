"""The Triton kernels: their values under the interpreter, their code without a GPU.

Triton is not among the tested set of versions: without it everything here is skipped. A kernel is
either interpreted or compiled in one process, so that there are two runs:

    TRITON_INTERPRET=1 pytest -m "not gpu" tests/kernels/test_triton.py     values, on CPU tensors
    pytest -m slow tests/kernels/test_triton.py                             code for sm_80, sm_90
"""

import importlib
import os
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import pytest
import torch

from seqmamba.kernels import scan_pair
from seqmamba.kernels.gpu import scan as gpu_scan
from seqmamba.kernels.layout import conv_call, conv_step_call, scan_call, scan_step_call
from seqmamba.kernels.problem import Gradients
from seqmamba.testing.backend_contract import BackendContract
from seqmamba.testing.emulated_contract import SHAPE, EmulatedContract
from seqmamba.testing.scan_cases import (
    CONV_CASES,
    SCAN_CASES,
    ConvCase,
    ScanCase,
    conv_arguments,
    outcome,
    scan_arguments,
)

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
if find_spec("triton") is None:
    pytest.skip("triton is not installed", allow_module_level=True)

interpreted = pytest.mark.skipif(not INTERPRETED, reason="needs TRITON_INTERPRET=1")
compiled = pytest.mark.skipif(INTERPRETED, reason="TRITON_INTERPRET=1 compiles nothing")

TYPES = {
    torch.float32: "*fp32",
    torch.bfloat16: "*bf16",
    torch.float16: "*fp16",
    torch.int32: "*i32",
    torch.bool: "*i1",
}


def module(name: str) -> Any:
    """Return a module of the back-end; a kernel and its module have the same name."""
    return importlib.import_module(f"seqmamba.kernels.triton.{name}")


@pytest.fixture
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nine tokens make several checkpoints and tiles."""
    scan, conv = module("scan"), module("conv")
    small = replace(scan.ENGINE, checkpoint=4, forward_tile=2, backward_tile=2)
    monkeypatch.setattr(scan, "ENGINE", small)
    monkeypatch.setattr(conv, "ENGINE", replace(conv.ENGINE, tokens=4, channels=2))


@interpreted
@pytest.mark.usefixtures("_small_pieces")
class TestValues(EmulatedContract):
    backend = "triton"

    @pytest.mark.parametrize("case", SCAN_CASES)
    def test_scan_equals_reference_in_every_option(self, case: str) -> None:
        self.assert_as_reference(scan_arguments(SCAN_CASES[case], SHAPE, dtype=torch.float32))

    @pytest.mark.parametrize("case", CONV_CASES)
    def test_conv_equals_reference_in_every_option(self, case: str) -> None:
        self.assert_as_reference(conv_arguments(CONV_CASES[case], SHAPE[:3], dtype=torch.float32))

    @pytest.mark.parametrize("shape", [(1, 1, 1, 1), (0, 3, 4, 2), (2, 0, 4, 3), (1, 3, 17, 5)])
    def test_odd_sizes_equal_reference(self, shape: tuple[int, int, int, int]) -> None:
        case = ScanCase(optional=("D", "z", "initial_state"))
        self.assert_as_reference(scan_arguments(case, shape, dtype=torch.float32))
        self.assert_as_reference(conv_arguments(ConvCase(), shape[:3], dtype=torch.float32))

    def test_both_directions_run_in_one_launch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        kernels, launched = module("scan").KERNELS, []
        kernel = kernels["scan_forward"]

        class Counted:
            arg_names = kernel.arg_names

            def __getitem__(self, grid: tuple[int, ...]) -> Any:
                launched.append(grid)
                return kernel[grid]

        arguments: Any = scan_arguments(ScanCase(), SHAPE, dtype=torch.float32)
        alone = [outcome(arguments | {"reverse": r}, "triton").out for r in (False, True)]
        monkeypatch.setitem(kernels, "scan_forward", Counted())

        both = scan_pair(arguments, arguments | {"reverse": True}, backend="triton")

        assert len(launched) == 1
        assert torch.equal(both[0], alone[0])
        assert torch.equal(both[1], alone[1])


class Recorded:
    """Stands in for a kernel: compiles it for a call instead of running it."""

    def __init__(self, kernel: Any, arch: int) -> None:
        self.kernel = kernel
        self.arg_names = kernel.arg_names
        self.arch = arch
        self.ptx = ""

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        return self.compile

    def compile(self, *arguments: Any, num_warps: int, **options: Any) -> None:
        """Compile for the types of the arguments, as a launch would."""
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource, compile

        names = self.arg_names
        self.constants: dict[tuple[int, ...], Any] = {}
        self.hints: dict[tuple[int, ...], Any] = {}
        signature = {
            name: "i32" if name == "unit" else self.type_of(value, (i,))
            for i, (name, value) in enumerate(zip(names, arguments, strict=False))
        }
        for name, value in options.items():
            signature[name] = "constexpr"
            self.constants[(names.index(name),)] = value
        source = ASTSource(self.kernel, signature, self.constants, self.hints)
        target = GPUTarget("cuda", self.arch, 32)
        built = compile(source, target=target, options={"num_warps": num_warps})
        assert built.asm["cubin"]
        self.ptx = built.asm["ptx"]

    def type_of(self, value: Any, path: tuple[int, ...]) -> Any:
        """Return the type of an argument; ones and missing tensors are compiled in."""
        if isinstance(value, tuple):
            parts = [self.type_of(part, (*path, i)) for i, part in enumerate(value)]
            return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
        if value is None or (isinstance(value, int) and value == 1):
            self.constants[path] = value
            return "constexpr"
        if isinstance(value, int) and value % 16:
            return "i32"
        self.hints[path] = [["tt.divisibility", 16]]
        return "i32" if isinstance(value, int) else TYPES[value.dtype]


@compiled
@pytest.mark.slow
class TestCode:
    @pytest.fixture(params=[80, 90], ids=["sm_80", "sm_90"])
    def kernels(
        self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> dict[str, Recorded]:
        """Replace every kernel by a compiler for one architecture."""
        scan, conv, steps = module("scan").KERNELS, module("conv").KERNELS, module("steps")
        found = {}
        for home in (scan, conv):
            for name, kernel in home.items():
                found[name] = Recorded(kernel, request.param)
                monkeypatch.setitem(home, name, found[name])
        for name in ("_scan_step", "_conv_step"):
            found[name] = Recorded(getattr(steps, name), request.param)
            monkeypatch.setattr(steps, name, found[name])
        return found

    @pytest.mark.parametrize("case", ["full", "window-4", "packed"])
    def test_scans_compile(
        self, case: str, kernels: dict[str, Recorded], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gpu_scan, "chunk_length", lambda *_: 64)
        arguments = scan_arguments(SCAN_CASES[case], (1, 128, 64, 16), dtype=torch.bfloat16)
        parameters = ("A", "D", "delta_bias", "initial_state")
        arguments |= {k: arguments[k].float() for k in parameters if k in arguments}
        call = scan_call(**arguments)

        result = module("scan").forward([call], True)[0]
        found = module("scan").backward([call], [result], [(result.out, result.last_state)])[0]

        assert isinstance(found, Gradients)
        assert "shfl" not in kernels["scan_forward"].ptx  # a state never leaves its thread
        for kernel in kernels.values():
            assert "atom." not in kernel.ptx  # sums have one order

    def test_convolutions_and_steps_compile(self, kernels: dict[str, Recorded]) -> None:
        case = ConvCase(optional=("bias", "initial_state"))
        conv = conv_call(**conv_arguments(case, (2, 40, 64), dtype=torch.bfloat16))
        whole = scan_arguments(ScanCase(), (2, 1, 64, 16), dtype=torch.bfloat16)
        steps = {k: whole[k][:, 0] for k in ("u", "delta", "B", "C", "z")}

        module("conv").conv_backward([conv], [conv.x])
        module("steps").scan_step(scan_step_call(torch.zeros(2, 64, 16), A=whole["A"], **steps))
        state, x = torch.zeros(2, 64, 4).bfloat16(), steps["u"]
        module("steps").conv_step(conv_step_call(state, x, torch.ones(64, 4), None, "silu"))

        for name in ("conv_run", "conv_slopes", "conv_start", "_scan_step", "_conv_step"):
            assert "ret;" in kernels[name].ptx, name


@compiled
@pytest.mark.gpu
class TestTritonOnGpu(BackendContract):
    backend = "triton"
    device = "cuda"
    dtype = torch.float32
