"""Forward and backward convolutions as launches of kernels: the same steps for both back-ends."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from seqmamba.kernels.gpu.arguments import ConvSizes, SlopesRoom, conv_arguments
from seqmamba.kernels.gpu.plan import ceil_div, launches
from seqmamba.kernels.problem import Conv, ConvGradients

__all__ = ["ConvEngine", "ConvKernels", "conv_backward", "conv_forward"]


class ConvKernels(Protocol):
    """A back-end's way to start ``conv_run``, ``conv_slopes`` and ``conv_start``."""

    def __call__(
        self,
        kernel: str,
        programs: int,
        arguments: Sequence[Any],
        rooms: Sequence[Any],
        sizes: ConvSizes,
        tile: tuple[int, int],
        **options: Any,
    ) -> None:
        """Start a kernel over tiles (tokens, channels); see ``ScanKernels``."""


@dataclass(frozen=True, slots=True)
class ConvEngine:
    """What a back-end brings: its kernels and the tile of a program."""

    launch: ConvKernels
    tokens: int
    channels: int

    def run(self, kernel: str, convs: Sequence[Conv], rooms: Sequence[Any], tokens: int) -> None:
        """Launch a kernel over tiles of so many tokens of all rows of all convolutions."""
        conv = convs[0]
        batch, length, width = conv.x.shape
        programs = len(convs) * ceil_div(width, self.channels)
        if kernel == "conv_start":  # once per run
            programs *= batch if conv.cu_seqlens is None else conv.cu_seqlens.shape[0] - 1
        else:
            programs *= batch * ceil_div(length, tokens)
        with torch.cuda.device_of(conv.x):  # type: ignore[no-untyped-call]  # torch leaves it so
            self.launch(
                kernel,
                programs,
                [conv_arguments(conv) for conv in convs],
                rooms,
                ConvSizes(batch, length, width),
                (tokens, self.channels),
                FIRST_REVERSE=conv.reverse,
                SECOND_REVERSE=convs[-1].reverse,
                SILU=conv.activation == "silu",
                TAPS=conv.weight.shape[1],
            )


def conv_forward(engine: ConvEngine, convs: Sequence[Conv]) -> list[Tensor]:
    """Run convolutions, two of one form in a launch."""
    outs = [torch.empty(c.x.shape, dtype=c.weight.dtype, device=c.x.device) for c in convs]
    for group in launches(convs, _is_empty):
        rooms = [(outs[i],) for i in group]
        engine.run("conv_run", [convs[i] for i in group], rooms, engine.tokens)
    return outs


def conv_backward(
    engine: ConvEngine, convs: Sequence[Conv], grads: Sequence[Tensor]
) -> list[ConvGradients]:
    """Return the gradients of convolutions, two of one form in a launch.

    The gradient before the activation is kept in float32; the gradient of ``x`` is its
    convolution in the other direction.
    """
    rooms = [_slopes_room(engine, *pair) for pair in zip(convs, grads, strict=True)]
    for group in launches(convs, _is_empty):
        chosen = [rooms[i] for i in group]
        engine.run("conv_slopes", [convs[i] for i in group], chosen, engine.tokens)
    back = [
        replace(
            c, x=x.slopes, bias=None, initial_state=None, activation=None, reverse=not c.reverse
        )
        for c, x in zip(convs, rooms, strict=True)
    ]
    d_x = conv_forward(engine, back)
    return [_gradients(engine, *each) for each in zip(convs, d_x, rooms, strict=True)]


def _slopes_room(engine: ConvEngine, conv: Conv, grad: Tensor) -> SlopesRoom:
    batch, length, width = conv.x.shape
    pieces = 0 if _is_empty(conv) else batch * ceil_div(length, engine.tokens)
    slopes = torch.empty(conv.x.shape, dtype=torch.float32, device=conv.x.device)
    parts = slopes.new_empty(pieces, conv.weight.shape[1] + 1, width)
    return SlopesRoom(grad.contiguous(), slopes, parts)


def _gradients(engine: ConvEngine, conv: Conv, d_x: Tensor, given: SlopesRoom) -> ConvGradients:
    """Add up the parts of the gradients of parameters and differentiate the initial state."""
    total = given.parts.sum(0).to(conv.weight.dtype)  # (W + 1, E)
    start = conv.initial_state
    if start is not None:
        start = torch.zeros(start.shape, dtype=start.dtype, device=start.device)
        if not _is_empty(conv):
            engine.run("conv_start", [conv], [(given.slopes, start)], engine.tokens)
    bias = None if conv.bias is None else total[-1]
    return ConvGradients(d_x, total[:-1].t().contiguous(), bias, start)


def _is_empty(conv: Conv) -> bool:
    return conv.x.numel() == 0 or (conv.cu_seqlens is not None and conv.cu_seqlens.shape[0] < 2)
