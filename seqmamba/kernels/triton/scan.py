"""Launches of the Triton kernels of scans."""

from collections.abc import Sequence
from typing import Any

import triton
from torch import Tensor

from seqmamba.kernels.gpu import scan
from seqmamba.kernels.gpu.arguments import ScanSizes
from seqmamba.kernels.problem import Gradients, Result, Scan
from seqmamba.kernels.triton.chunks import carry_chunks, end_states
from seqmamba.kernels.triton.scan_backward import scan_backward
from seqmamba.kernels.triton.scan_forward import scan_forward

__all__ = ["KERNELS", "backward", "forward"]

KERNELS = {
    "scan_forward": scan_forward,
    "scan_backward": scan_backward,
    "end_states": end_states,
    "carry_chunks": carry_chunks,
}
STATES_PER_THREAD = {"scan_backward": 8}  # it keeps them for every token of a tile
MOST_STATES_PER_THREAD = 32


def forward(scans: Sequence[Scan], save: bool) -> list[Result]:
    """Run scans, two of one form in a launch."""
    return scan.forward(ENGINE, scans, save)


def backward(
    scans: Sequence[Scan], results: Sequence[Result], grads: Sequence[tuple[Tensor, Tensor | None]]
) -> list[Gradients]:
    """Return the gradients of scans, two of one form in a launch."""
    return scan.backward(ENGINE, scans, results, grads)


def launch(
    kernel: str,
    programs: int,
    arguments: Sequence[Any],
    rooms: Sequence[Any],
    sizes: ScanSizes,
    block: int,
    **options: Any,
) -> None:
    """Start a kernel; see :class:`seqmamba.kernels.gpu.scan.ScanKernels`."""
    function = KERNELS[kernel]
    states = triton.next_power_of_2(options["N"])
    each = STATES_PER_THREAD.get(kernel, MOST_STATES_PER_THREAD)
    known = {name: value for name, value in options.items() if name in function.arg_names}
    function[(programs,)](
        arguments[0],
        arguments[-1],
        rooms[0],
        rooms[-1],
        sizes,
        1,
        N_BLOCK=states,
        BLOCK=block,
        num_warps=min(max(states * block // (32 * each), 1), 16),
        **known,
    )


def _forward_block(states: int, tile: int) -> int:
    """Return the channels of a forward program: a thread each, if its states fit."""
    del tile
    return 32 if states <= 64 else 16


def _backward_block(states: int, tile: int) -> int:
    """Return the channels of a backward program: two threads each for 16 states."""
    del tile
    return 32 if states <= 8 else 16


ENGINE = scan.ScanEngine(
    launch,
    _forward_block,
    _backward_block,
    checkpoint=16,
    forward_tile=4,
    backward_tile=8,
)
