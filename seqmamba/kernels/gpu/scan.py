"""Forward and backward scans as launches of kernels: the same steps for Triton and CUDA."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from seqmamba.kernels.gpu import room
from seqmamba.kernels.gpu.arguments import (
    BackwardRoom,
    ChunkRoom,
    ForwardRoom,
    ScanSizes,
    scan_arguments,
)
from seqmamba.kernels.gpu.plan import ScanShape, ceil_div, chunk_length, launches, scan_shape
from seqmamba.kernels.problem import Gradients, Result, Scan

__all__ = ["ScanEngine", "ScanKernels", "backward", "forward", "power_of_two"]


class ScanKernels(Protocol):
    """A back-end's way to start ``scan_forward``, ``scan_backward`` and the chunk kernels."""

    def __call__(
        self,
        kernel: str,
        programs: int,
        arguments: Sequence[Any],
        rooms: Sequence[Any],
        sizes: ScanSizes,
        block: int,
        **options: Any,
    ) -> None:
        """Start a kernel.

        Parameters
        ----------
        kernel : str
        programs : int
        arguments : sequence of ScanArguments
            One or two scans of one form.
        rooms : sequence of NamedTuple
            What the kernel writes, and reads beside the arguments, for each scan.
        sizes : ScanSizes
        block : int
            Channels of a program.
        **options
            Constants that the kernel is compiled for, in upper case.
        """


@dataclass(frozen=True, slots=True)
class ScanEngine:
    """What a back-end brings: its kernels and the sizes that suit them."""

    launch: ScanKernels
    forward_block: Callable[[int, int], int]  # channels of a program for states and tile
    backward_block: Callable[[int, int], int]
    checkpoint: int  # tokens between saved states
    forward_tile: int  # tokens whose loads are under way at once
    backward_tile: int  # tokens whose states stay in registers


@dataclass(frozen=True, slots=True)
class Launch:
    """Scans of one form and how kernels are laid out over them."""

    engine: ScanEngine
    scans: list[Scan]
    shape: ScanShape
    block: int  # channels of a program
    chunk: int | None  # tokens, None if runs stay whole

    @property
    def blocks(self) -> int:
        """Blocks of channels per group."""
        return self.shape.blocks(self.block)

    @property
    def chunks(self) -> int:
        """Chunks per run."""
        return 1 if self.chunk is None else ceil_div(self.shape.length, self.chunk)

    def run(self, kernel: str, rooms: Sequence[Any], chunks: int, **options: Any) -> None:
        """Launch a kernel over so many chunks of all runs of all scans."""
        shape, scan = self.shape, self.scans[0]
        sizes = ScanSizes(
            length=shape.length,
            width=shape.width,
            group_width=shape.group_width,
            rows=shape.batch,
            runs=shape.runs,
            chunks=chunks,
            chunk=self.chunk or max(shape.length, 1),
        )
        programs = len(self.scans) * shape.runs * chunks * shape.groups * self.blocks
        arguments = [scan_arguments(scan) for scan in self.scans]
        options |= {
            "FIRST_REVERSE": scan.reverse,
            "SECOND_REVERSE": self.scans[-1].reverse,
            "N": shape.states,
            "GROUPS": shape.groups,
            "SOFTPLUS": scan.delta_softplus,
            "CONSTANT_B": scan.B.ndim == 2,
            "CONSTANT_C": scan.C.ndim == 2,
        }
        with torch.cuda.device_of(scan.u):  # type: ignore[no-untyped-call]  # torch leaves it so
            self.engine.launch(kernel, programs, arguments, rooms, sizes, self.block, **options)

    def chunk_states(
        self, starts: Sequence[Tensor | None], d_outs: Sequence[Tensor] | None = None
    ) -> list[Tensor | None]:
        """Return the states before all chunks, or with ``d_outs`` the adjoints after them."""
        if self.chunk is None:
            return [None] * len(self.scans)
        shape, scan = self.shape, self.scans[0]
        slots = shape.slots(self.chunk, scan.cu_seqlens is not None)
        rooms = [
            ChunkRoom(
                starts=scan.A.new_empty(slots, shape.states, shape.width),
                sums=scan.A.new_empty(slots, shape.width),
                start=None if start is None else start.contiguous(),
                d_out=None if d_outs is None else d_outs[i],
            )
            for i, start in enumerate(starts)
        ]
        adjoint = d_outs is not None
        self.run("end_states", rooms, self.chunks, ADJOINT=adjoint)
        self.run("carry_chunks", rooms, 1, ADJOINT=adjoint)
        return [chunk_room.starts for chunk_room in rooms]


