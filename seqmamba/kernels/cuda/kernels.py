"""Launches of the CUDA kernels."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seqmamba.kernels.cuda import compile
from seqmamba.kernels.gpu import conv, scan
from seqmamba.kernels.gpu.arguments import ConvSizes, ScanSizes
from seqmamba.kernels.gpu.plan import ceil_div
from seqmamba.kernels.problem import (
    Conv,
    ConvGradients,
    ConvStep,
    Gradients,
    Result,
    Scan,
    ScanStep,
)

__all__ = ["FORMATS", "backward", "conv_backward", "conv_forward", "conv_step", "forward"]
__all__ += ["scan_step"]

FORMATS = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}  # IO of device.cuh
FORWARD_STATES = 16  # per thread
BACKWARD_STATES = 4  # per thread: kept for every token of a tile
CHANNELS = 64  # threads of a block where a thread owns a channel


def forward(scans: Sequence[Scan], save: bool) -> list[Result]:
    """Run scans, two of one form in a launch."""
    return scan.forward(SCAN_ENGINE, scans, save)


def backward(
    scans: Sequence[Scan], results: Sequence[Result], grads: Sequence[tuple[Tensor, Tensor | None]]
) -> list[Gradients]:
    """Return the gradients of scans, two of one form in a launch."""
    return scan.backward(SCAN_ENGINE, scans, results, grads)


def conv_forward(convs: Sequence[Conv]) -> list[Tensor]:
    """Run convolutions, two of one form in a launch."""
    return conv.conv_forward(CONV_ENGINE, convs)


def conv_backward(convs: Sequence[Conv], grads: Sequence[Tensor]) -> list[ConvGradients]:
    """Return the gradients of convolutions, two of one form in a launch."""
    return conv.conv_backward(CONV_ENGINE, convs, grads)


def scan_step(step: ScanStep) -> Tensor:
    """Run one token of a scan for a batch; the state is overwritten. Returns out (B, E)."""
    batch, width = step.u.shape
    out = torch.empty((batch, width), dtype=step.u.dtype, device=step.u.device)
    if step.state.numel() == 0:
        return out.zero_()
    tensors = (step.state, step.u, step.delta, step.z, step.A, step.B, step.C, step.D)
    rows = [0 if t is None else t.stride(0) for t in (step.u, step.delta, step.z, step.A)]
    strides = (*step.state.stride(), *rows, *_matrix_strides(step.B), *_matrix_strides(step.C))
    arguments = compile.pack(*tensors, step.delta_bias, out, width, strides)
    _step("scan_step", out, arguments, N=step.A.shape[1], SOFTPLUS=step.delta_softplus, SILU=0)
    return out


def conv_step(step: ConvStep) -> Tensor:
    """Run one token of a convolution for a batch; the state moves on. Returns out (B, E)."""
    batch, width = step.x.shape
    out = torch.empty((batch, width), dtype=step.x.dtype, device=step.x.device)
    if out.numel() == 0:
        return out
    strides = (*step.state.stride(), step.x.stride(0), step.weight.stride(0))
    tensors = (step.state, step.x, step.weight, step.bias, out)
    arguments = compile.pack(*tensors, width, strides)
    silu = step.activation == "silu"
    _step("conv_step", out, arguments, N=step.weight.shape[1], SOFTPLUS=0, SILU=silu)
    return out


def _step(kernel: str, out: Tensor, arguments: bytes, **options: int) -> None:
    batch, width = out.shape
    constants = {"IO": FORMATS[out.dtype], "CHANNELS": CHANNELS} | _integers(options)
    with torch.cuda.device_of(out):  # type: ignore[no-untyped-call]  # torch leaves it so
        grid = (batch * ceil_div(width, CHANNELS), CHANNELS)
        compile.start("step.cu", kernel, constants, grid, arguments)


def _matrix_strides(matrix: Tensor) -> tuple[int, int, int]:
    """Return groups, stride over rows and over groups; of a constant 0, over channels, 0."""
    if matrix.ndim == 2:
        return 0, matrix.stride(0), 0
    return matrix.shape[1], matrix.stride(0), matrix.stride(1)


def _launch_scan(
    kernel: str,
    programs: int,
    arguments: Sequence[Any],
    rooms: Sequence[Any],
    sizes: ScanSizes,
    block: int,
    **options: Any,
) -> None:
    """Start a kernel; see :class:`seqmamba.kernels.gpu.scan.ScanKernels`."""
    reverse = options.pop("FIRST_REVERSE"), options.pop("SECOND_REVERSE")
    each = BACKWARD_STATES if kernel == "scan_backward" else FORWARD_STATES
    lanes = _lanes(options["N"], each)
    threads = ceil_div(block * lanes, 32) * 32
    constants = {"TILE": SCAN_ENGINE.forward_tile} | _integers(options)
    constants |= {
        "IO": FORMATS[arguments[0].u.dtype],
        "LANES": lanes,
        "PART": ceil_div(options["N"], lanes),
        "BLOCK": block,
        "THREADS": threads,
    }
    file = "scan_backward.cu" if kernel == "scan_backward" else "scan_forward.cu"
    block_of_arguments = compile.pack(
        arguments[0], arguments[-1], rooms[0], rooms[-1], sizes, reverse
    )
    compile.start(file, kernel, constants, (programs, threads), block_of_arguments)


def _launch_conv(
    kernel: str,
    programs: int,
    arguments: Sequence[Any],
    rooms: Sequence[Any],
    sizes: ConvSizes,
    tile: tuple[int, int],
    **options: Any,
) -> None:
    """Start a kernel; see :class:`seqmamba.kernels.gpu.conv.ConvKernels`."""
    reverse = options.pop("FIRST_REVERSE"), options.pop("SECOND_REVERSE")
    constants = _integers(options) | {
        "IO": FORMATS[arguments[0].weight.dtype],
        "X_IO": FORMATS[arguments[0].x.dtype],
        "TOKENS": tile[0],
        "CHANNELS": tile[1],
    }
    block = compile.pack(arguments[0], arguments[-1], rooms[0], rooms[-1], sizes, reverse)
    compile.start("conv.cu", kernel, constants, (programs, tile[1]), block)


def _lanes(states: int, each: int) -> int:
    """Return the threads that share a channel if each holds at most so many states."""
    return min(scan.power_of_two(ceil_div(states, each)), 32)


def _forward_block(states: int, tile: int) -> int:
    """Return the channels of a block: 64, or what 512 threads can hold."""
    del tile
    return min(64, 512 // _lanes(states, FORWARD_STATES))


def _backward_block(states: int, tile: int) -> int:
    """Return the channels of a block: warps that leave room for their sums in shared memory."""
    lanes = _lanes(states, BACKWARD_STATES)
    row = lanes * ceil_div(states, lanes)
    warps = max(1, min(lanes, 8, 4096 // (tile * row)))
    return warps * 32 // lanes


def _integers(options: dict[str, Any]) -> dict[str, int]:
    return {name: int(value) for name, value in options.items()}


SCAN_ENGINE = scan.ScanEngine(
    _launch_scan,
    _forward_block,
    _backward_block,
    checkpoint=32,
    forward_tile=8,
    backward_tile=8,
)
CONV_ENGINE = conv.ConvEngine(_launch_conv, tokens=32, channels=CHANNELS)
