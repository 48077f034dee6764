"""Scans and convolutions as differentiable operations of torch, whatever back-end serves them."""

from seqmamba.kernels.ops.eager import run_conv_step, run_convs, run_scan_step, run_scans

__all__ = ["run_conv_step", "run_convs", "run_scan_step", "run_scans"]
