"""Our Triton kernels as a back-end: NVIDIA GPUs, or any machine with Triton's interpreter.

Inputs of float32, float16 and bfloat16 with states in float32. ``TRITON_INTERPRET=1``, set before
the import, runs the kernels on CPU tensors, slowly, to test them.
"""

import torch
import triton as language
from triton.runtime.jit import JITFunction

from seqmamba.kernels.problem import Call, Conv, ConvStep, Scan
from seqmamba.kernels.triton.conv import conv_backward, conv_forward
from seqmamba.kernels.triton.scan import backward, forward
from seqmamba.kernels.triton.scan_forward import scan_forward
from seqmamba.kernels.triton.steps import conv_step, scan_step

__all__ = ["NAME", "backward", "conv_backward", "conv_forward", "conv_step", "forward"]
__all__ += ["scan_step", "why_not", "why_not_for"]

NAME = "triton"
OLDEST = (3, 4)  # version of Triton: tuples as arguments and in kernels
MAX_STATES = 256
MAX_WINDOW = 16  # tokens whose states a program can hold
MAX_TAPS = 32

_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def why_not() -> str | None:
    """Return why the kernels cannot run here, or None."""
    version = tuple(int(part) for part in language.__version__.split(".")[:2])
    if version < OLDEST:
        return f"Triton {language.__version__} is too old, it needs {OLDEST[0]}.{OLDEST[1]}"
    return None if _is_interpreted() or torch.cuda.is_available() else "no CUDA device"


def why_not_for(call: Call) -> str | None:
    """Return why the kernels cannot serve a call, or None."""
    x = call.x if isinstance(call, Conv | ConvStep) else call.u
    device = "cpu" if _is_interpreted() else "cuda"
    if x.device.type != device:
        return f"the kernels run on {device} here, the tensors are on {x.device}"
    if x.dtype not in _DTYPES:
        return f"the kernels serve float32, bfloat16 and float16, got {x.dtype}"
    if isinstance(call, Conv | ConvStep):
        taps = call.weight.shape[1]
        return f"the kernels serve up to {MAX_TAPS} taps, got {taps}" if taps > MAX_TAPS else None
    if call.A.shape[1] > MAX_STATES:
        return f"the kernels serve up to {MAX_STATES} states, got {call.A.shape[1]}"
    if isinstance(call, Scan) and call.window > MAX_WINDOW:
        return f"the kernels serve windows of up to {MAX_WINDOW} tokens, got {call.window}"
    return None


def _is_interpreted() -> bool:
    return not isinstance(scan_forward, JITFunction)
