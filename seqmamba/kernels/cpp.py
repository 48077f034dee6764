"""The compiled CPU kernels, loaded with ctypes: no Python and no torch version is built in.

The library ``seqmamba_cpp`` is built from ``kernels/cpp`` and looked for in every folder of
``seqmamba.kernels.__path__``. A call hands over one block of 64-bit integers per problem, in the
order of ``ScanProblem`` and ``ConvProblem`` of ``kernels/cpp/abi.h``.
"""

import ctypes
import struct
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

import seqmamba.kernels
from seqmamba.errors import BackendError
from seqmamba.kernels.problem import (
    Call,
    Conv,
    ConvGradients,
    ConvStep,
    Gradients,
    Result,
    Scan,
    ScanStep,
)

__all__ = [
    "NAME",
    "backward",
    "conv_backward",
    "conv_forward",
    "conv_step",
    "forward",
    "instruction_set",
    "library",
    "scan_step",
    "why_not",
    "why_not_for",
]

NAME = "cpp"
VERSION = 1  # of the interface, seqmamba_version() of the library
CHUNK = 32  # tokens between checkpoints, as in kernels/cpp/plan.h
MAX_LANES = 16  # checkpoints are padded to whole vectors of at most so many channels

_DTYPES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}
_SCAN = struct.Struct("@52q")
_CONV = struct.Struct("@25q")
_SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")


@cache
def _search() -> tuple[ctypes.CDLL | None, str | None]:
    """Return the library, or why there is none."""
    names = {"seqmamba_cpp.so", f"seqmamba_cpp{_SUFFIX}"}  # a CMake MODULE is .so on macOS too
    files = [Path(folder) / name for folder in seqmamba.kernels.__path__ for name in names]
    files = [file for file in files if file.is_file()]
    reason = "the compiled library seqmamba_cpp was not built; install from source with a compiler"
    for file in files:
        try:
            found = ctypes.CDLL(str(file))
            version = int(found.seqmamba_version())
        except (OSError, AttributeError) as error:
            reason = f"{file} cannot be loaded on this machine: {error}"
            continue
        if version != VERSION:
            reason = f"{file} has interface version {version}, expected {VERSION}; rebuild it"
            continue
        for name in ("scan_forward", "scan_backward", "conv_forward", "conv_backward"):
            getattr(found, f"seqmamba_{name}").argtypes = (
                ctypes.c_char_p,
                ctypes.c_int64,
                ctypes.c_int,
            )
        for name in ("scan_step", "conv_step"):
            getattr(found, f"seqmamba_{name}").argtypes = (ctypes.c_char_p, ctypes.c_int)
        found.seqmamba_isa.restype = ctypes.c_char_p
        return found, None
    return None, reason


def library() -> ctypes.CDLL | None:
    """Return the compiled kernels, or None if they were not built for this machine."""
    return _search()[0]


def instruction_set() -> str | None:
    """Return the name of the instruction set in use, such as ``x86_64_v4``."""
    found = library()
    return None if found is None else found.seqmamba_isa().decode()


def why_not() -> str | None:
    """Return why the compiled kernels cannot be used here at all, or None."""
    return _search()[1]


def why_not_for(call: Call) -> str | None:
    """Return why the compiled kernels cannot serve this call, or None."""
    x = call.x if isinstance(call, Conv | ConvStep) else call.u
    if x.device.type != "cpu":
        return f"the compiled kernels run on the CPU, the tensors are on {x.device}"
    if x.dtype not in _DTYPES:
        return f"the compiled kernels serve float32, float64, bfloat16 and float16, got {x.dtype}"
    return None


def forward(scans: Sequence[Scan], save: bool) -> list[Result]:
    """Run scans in one parallel region; keep checkpoints for :func:`backward` with ``save``."""
    results: list[Result] = []
    keep: list[Tensor] = []  # temporaries that the packed blocks point into
    blocks = []
    for scan in scans:
        runs = _runs(scan.u, scan.cu_seqlens)
        out = torch.empty(scan.u.shape, dtype=scan.u.dtype)
        kept = runs if scan.wants_last_state else 0
        last_state = torch.empty((kept, *scan.A.shape), dtype=scan.A.dtype)
        saved = _checkpoints(scan) if save else None
        results.append(Result(out, last_state, saved))
        if runs == 0 or scan.A.numel() == 0:
            out.zero_()
        else:
            last = last_state.data_ptr() if kept else 0
            outputs = (out.data_ptr(), last, _address(saved))
            blocks.append(_pack_scan(scan, runs, outputs, _NO_GRADIENTS, keep))
    _run("scan_forward", blocks)
    return results


