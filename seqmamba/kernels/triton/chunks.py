"""Kernels that let the chunks of a long run advance side by side."""

import triton
import triton.language as tl

from seqmamba.kernels.triton.tokens import (
    LOG2E,
    chunk_slot,
    locate,
    matrix_B,
    matrix_C,
    read_adjoint,
    read_parameters,
    read_token,
    read_wide,
    run_bounds,
    slot_tile,
    tile_of,
)

__all__ = ["carry_chunks", "end_states"]


@triton.jit(do_not_specialize=["unit"])
def end_states(
    first,
    second,
    first_room,
    second_room,
    sizes,
    unit,
    FIRST_REVERSE: tl.constexpr,
    SECOND_REVERSE: tl.constexpr,
    N: tl.constexpr,
    N_BLOCK: tl.constexpr,
    BLOCK: tl.constexpr,
    GROUPS: tl.constexpr,
    SOFTPLUS: tl.constexpr,
    CONSTANT_B: tl.constexpr,
    CONSTANT_C: tl.constexpr,
    ADJOINT: tl.constexpr,
):
    """Run every chunk from a state of zero: its end state and its sum of steps.

    With ADJOINT the tokens run the other way round and ``C_t dy_t`` takes the place of
    ``step_t u_t B_t``: what a chunk hands to the one before it.
    """
    scan, run, chunk, group, block, channels, inside = locate(sizes, BLOCK, GROUPS)
    p = first
    room = first_room
    reverse = tl.where(scan == 1, SECOND_REVERSE, FIRST_REVERSE) != 0
    if scan == 1:
        p = second
        room = second_room
    row, start, count = run_bounds(p, run, sizes)
    begin = chunk.to(tl.int64) * sizes.chunk
    end = tl.minimum(begin + sizes.chunk, count)
    place = (row, start, count, end, reverse, group, channels, inside)
    deep, wide, there = tile_of(channels, inside, unit, N, N_BLOCK)
    A, B, C, D = read_parameters(p, channels, inside, deep, wide, there, CONSTANT_B, CONSTANT_C)
    h = tl.zeros((N_BLOCK, BLOCK), tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    for i in range(begin, end):
        order = i
        if ADJOINT:
            order = begin + end - 1 - i
        token, u, step, slope, takes, is_real = read_token(p, place, order, sizes, SOFTPLUS)
        decay = tl.exp2(A * step[None, :])
        total += step
        if ADJOINT:
            C_t = matrix_C(p, place, token, is_real, C, N, CONSTANT_C)
            dy, given, gate_slope = read_adjoint(p, room.d_out, place, token, takes, sizes)
            h = decay * (C_t * dy[None, :] + h)
        else:
            B_t = matrix_B(p, place, token, is_real, B, N, CONSTANT_B)
            h = decay * h + B_t * (step * u)[None, :]
    slot = chunk_slot(p, run, start, sizes) + chunk
    if (begin < count) | (chunk == 0):
        tl.store(room.starts + slot_tile(slot, deep, wide, sizes, N), h, mask=there)
        tl.store(room.sums + slot * sizes.width + channels, total, mask=inside)


@triton.jit(do_not_specialize=["unit"])
def carry_chunks(
    first,
    second,
    first_room,
    second_room,
    sizes,
    unit,
    N: tl.constexpr,
    N_BLOCK: tl.constexpr,
    BLOCK: tl.constexpr,
    GROUPS: tl.constexpr,
    ADJOINT: tl.constexpr,
):
    """Turn end states from zero into the states before each chunk (after it with ADJOINT)."""
    scan, run, chunk, group, block, channels, inside = locate(sizes, BLOCK, GROUPS)
    p = first
    room = first_room
    if scan == 1:
        p = second
        room = second_room
    row, start, count = run_bounds(p, run, sizes)
    deep, wide, there = tile_of(channels, inside, unit, N, N_BLOCK)
    A = read_wide(p.A, p.A_channel, deep, wide, there) * LOG2E
    h = tl.where(there, 0.0, 0.0)
    if room.start is not None:
        at = (run * sizes.width + wide) * N + deep
        h = tl.load(room.start + at, mask=there, other=0)
    slot = chunk_slot(p, run, start, sizes)
    chunks = tl.maximum(tl.cdiv(count, sizes.chunk), 1)
    for i in range(chunks):
        k = i
        if ADJOINT:
            k = chunks - 1 - i
        at = slot_tile(slot + k, deep, wide, sizes, N)
        pulse = tl.load(room.starts + at, mask=there, other=0)
        total = tl.load(room.sums + (slot + k) * sizes.width + channels, mask=inside, other=0)
        tl.store(room.starts + at, h, mask=there)
        h = tl.exp2(A * total[None, :]) * h + pulse
