"""Launches of the scan kernels, forward and backward."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import triton
from torch import Tensor

from seqmamba.kernels.gpu import room
from seqmamba.kernels.gpu.plan import ScanShape, ceil_div, chunk_length, launches, scan_shape
from seqmamba.kernels.problem import Gradients, Result, Scan
from seqmamba.kernels.triton.chunks import ChunkRoom, carry_chunks, end_states
from seqmamba.kernels.triton.scan_backward import BackwardRoom, scan_backward
from seqmamba.kernels.triton.scan_forward import ForwardRoom, scan_forward
from seqmamba.kernels.triton.tokens import ScanArguments, ScanSizes

__all__ = ["backward", "forward"]

FORWARD_TILE = 4  # tokens whose loads are under way at once
BACKWARD_TILE = 8  # tokens whose states stay in registers
CHECKPOINT = 16  # tokens between saved states


@dataclass(frozen=True, slots=True)
class Launch:
    """Scans of one form and how one kernel is laid out over them."""

    scans: list[Scan]
    shape: ScanShape
    block: int  # channels of a program
    warps: int
    chunk: int | None  # tokens, None if runs stay whole

    @property
    def blocks(self) -> int:
        """Blocks of channels per group."""
        return self.shape.blocks(self.block)

    @property
    def chunks(self) -> int:
        """Chunks per run."""
        return 1 if self.chunk is None else ceil_div(self.shape.length, self.chunk)

    def run(self, kernel: Any, rooms: Sequence[Any], chunks: int, **options: Any) -> None:
        """Launch a kernel over all chunks of all runs of all scans."""
        shape, scan = self.shape, self.scans[0]
        programs = len(self.scans) * shape.runs * shape.groups * self.blocks * chunks
        sizes = ScanSizes(
            length=shape.length,
            width=shape.width,
            group_width=shape.group_width,
            rows=shape.batch,
            runs=shape.runs,
            chunks=chunks,
            chunk=self.chunk or max(shape.length, 1),
        )
        with torch.cuda.device_of(scan.u):
            kernel[(programs,)](
                _arguments(scan),
                _arguments(self.scans[-1]),
                rooms[0],
                rooms[-1],
                sizes,
                1,
                N=shape.states,
                N_BLOCK=triton.next_power_of_2(shape.states),
                BLOCK=self.block,
                GROUPS=shape.groups,
                num_warps=self.warps,
                **options,
            )

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
        self.run(end_states, rooms, self.chunks, ADJOINT=adjoint, **_flags(self.scans))
        self.run(carry_chunks, rooms, 1, ADJOINT=adjoint)
        return [chunk_room.starts for chunk_room in rooms]


def forward(scans: Sequence[Scan], save: bool) -> list[Result]:
    """Run scans, two of one form in a launch."""
    results = []
    for scan in scans:
        shape = scan_shape(scan)
        last = scan.A.new_empty(shape.runs if scan.wants_last_state else 0, *scan.A.shape)
        saved = room.checkpoints(scan, shape, _checkpoint(scan)) if save else None
        out = torch.zeros_like(scan.u) if shape.is_empty else room.stream(scan.u, scan)
        results.append(Result(out, last, saved))
    for group in launches(scans, _is_empty):
        launch = _launch([scans[i] for i in group], most=32, per_thread=32)
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
        window = scans[group[0]].window
        launch.run(
            scan_forward,
            rooms,
            launch.chunks,
            WINDOW=window,
            TILE=max(FORWARD_TILE, window),
            CHECKPOINT=_checkpoint(scans[group[0]]),
            **_flags(launch.scans),
        )
    return results


def backward(
    scans: Sequence[Scan], results: Sequence[Result], grads: Sequence[tuple[Tensor, Tensor | None]]
) -> list[Gradients]:
    """Return the gradients of scans, two of one form in a launch."""
    gradients = [room.empty_gradients(scan) if _is_empty(scan) else None for scan in scans]
    for group in launches(scans, _is_empty):
        same = len({grads[i][1] is None for i in group}) == 1
        for piece in [group] if same else [(i,) for i in group]:
            launch = _launch([scans[i] for i in piece], most=16, per_thread=8)
            found = _backward(launch, [results[i] for i in piece], [grads[i] for i in piece])
            for i, partial in zip(piece, found, strict=True):
                gradients[i] = partial.add_up(scans[i])
    return [g for g in gradients if g is not None]


def _backward(
    launch: Launch, results: Sequence[Result], grads: Sequence[tuple[Tensor, Tensor | None]]
) -> list[room.Partials]:
    d_outs = [d_out.contiguous() for d_out, _ in grads]
    adjoints = launch.chunk_states([d_last for _, d_last in grads], d_outs)
    pieces = launch.shape.runs * launch.chunks
    found, rooms = [], []
    for i, scan in enumerate(launch.scans):
        partial = room.partials(scan, launch.shape, launch.blocks, pieces)
        d_last, fields = grads[i][1], partial
        found.append(partial)
        rooms.append(
            BackwardRoom(
                d_out=d_outs[i],
                d_last=None if d_last is None else d_last.contiguous(),
                checkpoints=results[i].saved,
                adjoints=adjoints[i],
                u=fields.u,
                delta=fields.delta,
                z=fields.z,
                B=fields.B,
                C=fields.C,
                parameters=fields.parameters,
                initial=fields.initial_state,
            )
        )
    window = launch.scans[0].window
    launch.run(
        scan_backward,
        rooms,
        launch.chunks,
        WINDOW=window,
        TILE=max(BACKWARD_TILE, window),
        CHECKPOINT=_checkpoint(launch.scans[0]),
        **_flags(launch.scans),
    )
    return found


def _is_empty(scan: Scan) -> bool:
    return scan_shape(scan).is_empty


def _checkpoint(scan: Scan) -> int:
    return max(CHECKPOINT, scan.window)


def _launch(scans: list[Scan], most: int, per_thread: int) -> Launch:
    """Lay a kernel out in blocks of ``most`` channels with so many states in each thread."""
    scan, shape = scans[0], scan_shape(scans[0])
    states = triton.next_power_of_2(shape.states)
    block = min(max(most, 256 // states), 32, triton.next_power_of_2(shape.group_width))
    warps = min(max(states * block // (32 * per_thread), 1), 16)
    programs = len(scans) * shape.runs * shape.groups * shape.blocks(block)
    chunk = chunk_length(shape, programs, _processors(scan.u), _checkpoint(scan))
    return Launch(scans, shape, block, warps, chunk)


def _processors(tensor: Tensor) -> int:
    if not tensor.is_cuda:  # the interpreter
        return 1
    return torch.cuda.get_device_properties(tensor.device).multi_processor_count


def _flags(scans: Sequence[Scan]) -> dict[str, Any]:
    """Return the options of the scans that kernels are compiled for."""
    return {
        "FIRST_REVERSE": scans[0].reverse,
        "SECOND_REVERSE": scans[-1].reverse,
        "SOFTPLUS": scans[0].delta_softplus,
        "CONSTANT_B": scans[0].B.ndim == 2,
        "CONSTANT_C": scans[0].C.ndim == 2,
    }


def _arguments(scan: Scan) -> ScanArguments:
    u_row, u_token, _ = scan.u.stride()
    delta_row, delta_token, _ = scan.delta.stride()
    z_row, z_token, _ = scan.u.stride() if scan.z is None else scan.z.stride()
    B, C, initial = scan.B.stride(), scan.C.stride(), scan.initial_state
    return ScanArguments(
        u=scan.u,
        delta=scan.delta,
        z=scan.z,
        A=scan.A,
        B=scan.B,
        C=scan.C,
        D=scan.D,
        bias=scan.delta_bias,
        initial=initial,
        lengths=scan.lengths,
        borders=scan.cu_seqlens,
        mask=scan.mask,
        u_row=u_row,
        u_token=u_token,
        delta_row=delta_row,
        delta_token=delta_token,
        z_row=z_row,
        z_token=z_token,
        A_channel=scan.A.stride(0),
        B_row=B[0],
        B_token=B[1],
        B_group=B[2] if len(B) == 4 else 0,
        C_row=C[0],
        C_token=C[1],
        C_group=C[2] if len(C) == 4 else 0,
        initial_run=0 if initial is None else initial.stride(0),
        initial_channel=0 if initial is None else initial.stride(1),
    )
