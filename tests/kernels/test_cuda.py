"""The CUDA kernels: their values on the CPU, their code without a GPU.

``cuda_on_host/host.h`` gives the sources what CUDA has and C++ lacks, so that the very kernels run
on CPU tensors. Needs g++; the code for sm_80 and sm_90 needs NVIDIA's library nvrtc
(``pip install nvidia-cuda-nvrtc``). What is missing is skipped.
"""

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from seqmamba.errors import BackendError
from seqmamba.kernels import cuda, scan_pair
from seqmamba.kernels.cuda import compile, kernels
from seqmamba.kernels.dispatch import Choice
from seqmamba.kernels.layout import scan_call
from seqmamba.kernels.ops import eager
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

SHIM = Path(__file__).parent / "cuda_on_host" / "host.h"
CODE = {"TILE": 8, "BLOCK": 32, "GROUPS": 1, "SOFTPLUS": 1, "CONSTANT_B": 0, "CONSTANT_C": 0}
FORWARD = CODE | {"N": 16, "LANES": 1, "PART": 16, "THREADS": 32, "WINDOW": 1, "ADJOINT": 1}
BACKWARD = CODE | {"N": 16, "LANES": 4, "PART": 4, "THREADS": 128, "WINDOW": 4}
CONV = {"X_IO": 0, "TAPS": 4, "TOKENS": 32, "CHANNELS": 64, "SILU": 1}
FILES = {
    "scan_forward.cu": FORWARD | {"CHECKPOINT": 32},
    "scan_backward.cu": BACKWARD | {"CHECKPOINT": 32},
    "conv.cu": CONV,
    "step.cu": {"N": 16, "CHANNELS": 64, "SILU": 1, "SOFTPLUS": 1},
}
SOON = ("full", "packed")  # cases of the default run: a case takes a compiler some seconds
SCANS = [pytest.param(c, marks=() if c in SOON else pytest.mark.slow) for c in SCAN_CASES]
CONVS = [pytest.param(c, marks=() if c == "silu" else pytest.mark.slow) for c in CONV_CASES]

on_host = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")


def four_channels(states: int, tile: int) -> int:
    """Return the channels of a block."""
    del states, tile
    return 4


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Return a function that compiles a kernel for the CPU."""
    folder = tmp_path_factory.mktemp("cuda")

    @cache
    def compiled(file: str, kernel: str, constants: tuple[tuple[str, int], ...]) -> Any:
        target = folder / f"{kernel}{len(list(folder.iterdir()))}"
        source = target.with_suffix(".cpp")
        run = "(const void* a, int programs, int threads)"
        body = f"{{ Caller<{kernel}>::run(a, programs, threads); }}"
        source.write_text(f'#include "{file}"\nextern "C" void run{run} {body}\n')
        options = [f"-D{name}={value}" for name, value in constants]
        flags = ["-std=c++17", "-O1", "-w", "-shared", "-fPIC", f"-I{compile.source_folder()}"]
        command = ["g++", *flags, "-include", str(SHIM), *options, str(source), "-o", str(target)]
        subprocess.run(command, check=True)
        return ctypes.CDLL(str(target)).run

    return compiled


@pytest.fixture
def _emulated(build: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the back-end run on CPU tensors, with pieces so small that nine tokens make several."""

    def start(
        file: str, kernel: str, constants: Mapping[str, int], grid: tuple[int, int], given: bytes
    ) -> None:
        build(file, kernel, tuple(sorted(constants.items())))(given, *grid)

    small = replace(
        kernels.SCAN_ENGINE,
        forward_block=four_channels,
        backward_block=four_channels,
        checkpoint=4,
        forward_tile=2,
        backward_tile=2,
    )
    monkeypatch.setattr(compile, "start", start)
    monkeypatch.setattr(eager, "choose", lambda _, name: Choice(name, "asked for by a test"))
    monkeypatch.setattr(kernels, "SCAN_ENGINE", small)
    monkeypatch.setattr(kernels, "CONV_ENGINE", replace(kernels.CONV_ENGINE, tokens=4, channels=4))
    monkeypatch.setattr(kernels, "BACKWARD_STATES", 2)  # two threads share a channel