def backward(
    scans: Sequence[Scan], results: Sequence[Result], grads: Sequence[tuple[Tensor, Tensor | None]]
) -> list[Gradients]:
    """Differentiate scans from their checkpoints, in one parallel region."""
    gradients: list[Gradients] = []
    keep: list[Tensor] = []
    blocks = []
    for scan, result, (grad_out, grad_last) in zip(scans, results, grads, strict=True):
        runs = _runs(scan.u, scan.cu_seqlens)
        made = Gradients(*(_like(getattr(scan, name)) for name in _GRADIENT_NAMES))
        gradients.append(made)
        fields = [getattr(made, name) for name in _GRADIENT_NAMES]
        if runs == 0 or scan.A.numel() == 0:
            for field in fields:
                if field is not None:
                    field.zero_()
            continue
        packed = (*_rows(grad_out, keep), _flat(grad_last, keep), *map(_address, fields))
        outputs = (0, 0, _address(result.saved))
        blocks.append(_pack_scan(scan, runs, outputs, packed, keep))
    _run("scan_backward", blocks)
    return gradients


def conv_forward(convs: Sequence[Conv]) -> list[Tensor]:
    """Run depthwise causal convolutions in one parallel region."""
    keep: list[Tensor] = []
    results = [torch.empty(conv.x.shape, dtype=conv.x.dtype) for conv in convs]
    blocks = [
        _pack_conv(conv, out.data_ptr(), (0,) * 7, keep)
        for conv, out in zip(convs, results, strict=True)
        if conv.x.numel() and _runs(conv.x, conv.cu_seqlens)
    ]
    _run("conv_forward", blocks)
    return results


def conv_backward(convs: Sequence[Conv], grads: Sequence[Tensor]) -> list[ConvGradients]:
    """Differentiate convolutions in one parallel region."""
    gradients: list[ConvGradients] = []
    keep: list[Tensor] = []
    blocks = []
    for conv, grad in zip(convs, grads, strict=True):
        inputs = (conv.x, conv.weight, conv.bias, conv.initial_state)
        fields = [_like(tensor) for tensor in inputs]
        gradients.append(ConvGradients(*fields))
        if conv.x.numel() and _runs(conv.x, conv.cu_seqlens):
            blocks.append(_pack_conv(conv, 0, (*_rows(grad, keep), *map(_address, fields)), keep))
            continue
        for field in fields:
            if field is not None:
                field.zero_()
    _run("conv_backward", blocks)
    return gradients


def scan_step(step: ScanStep) -> Tensor:
    """Run one token of a scan; the state is overwritten. Returns out (B, E)."""
    keep: list[Tensor] = []
    out = torch.empty(step.u.shape, dtype=step.u.dtype)
    scan = Scan(
        u=step.u.unsqueeze(1),
        delta=step.delta.unsqueeze(1),
        A=step.A,
        B=step.B if step.B.ndim == 2 else step.B.unsqueeze(1),
        C=step.C if step.C.ndim == 2 else step.C.unsqueeze(1),
        D=step.D,
        z=None if step.z is None else step.z.unsqueeze(1),
        delta_bias=step.delta_bias,
        delta_softplus=step.delta_softplus,
    )
    if step.state.numel() == 0:
        return out.zero_()
    state = step.state.contiguous()
    outputs = (out.data_ptr(), state.data_ptr(), 0)
    block = _pack_scan(scan, step.u.shape[0], outputs, _NO_GRADIENTS, keep)
    _check(_loaded().seqmamba_scan_step(block, torch.get_num_threads()))
    if state is not step.state:
        step.state.copy_(state)
    return out


def conv_step(step: ConvStep) -> Tensor:
    """Run one token of a convolution; the state moves on by one. Returns out (B, E)."""
    keep: list[Tensor] = []
    out = torch.empty(step.x.shape, dtype=step.x.dtype)
    if out.numel() == 0:
        return out
    conv = Conv(step.x.unsqueeze(1), step.weight, step.bias, activation=step.activation)
    state = step.state.contiguous()
    block = _pack_conv(conv, state.data_ptr(), (0, 0, 0, out.data_ptr(), 0, 0, 0), keep)
    _check(_loaded().seqmamba_conv_step(block, torch.get_num_threads()))
    if state is not step.state:
        step.state.copy_(state)
    return out


