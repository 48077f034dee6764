"""Chunked scan and convolution in plain torch, with their own backward: any device, no compiler.

The decays of a chunk of tokens are formed at once, so that a token costs one fused multiply-add on
(rows, E, N); between forward and backward only the state before each chunk is kept. Long sequences
of few channels are cut into segments that advance side by side: their end states from zero, then
the carry from segment to segment, then the true run.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from seqmamba.kernels import reference
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
from seqmamba.kernels.torch_scan import conv as convolution
from seqmamba.kernels.torch_scan.scan import scan_backward, scan_forward

__all__ = ["NAME", "backward", "conv_backward", "conv_forward", "conv_step", "forward"]
__all__ += ["scan_step", "why_not", "why_not_for"]

NAME = "torch"


def why_not() -> str | None:
    """Return None: plain torch is always there."""
    return None


def why_not_for(call: Call) -> str | None:
    """Return None: every call is served."""
    del call
    return None


def forward(scans: Sequence[Scan], save: bool) -> list[Result]:
    """Run scans one after the other."""
    with torch.autocast(scans[0].u.device.type, enabled=False):
        return [scan_forward(scan, save) for scan in scans]


def backward(
    scans: Sequence[Scan],
    results: Sequence[Result],
    grads: Sequence[tuple[Tensor, Tensor | None]],
) -> list[Gradients]:
    """Return the gradients of scans."""
    with torch.autocast(scans[0].u.device.type, enabled=False):
        return [
            scan_backward(scan, result, *grad)
            for scan, result, grad in zip(scans, results, grads, strict=True)
        ]


def conv_forward(convs: Sequence[Conv]) -> list[Tensor]:
    """Run convolutions one after the other."""
    return [convolution.conv_forward(conv) for conv in convs]


def conv_backward(convs: Sequence[Conv], grads: Sequence[Tensor]) -> list[ConvGradients]:
    """Return the gradients of convolutions."""
    pairs = zip(convs, grads, strict=True)
    return [convolution.conv_backward(conv, grad) for conv, grad in pairs]


def scan_step(step: ScanStep) -> Tensor:
    """Run one token of a scan and update the state in place."""
    out, state = reference.scan_step(step)
    step.state.copy_(state)
    return out


def conv_step(step: ConvStep) -> Tensor:
    """Run one token of a convolution and update the state in place."""
    out, state = reference.conv_step(step)
    step.state.copy_(state)
    return out
