"""The compiled CPU kernels: scans and convolutions on float32, float64 and half precision.

The sources are in ``kernels/cpp``. Results have the same bits for any number of threads.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from seqmamba.kernels.cpp.loader import call, instruction_set, library, why_not
from seqmamba.kernels.cpp.pack import (
    DTYPES,
    NO_GRADIENTS,
    address,
    checkpoints,
    count_runs,
    flat,
    pack_conv,
    pack_scan,
    rows,
)
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


def why_not_for(problem: Call) -> str | None:
    """Return why the compiled kernels cannot serve this call, or None."""
    x = problem.x if isinstance(problem, Conv | ConvStep) else problem.u
    if x.device.type != "cpu":
        return f"the compiled kernels run on the CPU, the tensors are on {x.device}"
    if x.dtype not in DTYPES:
        return f"the compiled kernels serve float32, float64, bfloat16 and float16, got {x.dtype}"
    return None


def forward(scans: Sequence[Scan], save: bool) -> list[Result]:
    """Run scans in one parallel region; keep checkpoints for :func:`backward` with ``save``."""
    results: list[Result] = []
    keep: list[Tensor] = []  # temporaries that the packed blocks point into
    blocks = []
    for scan in scans:
        runs = count_runs(scan.u, scan.cu_seqlens)
        out = torch.empty(scan.u.shape, dtype=scan.u.dtype)
        kept = runs if scan.wants_last_state else 0
        last_state = torch.empty((kept, *scan.A.shape), dtype=scan.A.dtype)
        saved = checkpoints(scan) if save else None
        results.append(Result(out, last_state, saved))
        if runs == 0 or scan.A.numel() == 0:
            out.zero_()
        else:
            last = last_state.data_ptr() if kept else 0
            outputs = (out.data_ptr(), last, address(saved))
            blocks.append(pack_scan(scan, runs, outputs, NO_GRADIENTS, keep))
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
        runs = count_runs(scan.u, scan.cu_seqlens)
        fields = [_like(tensor) for tensor in scan.tensors()]
        gradients.append(Gradients(*fields))  # type: ignore[arg-type]  # required ones are no None
        if runs == 0 or scan.A.numel() == 0:
            for field in fields:
                if field is not None:
                    field.zero_()
            continue
        packed = (*rows(grad_out, keep), flat(grad_last, keep), *map(address, fields))
        outputs = (0, 0, address(result.saved))
        blocks.append(pack_scan(scan, runs, outputs, packed, keep))
    _run("scan_backward", blocks)
    return gradients


def conv_forward(convs: Sequence[Conv]) -> list[Tensor]:
    """Run depthwise causal convolutions in one parallel region."""
    keep: list[Tensor] = []
    results = [torch.empty(conv.x.shape, dtype=conv.x.dtype) for conv in convs]
    blocks = [
        pack_conv(conv, out.data_ptr(), (0,) * 7, keep)
        for conv, out in zip(convs, results, strict=True)
        if conv.x.numel() and count_runs(conv.x, conv.cu_seqlens)
    ]
    _run("conv_forward", blocks)
    return results


def conv_backward(convs: Sequence[Conv], grads: Sequence[Tensor]) -> list[ConvGradients]:
    """Differentiate convolutions in one parallel region."""
    gradients: list[ConvGradients] = []
    keep: list[Tensor] = []
    blocks = []
    for conv, grad in zip(convs, grads, strict=True):
        fields = [_like(tensor) for tensor in conv.tensors()]
        gradients.append(ConvGradients(*fields))  # type: ignore[arg-type]  # as above
        if conv.x.numel() and count_runs(conv.x, conv.cu_seqlens):
            blocks.append(pack_conv(conv, 0, (*rows(grad, keep), *map(address, fields)), keep))
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
    block = pack_scan(scan, step.u.shape[0], outputs, NO_GRADIENTS, keep)
    call("scan_step", block, torch.get_num_threads())
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
    block = pack_conv(conv, state.data_ptr(), (0, 0, 0, out.data_ptr(), 0, 0, 0), keep)
    call("conv_step", block, torch.get_num_threads())
    if state is not step.state:
        step.state.copy_(state)
    return out


def _like(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else torch.empty(tensor.shape, dtype=tensor.dtype)


def _run(name: str, blocks: list[bytes]) -> None:
    if blocks:
        call(name, b"".join(blocks), len(blocks), torch.get_num_threads())