_GRADIENT_NAMES = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state")
_NO_GRADIENTS = (0,) * 13


def _pack_scan(
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
        _DTYPES[u.dtype],
        scan.delta_softplus,
        scan.reverse,
        scan.window,
        constant_b,
        constant_c,
        *_rows(u, keep),
        *_rows(scan.delta, keep),
        *(_NO_ROWS if scan.z is None else _rows(scan.z, keep)),
        *_mixing_rows(B, keep),
        *_mixing_rows(C, keep),
        0 if constant_b else B.stride(2),
        0 if constant_c else C.stride(2),
        _flat(scan.A, keep),
        _flat(scan.D, keep),
        _flat(scan.delta_bias, keep),
        _flat(scan.initial_state, keep),
        _address(scan.lengths),
        _address(scan.cu_seqlens),
        _address(scan.mask),
        *outputs,
        *gradients,
    )


def _pack_conv(conv: Conv, out: int, gradients: tuple[int, ...], keep: list[Tensor]) -> bytes:
    """Return a ConvProblem; tensors that had to be copied are added to ``keep``."""
    return _CONV.pack(
        *conv.x.shape,
        conv.weight.shape[1],
        _runs(conv.x, conv.cu_seqlens),
        _DTYPES[conv.x.dtype],
        conv.activation == "silu",
        conv.reverse,
        *_rows(conv.x, keep),
        _flat(conv.weight, keep),
        _flat(conv.bias, keep),
        _flat(conv.initial_state, keep),
        _address(conv.lengths),
        _address(conv.cu_seqlens),
        _address(conv.mask),
        out,
        *gradients,
    )


_NO_ROWS = (0, 0, 0)


def _rows(tensor: Tensor, keep: list[Tensor]) -> tuple[int, int, int]:
    """Return address and the strides over batch and tokens of (B, L, E)."""
    if tensor.stride(-1) != 1 and tensor.shape[-1] > 1:
        tensor = tensor.contiguous()
        keep.append(tensor)
    return tensor.data_ptr(), tensor.stride(0), tensor.stride(1)


def _mixing_rows(tensor: Tensor, keep: list[Tensor]) -> tuple[int, int, int]:
    """Return the rows of B or C; a constant one has its stride over channels as the last."""
    if tensor.ndim == 2:
        return tensor.data_ptr(), 0, tensor.stride(0)
    return _rows(tensor, keep)


def _flat(tensor: Tensor | None, keep: list[Tensor]) -> int:
    """Return the address of a contiguous form."""
    if tensor is None:
        return 0
    if not tensor.is_contiguous():
        tensor = tensor.contiguous()
        keep.append(tensor)
    return tensor.data_ptr()


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _like(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else torch.empty(tensor.shape, dtype=tensor.dtype)


def _runs(x: Tensor, cu_seqlens: Tensor | None) -> int:
    return x.shape[0] if cu_seqlens is None else cu_seqlens.shape[0] - 1


def _checkpoints(scan: Scan) -> Tensor:
    """Return room for the states before every chunk but the first, in vectors of channels."""
    batch, length, width = scan.u.shape
    window = min(scan.window, max(length, 1))
    chunk = -(-CHUNK // window) * window
    packed = scan.cu_seqlens is not None
    count = length // chunk if packed else batch * (max(length - 1, 0) // chunk)
    groups = max((m.shape[2] for m in (scan.B, scan.C) if m.ndim == 4), default=1)
    lanes = groups * -(-(width // groups) // MAX_LANES) * MAX_LANES
    return torch.empty(count * lanes * scan.A.shape[1], dtype=scan.A.dtype)


def _run(name: str, blocks: list[bytes]) -> None:
    if blocks:
        block = b"".join(blocks) if len(blocks) > 1 else blocks[0]
        run = getattr(_loaded(), f"seqmamba_{name}")
        _check(run(block, len(blocks), torch.get_num_threads()))


def _loaded() -> ctypes.CDLL:
    found, reason = _search()
    if found is None:
        raise BackendError(f"backend 'cpp' cannot be used: {reason}.")
    return found


def _check(status: int) -> None:
    if status:
        raise MemoryError("the compiled kernels could not get memory for their scratch arrays")
