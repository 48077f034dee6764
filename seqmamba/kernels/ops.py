"""Scans and convolutions as differentiable operations."""

from collections.abc import Sequence

from torch import Tensor

from seqmamba.kernels import reference
from seqmamba.kernels.problem import Conv, ConvStep, Scan, ScanStep

__all__ = ["run_conv_step", "run_convs", "run_scan_step", "run_scans"]


def run_scans(calls: Sequence[Scan], backend: str) -> list[tuple[Tensor, Tensor]]:
    """Return (out, last state) of each scan."""
    return [reference.scan(call) for call in calls]


def run_convs(calls: Sequence[Conv], backend: str) -> list[Tensor]:
    """Return the output of each convolution."""
    return [reference.conv(call) for call in calls]


def run_scan_step(step: ScanStep, backend: str) -> Tensor:
    """Run one token and update the state in place."""
    out, state = reference.scan_step(step)
    step.state.copy_(state)
    return out


def run_conv_step(step: ConvStep, backend: str) -> Tensor:
    """Run one token and update the state in place."""
    out, state = reference.conv_step(step)
    step.state.copy_(state)
    return out