def forward(engine: ScanEngine, scans: Sequence[Scan], save: bool) -> list[Result]:
    """Run scans, two of one form in a launch."""
    results = []
    for scan in scans:
        shape = scan_shape(scan)
        runs = shape.runs if scan.wants_last_state else 0
        out = torch.zeros_like(scan.u) if shape.is_empty else room.stream(scan.u, scan)
        saved = room.checkpoints(scan, shape, _checkpoint(engine, scan)) if save else None
        results.append(Result(out, scan.A.new_empty(runs, *scan.A.shape), saved))
    for group in launches(scans, _is_empty):
        window = scans[group[0]].window
        tile, checkpoint = max(engine.forward_tile, window), max(engine.checkpoint, window)
        launch = _launch(engine, [scans[i] for i in group], engine.forward_block, tile)
        states = launch.chunk_states([scan.initial_state for scan in launch.scans])
        rooms = [
            ForwardRoom(
                out=results[i].out,
                last=results[i].last_state if scans[i].wants_last_state else None,
                checkpoints=results[i].saved,
                starts=starts,
            )
            for i, starts in zip(group, states, strict=True)
        ]
        launch.run(
            "scan_forward", rooms, launch.chunks, WINDOW=window, TILE=tile, CHECKPOINT=checkpoint
        )
    return results


def backward(
    engine: ScanEngine,
    scans: Sequence[Scan],
    results: Sequence[Result],
    grads: Sequence[tuple[Tensor, Tensor | None]],
) -> list[Gradients]:
    """Return the gradients of scans, two of one form in a launch."""
    found: dict[int, Gradients] = {}
    for group in launches(scans, _is_empty):
        same = len({grads[i][1] is None for i in group}) == 1
        for piece in [group] if same else [(i,) for i in group]:
            tile = max(engine.backward_tile, scans[piece[0]].window)
            launch = _launch(engine, [scans[i] for i in piece], engine.backward_block, tile)
            parts = _backward(launch, [results[i] for i in piece], [grads[i] for i in piece])
            found |= {i: part.add_up(scans[i]) for i, part in zip(piece, parts, strict=True)}
    return [found.get(i) or room.empty_gradients(scan) for i, scan in enumerate(scans)]


def _backward(
    launch: Launch, results: Sequence[Result], grads: Sequence[tuple[Tensor, Tensor | None]]
) -> list[room.Partials]:
    engine, scan = launch.engine, launch.scans[0]
    d_outs = [d_out.contiguous() for d_out, _ in grads]
    d_lasts = [None if d_last is None else d_last.contiguous() for _, d_last in grads]
    adjoints = launch.chunk_states(d_lasts, d_outs)
    pieces = launch.shape.runs * launch.chunks
    parts = [room.partials(scan, launch.shape, launch.blocks, pieces) for scan in launch.scans]
    rooms = [
        BackwardRoom(
            d_out=d_outs[i],
            d_last=d_lasts[i],
            checkpoints=results[i].saved,
            adjoints=adjoints[i],
            u=part.u,
            delta=part.delta,
            z=part.z,
            B=part.B,
            C=part.C,
            parameters=part.parameters,
            initial=part.initial_state,
        )
        for i, part in enumerate(parts)
    ]
    tile, checkpoint = max(engine.backward_tile, scan.window), _checkpoint(engine, scan)
    launch.run(
        "scan_backward", rooms, launch.chunks, WINDOW=scan.window, TILE=tile, CHECKPOINT=checkpoint
    )
    return parts


def _is_empty(scan: Scan) -> bool:
    return scan_shape(scan).is_empty


def _checkpoint(engine: ScanEngine, scan: Scan) -> int:
    return max(engine.checkpoint, scan.window)


def _launch(
    engine: ScanEngine, scans: list[Scan], block_of: Callable[[int, int], int], tile: int
) -> Launch:
    scan, shape = scans[0], scan_shape(scans[0])
    block = min(block_of(shape.states, tile), power_of_two(shape.group_width))
    programs = len(scans) * shape.runs * shape.groups * shape.blocks(block)
    chunk = chunk_length(shape, programs, _processors(scan.u), _checkpoint(engine, scan))
    return Launch(engine, scans, shape, block, chunk)


def power_of_two(size: int) -> int:
    """Return the least power of two that is not below a size."""
    return 1 << max(size - 1, 0).bit_length()


def _processors(tensor: Tensor) -> int:
    if not tensor.is_cuda:  # kernels are interpreted or emulated
        return 1
    return torch.cuda.get_device_properties(tensor.device).multi_processor_count
