"""Depthwise causal convolution as a sum of shifted rows."""

import torch
from torch import Tensor
from torch.nn import functional

from seqmamba.kernels.problem import Conv, ConvGradients
from seqmamba.kernels.runs import Runs, runs_of

__all__ = ["conv_backward", "conv_forward"]


def conv_forward(conv: Conv) -> Tensor:
    """Return act(conv(x)), (B, L, E)."""
    out, _, runs = _before_activation(conv)
    return runs.give(functional.silu(out) if conv.activation == "silu" else out)


def conv_backward(conv: Conv, grad: Tensor) -> ConvGradients:
    """Return the gradients of a convolution."""
    out, padded, runs = _before_activation(conv)
    grad, taps, length = runs.take(grad), conv.weight.shape[1], out.shape[1]
    if conv.activation == "silu":
        grad = torch.ops.aten.silu_backward(grad, out)
    d_padded, d_weight = torch.zeros_like(padded), torch.empty_like(conv.weight)
    for k in range(taps):
        d_padded[:, k : k + length].addcmul_(grad, conv.weight[:, k])
        d_weight[:, k] = (grad * padded[:, k : k + length]).sum((0, 1))
    d_start = None
    if conv.initial_state is not None:
        d_start = torch.zeros_like(conv.initial_state)
        d_start[..., 1:] = d_padded[:, : taps - 1].transpose(1, 2)
    d_bias = None if conv.bias is None else grad.sum((0, 1))
    return ConvGradients(runs.give(d_padded[:, taps - 1 :]), d_weight, d_bias, d_start)


def _before_activation(conv: Conv) -> tuple[Tensor, Tensor, Runs]:
    """Return the weighted sum (S, T, E), the rows with what lies before them, and the runs."""
    runs = runs_of(conv.x, conv.lengths, conv.cu_seqlens, conv.mask, conv.reverse)
    x, taps = runs.take(conv.x), conv.weight.shape[1]  # (S, T, E)
    before = x.new_zeros(x.shape[0], taps - 1, x.shape[2])
    if conv.initial_state is not None:
        before = conv.initial_state[..., 1:].transpose(1, 2)
    length, padded = x.shape[1], torch.cat([before, x], 1)
    out = padded[:, :length] * conv.weight[:, 0]
    for k in range(1, taps):
        out.addcmul_(padded[:, k : k + length], conv.weight[:, k])
    return (out if conv.bias is None else out.add_(conv.bias)), padded, runs