@on_host
@pytest.mark.usefixtures("_emulated")
class TestValues(EmulatedContract):
    backend = "cuda"

    @pytest.mark.parametrize("case", SCANS)
    def test_scan_equals_reference_in_every_option(self, case: str) -> None:
        self.assert_as_reference(scan_arguments(SCAN_CASES[case], SHAPE, dtype=torch.float32))

    @pytest.mark.slow
    @pytest.mark.parametrize("shape", [(1, 40, 36, 16), (2, 3, 5, 20), (0, 3, 4, 2), (2, 0, 4, 3)])
    def test_usual_blocks_and_odd_sizes_equal_reference(
        self, shape: tuple[int, int, int, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usual = replace(
            kernels.SCAN_ENGINE,
            forward_block=kernels._forward_block,
            backward_block=kernels._backward_block,
            checkpoint=32,
            forward_tile=8,
            backward_tile=8,
        )
        monkeypatch.setattr(kernels, "SCAN_ENGINE", usual)
        monkeypatch.setattr(kernels, "BACKWARD_STATES", 4)
        case = ScanCase(optional=("D", "z", "initial_state"))
        self.assert_as_reference(scan_arguments(case, shape, dtype=torch.float32))
        self.assert_as_reference(conv_arguments(ConvCase(), shape[:3], dtype=torch.float32))

    @pytest.mark.parametrize("case", CONVS)
    def test_conv_equals_reference_in_every_option(self, case: str) -> None:
        self.assert_as_reference(conv_arguments(CONV_CASES[case], SHAPE[:3], dtype=torch.float32))

    def test_both_directions_run_in_one_launch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        arguments: Any = scan_arguments(ScanCase(), SHAPE, dtype=torch.float32)
        alone = [outcome(arguments | {"reverse": r}, "cuda").out for r in (False, True)]
        start, launched = compile.start, []

        def counted(*given: Any) -> None:
            launched.append(given[1])
            start(*given)

        monkeypatch.setattr(compile, "start", counted)
        both = scan_pair(arguments, arguments | {"reverse": True}, backend="cuda")

        assert launched == ["scan_forward"]
        assert torch.equal(both[0], alone[0])
        assert torch.equal(both[1], alone[1])


@pytest.mark.skipif(compile.nvrtc() is None, reason="the library nvrtc was not found")
class TestCode:
    @pytest.fixture(autouse=True)
    def _own_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SEQMAMBA_HOME", str(tmp_path))

    @pytest.mark.slow
    @pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
    @pytest.mark.parametrize("file", FILES)
    def test_sources_compile_without_a_gpu(self, file: str, architecture: str) -> None:
        for number_format in (0, 1, 2):
            constants = FILES[file] | {"IO": number_format}
            assert compile.cubin(file, constants.items(), architecture)[1:4] == b"ELF"

    def test_code_is_compiled_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        constants = (FILES["step.cu"] | {"IO": 0}).items()
        code = compile.cubin("step.cu", constants, "sm_80")
        monkeypatch.setattr(compile, "_compiled", lambda *_: pytest.fail("compiled again"))

        assert compile.cubin("step.cu", constants, "sm_80") == code
        assert len(list((tmp_path / "kernels").iterdir())) == 1

    def test_a_source_that_does_not_compile_shows_the_log(self) -> None:
        with pytest.raises(BackendError, match=r"step\.cu does not compile with .*\n.*CHANNELS"):
            compile.cubin("step.cu", {"IO": 0, "N": 4, "SILU": 0, "SOFTPLUS": 0}.items(), "sm_80")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_without_a_gpu_the_reason_is_given() -> None:
    assert cuda.why_not() == "no CUDA device"
    call = scan_call(**scan_arguments(ScanCase(), SHAPE, dtype=torch.float32))
    assert cuda.why_not_for(call) == "the kernels run on CUDA devices, the tensors are on cpu"


@pytest.mark.gpu
class TestCudaOnGpu(BackendContract):
    backend = "cuda"
    device = "cuda"
    dtype = torch.float32
