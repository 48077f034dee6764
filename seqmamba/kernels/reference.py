"""Plain loops over time: the definition that every other back-end is measured against.

Any dtype, any device, differentiable twice; autograd records every step. Use it to check, to
export without custom operators and to read, not to train.
"""

import torch
from torch import Tensor
from torch.nn import functional

from seqmamba.kernels.problem import Call, Conv, ConvStep, Scan, ScanStep
from seqmamba.kernels.runs import runs_of

__all__ = ["NAME", "conv", "conv_step", "scan", "scan_step", "why_not", "why_not_for"]

NAME = "reference"


def why_not() -> str | None:
    """Return None: plain torch is always there."""
    return None


def why_not_for(call: Call) -> str | None:
    """Return None: every call is served."""
    del call
    return None


def scan(call: Scan) -> tuple[Tensor, Tensor]:
    r"""Run a selective scan, one token after the other.

    .. math::
        \delta_t = \mathrm{softplus}(\Delta_t + b), \quad
        f_t = e^{\delta_t A} f_{t-1} + \delta_t u_t B_t, \quad
        y_t = C_t \cdot h_t + D u_t

    with :math:`h_t = f_t`, or, in a window of more than one token, :math:`h_t = f_t + a_t b_{t+1}`
    where :math:`b` runs against :math:`f` inside the window. Sources: Mamba, arXiv 2312.00752;
    LBMamba, arXiv 2506.15976.

    Parameters
    ----------
    call : Scan

    Returns
    -------
    out : Tensor (B, L, E), dtype of u
    last_state : Tensor (S, E, N), state dtype
    """
    dtype = call.A.dtype
    runs = runs_of(call.u, call.lengths, call.cu_seqlens, call.mask, call.reverse)
    u = runs.take(call.u).to(dtype)  # (S, T, E)
    step = runs.take(call.delta).to(dtype)
    step = step if call.delta_bias is None else step + call.delta_bias
    step = functional.softplus(step) if call.delta_softplus else step
    step = step if runs.keep is None else torch.where(runs.keep[..., None], step, 0)
    B, C = (m if m.ndim == 2 else runs.take(m).to(dtype) for m in (call.B, call.C))
    state = call.initial_state
    if state is None:
        state = u.new_zeros(u.shape[0], *call.A.shape)
    outputs: list[Tensor] = []
    for start in range(0, u.shape[1], call.window):
        tokens = slice(start, start + call.window)
        decay, forward = [], []
        for u_t, step_t, B_t in zip(
            u[:, tokens].unbind(1), step[:, tokens].unbind(1), _tokens(B, tokens, u), strict=True
        ):
            decay.append(torch.exp(step_t[..., None] * call.A))  # (S, E, N)
            pulse = (step_t * u_t)[..., None] * B_t
            state = decay[-1] * state + pulse
            forward.append((state, pulse))
        outputs += _read_out(decay, forward, _tokens(C, tokens, u))
    y = torch.stack(outputs, 1) if outputs else u.new_zeros(u.shape)  # (S, T, E)
    if call.D is not None:
        y = y + call.D * u
    if call.z is not None:
        y = y * functional.silu(runs.take(call.z).to(dtype))
    return runs.give(y).to(call.u.dtype), state


def conv(call: Conv) -> Tensor:
    """Run a depthwise causal convolution as a sum of shifted copies.

    Parameters
    ----------
    call : Conv

    Returns
    -------
    Tensor (B, L, E)
    """
    runs = runs_of(call.x, call.lengths, call.cu_seqlens, call.mask, call.reverse)
    taps = call.weight.shape[1]
    x = runs.take(call.x)  # (S, T, E)
    before = x.new_zeros(x.shape[0], taps - 1, x.shape[2])
    if call.initial_state is not None:
        before = call.initial_state[..., 1:].transpose(1, 2)
    length, x = x.shape[1], torch.cat([before, x], 1)
    out = x[:, :length] * call.weight[:, 0]
    for k in range(1, taps):
        out = out + x[:, k : k + length] * call.weight[:, k]
    out = out if call.bias is None else out + call.bias
    return runs.give(functional.silu(out) if call.activation == "silu" else out)


def scan_step(step: ScanStep) -> tuple[Tensor, Tensor]:
    """Run one token of a scan; return out (B, E) and the new state (B, E, N)."""
    dtype, width = step.A.dtype, step.u.shape[1]
    u, delta = step.u.to(dtype), step.delta.to(dtype)
    delta = delta if step.delta_bias is None else delta + step.delta_bias
    delta = functional.softplus(delta) if step.delta_softplus else delta
    decay = torch.exp(delta[..., None] * step.A)  # (B, E, N)
    state = decay * step.state + (delta * u)[..., None] * _channels(step.B.to(dtype), width)
    y = (state * _channels(step.C.to(dtype), width)).sum(-1)
    y = y if step.D is None else y + step.D * u
    y = y if step.z is None else y * functional.silu(step.z.to(dtype))
    return y.to(step.u.dtype), state


def conv_step(step: ConvStep) -> tuple[Tensor, Tensor]:
    """Run one token of a convolution; return out (B, E) and the new state (B, E, W)."""
    state = torch.cat([step.state[..., 1:], step.x[..., None]], -1)
    out = (state * step.weight).sum(-1)
    out = out if step.bias is None else out + step.bias
    return (functional.silu(out) if step.activation == "silu" else out), state


def _read_out(
    decay: list[Tensor], forward: list[tuple[Tensor, Tensor]], C: list[Tensor]
) -> list[Tensor]:
    """Add the backward half of a window and multiply with C; oldest token first."""
    outputs: list[Tensor] = []
    behind: Tensor | None = None  # b_{t+1}, None at the end of the window
    for a_t, (state, pulse), C_t in zip(
        reversed(decay), reversed(forward), reversed(C), strict=True
    ):
        reached = state if behind is None else state + a_t * behind
        outputs.append((reached * C_t).sum(-1))
        behind = pulse if behind is None else pulse + a_t * behind
    return outputs[::-1]


def _tokens(matrix: Tensor, tokens: slice, u: Tensor) -> list[Tensor]:
    """Return B_t or C_t of some tokens, each (S, E, N), or (E, N) if constant."""
    if matrix.ndim == 2:
        return [matrix] * u[:, tokens].shape[1]
    return [_channels(m, u.shape[2]) for m in matrix[:, tokens].unbind(1)]


def _channels(matrix: Tensor, width: int) -> Tensor:
    """Repeat (B, G, N) over the channels of each group: (B, E, N)."""
    if matrix.ndim == 2:
        return matrix
    return matrix.repeat_interleave(width // matrix.shape[1], dim=1)
