"""Scans and convolutions as blocks of 64-bit integers, one per field of ``kernels/cpp/abi.h``."""

import struct

import torch
from torch import Tensor

from seqmamba.kernels.problem import Conv, Scan

__all__ = ["DTYPES", "NO_GRADIENTS", "address", "checkpoints", "count_runs", "flat"]
__all__ += ["pack_conv", "pack_scan", "rows"]

CHUNK = 32  # tokens between checkpoints, as in kernels/cpp/plan.h
MAX_LANES = 16  # checkpoints are padded to whole vectors of at most so many channels
DTYPES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}
NO_GRADIENTS = (0,) * 13  # the fields of a scan that only the backward pass reads

_SCAN = struct.Struct("@52q")
_CONV = struct.Struct("@25q")
_NO_ROWS = (0, 0, 0)


def pack_scan(
    scan: Scan,
    runs: int,
    outputs: tuple[int, int, int],
    gradients: tuple[int, ...],
    keep: list[Tensor],
) -> bytes:
    """Return a ScanProblem; tensors that had to be copied are added to ``keep``."""
    u, B, C = scan.u, scan.B, scan.C
    constant_b, constant_c = B.ndim == 2, C.ndim == 2
    return _SCAN.pack(
        *u.shape,
        scan.A.shape[1],
        C.shape[2] if constant_b and not constant_c else 1 if constant_b else B.shape[2],
        runs,
        DTYPES[u.dtype],
        scan.delta_softplus,
        scan.reverse,
        scan.window,
        constant_b,
        constant_c,
        *rows(u, keep),
        *rows(scan.delta, keep),
        *(_NO_ROWS if scan.z is None else rows(scan.z, keep)),
        *_mixing_rows(B, keep),
        *_mixing_rows(C, keep),
        0 if constant_b else B.stride(2),
        0 if constant_c else C.stride(2),
        flat(scan.A, keep),
        flat(scan.D, keep),
        flat(scan.delta_bias, keep),
        flat(scan.initial_state, keep),
        address(scan.lengths),
        address(scan.cu_seqlens),
        address(scan.mask),
        *outputs,
        *gradients,
    )


def pack_conv(conv: Conv, out: int, gradients: tuple[int, ...], keep: list[Tensor]) -> bytes:
    """Return a ConvProblem; tensors that had to be copied are added to ``keep``."""
    return _CONV.pack(
        *conv.x.shape,
        conv.weight.shape[1],
        count_runs(conv.x, conv.cu_seqlens),
        DTYPES[conv.x.dtype],
        conv.activation == "silu",
        conv.reverse,
        *rows(conv.x, keep),
        flat(conv.weight, keep),
        flat(conv.bias, keep),
        flat(conv.initial_state, keep),
        address(conv.lengths),
        address(conv.cu_seqlens),
        address(conv.mask),
        out,
        *gradients,
    )


def rows(tensor: Tensor, keep: list[Tensor]) -> tuple[int, int, int]:
    """Return address and the strides over batch and tokens of (B, L, E)."""
    if tensor.stride(-1) != 1 and tensor.shape[-1] > 1:
        tensor = tensor.contiguous()
        keep.append(tensor)
    return tensor.data_ptr(), tensor.stride(0), tensor.stride(1)


def _mixing_rows(tensor: Tensor, keep: list[Tensor]) -> tuple[int, int, int]:
    """Return the rows of B or C; a constant one has its stride over channels as the last."""
    if tensor.ndim == 2:
        return tensor.data_ptr(), 0, tensor.stride(0)
    return rows(tensor, keep)


def flat(tensor: Tensor | None, keep: list[Tensor]) -> int:
    """Return the address of a contiguous form."""
    if tensor is None:
        return 0
    if not tensor.is_contiguous():
        tensor = tensor.contiguous()
        keep.append(tensor)
    return tensor.data_ptr()


def address(tensor: Tensor | None) -> int:
    """Return the address of a contiguous tensor, 0 for none."""
    return 0 if tensor is None else tensor.data_ptr()


def count_runs(x: Tensor, cu_seqlens: Tensor | None) -> int:
    """Return the number of independent runs: rows of the batch, or packed segments."""
    return x.shape[0] if cu_seqlens is None else cu_seqlens.shape[0] - 1


def checkpoints(scan: Scan) -> Tensor:
    """Return room for the states before every chunk but the first, in vectors of channels."""
    batch, length, width = scan.u.shape
    window = min(scan.window, max(length, 1))
    chunk = -(-CHUNK // window) * window
    packed = scan.cu_seqlens is not None
    count = length // chunk if packed else batch * (max(length - 1, 0) // chunk)
    groups = max((m.shape[2] for m in (scan.B, scan.C) if m.ndim == 4), default=1)
    lanes = groups * -(-(width // groups) // MAX_LANES) * MAX_LANES
    return torch.empty(count * lanes * scan.A.shape[1], dtype=scan.A.dtype)
