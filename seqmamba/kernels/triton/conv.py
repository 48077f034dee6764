"""Launches of the convolution kernels, forward and backward."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import triton
from torch import Tensor

from seqmamba.kernels.gpu.plan import ceil_div, launches
from seqmamba.kernels.problem import Conv, ConvGradients
from seqmamba.kernels.triton.conv_kernels import (
    ConvArguments,
    ConvSizes,
    conv_run,
    conv_slopes,
    conv_start,
)

__all__ = ["conv_backward", "conv_forward"]

TILE = (32, 64)  # tokens and channels of a program, at most


def conv_forward(convs: Sequence[Conv]) -> list[Tensor]:
    """Run convolutions, two of one form in a launch."""
    outs = [torch.empty(c.x.shape, dtype=c.x.dtype, device=c.x.device) for c in convs]
    for group in launches(convs, _is_empty):
        _launch(conv_run, [convs[i] for i in group], [outs[i] for i in group])
    return outs


def conv_backward(convs: Sequence[Conv], grads: Sequence[Tensor]) -> list[ConvGradients]:
    """Return the gradients of convolutions, two of one form in a launch.

    The gradient before the activation is kept in float32; the gradient of ``x`` is its
    convolution in the other direction.
    """
    slopes = [torch.empty(c.x.shape, dtype=torch.float32, device=c.x.device) for c in convs]
    parts = [_parts(conv) for conv in convs]
    for group in launches(convs, _is_empty):
        rooms = [(grads[i].contiguous(), slopes[i], parts[i]) for i in group]
        _launch(conv_slopes, [convs[i] for i in group], rooms)
    back = [
        replace(c, x=g, bias=None, initial_state=None, activation=None, reverse=not c.reverse)
        for c, g in zip(convs, slopes, strict=True)
    ]
    d_x = [torch.empty(c.x.shape, dtype=c.x.dtype, device=c.x.device) for c in convs]
    for group in launches(back, _is_empty):
        _launch(conv_run, [back[i] for i in group], [d_x[i] for i in group])
    return [_gradients(*each) for each in zip(convs, d_x, slopes, parts, strict=True)]


def _gradients(conv: Conv, d_x: Tensor, slopes: Tensor, parts: Tensor) -> ConvGradients:
    """Add up the parts of the gradients of parameters and differentiate the initial state."""
    total = parts.sum(0).to(conv.weight.dtype)  # (W + 1, E)
    start = conv.initial_state
    if start is not None:
        start = torch.zeros(start.shape, dtype=start.dtype, device=start.device)
        if start.numel() and conv.x.numel():
            _launch_start(conv, slopes, start)
    bias = None if conv.bias is None else total[-1]
    return ConvGradients(d_x, total[:-1].t().contiguous(), bias, start)


def _launch(kernel: Any, convs: Sequence[Conv], rooms: Sequence[Any]) -> None:
    conv = convs[0]
    batch, length, width = conv.x.shape
    tokens, block = _tile(conv)
    programs = len(convs) * batch * ceil_div(length, tokens) * ceil_div(width, block)
    with torch.cuda.device_of(conv.x):
        kernel[(programs,)](
            _arguments(conv),
            _arguments(convs[-1]),
            rooms[0],
            rooms[-1],
            ConvSizes(batch, length, width),
            FIRST_REVERSE=conv.reverse,
            SECOND_REVERSE=convs[-1].reverse,
            SILU=conv.activation == "silu",
            TAPS=conv.weight.shape[1],
            TOKENS=tokens,
            BLOCK=block,
            num_warps=4,
        )


def _launch_start(conv: Conv, slopes: Tensor, start: Tensor) -> None:
    taps, width = conv.weight.shape[1], conv.x.shape[2]
    block = _tile(conv)[1]
    with torch.cuda.device_of(conv.x):
        conv_start[(start.shape[0] * ceil_div(width, block),)](
            _arguments(conv),
            slopes,
            start,
            ConvSizes(*conv.x.shape),
            REVERSE=conv.reverse,
            TAPS=taps,
            PLACES=triton.next_power_of_2(taps),
            BLOCK=block,
            num_warps=1,
        )


def _parts(conv: Conv) -> Tensor:
    """Return room for each tile's part of the gradients of weight and bias."""
    batch, length, width = conv.x.shape
    tiles = 0 if _is_empty(conv) else batch * ceil_div(length, _tile(conv)[0])
    return torch.empty(
        (tiles, conv.weight.shape[1] + 1, width), dtype=torch.float32, device=conv.x.device
    )


def _tile(conv: Conv) -> tuple[int, int]:
    _, length, width = conv.x.shape
    most = zip((length, width), TILE, strict=True)
    tokens, channels = (min(triton.next_power_of_2(size), limit) for size, limit in most)
    return tokens, channels


def _is_empty(conv: Conv) -> bool:
    return conv.x.numel() == 0 or (conv.cu_seqlens is not None and conv.cu_seqlens.shape[0] < 2)


def _arguments(conv: Conv) -> ConvArguments:
    initial, borders, segments = conv.initial_state, conv.cu_seqlens, None
    if borders is not None:
        tokens = torch.arange(conv.x.shape[1], dtype=torch.int32, device=conv.x.device)
        segments = torch.searchsorted(borders, tokens, right=True, out_int32=True) - 1
    return ConvArguments(
        x=conv.x,
        weight=conv.weight,
        bias=conv.bias,
        initial=initial,
        lengths=conv.lengths,
        borders=borders,
        segments=segments,
        mask=conv.mask,
        x_row=conv.x.stride(0),
        x_token=conv.x.stride(1),
        weight_channel=conv.weight.stride(0),
        initial_run=0 if initial is None else initial.stride(0),
        initial_channel=0 if initial is None else initial.stride(1),
    )
