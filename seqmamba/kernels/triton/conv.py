"""Launches of the Triton kernels of convolutions."""

from collections.abc import Sequence
from typing import Any

import triton
from torch import Tensor

from seqmamba.kernels.gpu import conv
from seqmamba.kernels.gpu.arguments import ConvSizes
from seqmamba.kernels.problem import Conv, ConvGradients
from seqmamba.kernels.triton.conv_kernels import conv_run, conv_slopes, conv_start

__all__ = ["KERNELS", "conv_backward", "conv_forward"]

KERNELS = {"conv_run": conv_run, "conv_slopes": conv_slopes, "conv_start": conv_start}


def conv_forward(convs: Sequence[Conv]) -> list[Tensor]:
    """Run convolutions, two of one form in a launch."""
    return conv.conv_forward(ENGINE, convs)


def conv_backward(convs: Sequence[Conv], grads: Sequence[Tensor]) -> list[ConvGradients]:
    """Return the gradients of convolutions, two of one form in a launch."""
    return conv.conv_backward(ENGINE, convs, grads)


def launch(
    kernel: str,
    programs: int,
    arguments: Sequence[Any],
    rooms: Sequence[Any],
    sizes: ConvSizes,
    tile: tuple[int, int],
    **options: Any,
) -> None:
    """Start a kernel; see :class:`seqmamba.kernels.gpu.conv.ConvKernels`."""
    known = options | {"TOKENS": tile[0], "PLACES": triton.next_power_of_2(options["TAPS"])}
    function = KERNELS[kernel]
    function[(programs,)](
        arguments[0],
        arguments[-1],
        rooms[0],
        rooms[-1],
        sizes,
        BLOCK=tile[1],
        num_warps=4,
        **{name: value for name, value in known.items() if name in function.arg_names},
    )


ENGINE = conv.ConvEngine(launch, tokens=32, channels=64)
