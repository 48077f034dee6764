"""The published CUDA extension of mamba-ssm as a back-end, where it is installed.

It knows full sequences of float32, float16 and bfloat16 without states, masks or packing. Inputs
are brought to its channels-first layout; the backward runs its forward again instead of keeping
two more tensors. Convolutions and steps run in plain torch.
Interface: state-spaces/mamba, ``ops/selective_scan_interface.py``.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seqmamba.errors import BackendError
from seqmamba.kernels import torch_scan
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

__all__ = ["NAME", "backward", "conv_backward", "conv_forward", "conv_step", "forward"]
__all__ += ["scan_step", "why_not", "why_not_for"]

NAME = "mamba_ssm"
MAX_STATES = 256  # MAX_DSTATE of the extension


def why_not() -> str | None:
    """Return why the extension cannot be used here, or None."""
    if not torch.cuda.is_available():
        return "no CUDA device"
    try:
        _extension()
    except ImportError as error:
        return f"mamba-ssm is not installed ({error}); pip install 'seqmamba[gpu]'"
    return None


def why_not_for(call: Call) -> str | None:
    """Return why the extension cannot serve a call, or None."""
    if not isinstance(call, Scan):
        return None
    options = {
        "an initial state": call.initial_state is not None,
        "lengths": call.lengths is not None,
        "packed segments": call.cu_seqlens is not None,
        "a mask": call.mask is not None,
        "a local window": call.window > 1,
        "float64": call.u.dtype == torch.float64,
        f"more than {MAX_STATES} states": call.A.shape[1] > MAX_STATES,
        "an empty sequence": call.u.numel() == 0,
        "a tensor outside CUDA": call.u.device.type != "cuda",
    }
    asked = [name for name, given in options.items() if given]
    return f"the extension does not know {asked[0]}" if asked else None


def forward(scans: Sequence[Scan], save: bool) -> list[Result]:
    """Run scans one after the other; nothing is saved but the inputs."""
    del save
    results = []
    for scan in scans:
        out, states, gated = _run(scan, _channels_first(scan))
        last_state = states[:, :, -1, 1::2]  # pairs (product of decays, state)
        results.append(
            Result(
                _tokens_first(gated if gated is not None else out, scan.reverse),
                last_state.contiguous(),
                None,
            )
        )
    return results


def backward(
    scans: Sequence[Scan],
    results: Sequence[Result],
    grads: Sequence[tuple[Tensor, Tensor | None]],
) -> list[Gradients]:
    """Return the gradients of scans.

    Raises
    ------
    BackendError
        The last state has a gradient, which the extension does not propagate.
    """
    del results
    return [_gradients(scan, *grad) for scan, grad in zip(scans, grads, strict=True)]


def conv_forward(convs: Sequence[Conv]) -> list[Tensor]:
    """Run convolutions in plain torch."""
    return torch_scan.conv_forward(convs)


def conv_backward(convs: Sequence[Conv], grads: Sequence[Tensor]) -> list[ConvGradients]:
    """Return the gradients of convolutions, in plain torch."""
    return torch_scan.conv_backward(convs, grads)


def scan_step(step: ScanStep) -> Tensor:
    """Run one token in plain torch."""
    return torch_scan.scan_step(step)


def conv_step(step: ConvStep) -> Tensor:
    """Run one token in plain torch."""
    return torch_scan.conv_step(step)


def _extension() -> Any:
    import selective_scan_cuda  # type: ignore[import-not-found]  # optional, needs a GPU build

    return selective_scan_cuda


def _run(scan: Scan, inputs: list[Tensor | None]) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the output before the gate, the chunk states and the gated output."""
    out, states, *gated = _extension().fwd(*inputs, scan.delta_softplus)
    return out, states, gated[0] if gated else None


def _gradients(scan: Scan, d_out: Tensor, d_last: Tensor | None) -> Gradients:
    if d_last is not None:
        raise BackendError(
            "backend 'mamba_ssm' has no gradient for the last state. Use backend=\"torch\"."
        )
    inputs = _channels_first(scan)
    out, states, _ = _run(scan, inputs)
    d_out = _sequence(d_out, scan.reverse)
    before_gate = out if scan.z is not None else None
    d_u, d_delta, d_A, d_B, d_C, d_D, d_bias, *rest = _extension().bwd(
        *inputs, d_out, states, before_gate, None, scan.delta_softplus, False
    )
    d_B, d_C = (
        grad if m.ndim == 2 else _tokens_first(grad, scan.reverse).to(m.dtype)
        for grad, m in ((d_B, scan.B), (d_C, scan.C))
    )
    return Gradients(
        u=_tokens_first(d_u, scan.reverse),
        delta=_tokens_first(d_delta, scan.reverse),
        A=d_A,
        B=d_B,
        C=d_C,
        D=None if scan.D is None else d_D,
        z=None if scan.z is None else _tokens_first(rest[0], scan.reverse),
        delta_bias=None if scan.delta_bias is None else d_bias,
        initial_state=None,
    )


def _channels_first(scan: Scan) -> list[Tensor | None]:
    """Return u, delta, A, B, C, D, z and delta_bias as the extension takes them."""
    matrices = (m if m.ndim == 2 else _sequence(m, scan.reverse) for m in (scan.B, scan.C))
    gate = None if scan.z is None else _sequence(scan.z, scan.reverse)
    streams = (_sequence(scan.u, scan.reverse), _sequence(scan.delta, scan.reverse))
    return [*streams, scan.A, *matrices, scan.D, gate, scan.delta_bias]


def _sequence(x: Tensor, reverse: bool) -> Tensor:
    """Bring (B, L, ...) to contiguous (B, ..., L) in scan order."""
    return (x.flip(1) if reverse else x).movedim(1, -1).contiguous()


def _tokens_first(x: Tensor, reverse: bool) -> Tensor:
    """Bring (B, ..., L) in scan order back to (B, L, ...)."""
    x = x.movedim(-1, 1)
    return x.flip(1) if reverse else x.contiguous()
