"""Our CUDA kernels as a back-end: source text in ``kernels/cuda``, compiled at first use.

Inputs of float32, float16 and bfloat16 with states in float32.
"""

import torch

from seqmamba.kernels.cuda.compile import nvrtc, source_folder
from seqmamba.kernels.cuda.kernels import (
    FORMATS,
    backward,
    conv_backward,
    conv_forward,
    conv_step,
    forward,
    scan_step,
)
from seqmamba.kernels.problem import Call, Conv, ConvStep, Scan

__all__ = ["NAME", "backward", "conv_backward", "conv_forward", "conv_step", "forward"]
__all__ += ["scan_step", "why_not", "why_not_for"]

NAME = "cuda"
MAX_STATES = 256
MAX_WINDOW_STATES = 2048  # states of the tokens of a window that shared memory can hold
MAX_WINDOW = 16
MAX_TAPS = 32


def why_not() -> str | None:
    """Return why the kernels cannot run here, or None."""
    if not torch.cuda.is_available():
        return "no CUDA device"
    if torch.version.hip is not None:
        return "the GPU is not one of NVIDIA"
    if not source_folder().is_dir():
        return "the CUDA sources were not installed"
    return "the compiler library nvrtc was not found" if nvrtc() is None else None


def why_not_for(call: Call) -> str | None:
    """Return why the kernels cannot serve a call, or None."""
    x = call.x if isinstance(call, Conv | ConvStep) else call.u
    if x.device.type != "cuda":
        return f"the kernels run on CUDA devices, the tensors are on {x.device}"
    if x.dtype not in FORMATS:
        return f"the kernels serve float32, bfloat16 and float16, got {x.dtype}"
    if isinstance(call, Conv | ConvStep):
        taps = call.weight.shape[1]
        return f"the kernels serve up to {MAX_TAPS} taps, got {taps}" if taps > MAX_TAPS else None
    states = call.A.shape[1]
    if states > MAX_STATES:
        return f"the kernels serve up to {MAX_STATES} states, got {states}"
    if not isinstance(call, Scan) or call.window == 1:
        return None
    most = min(MAX_WINDOW, MAX_WINDOW_STATES // max(states, 1))
    if call.window > most:
        return f"with {states} states they serve windows of up to {most} tokens, got {call.window}"
    return None
