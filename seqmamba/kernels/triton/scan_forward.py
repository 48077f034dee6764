"""Kernels of the forward scan: tokens one after the other, channels side by side."""

import triton
import triton.language as tl

from seqmamba.kernels.triton.tokens import (
    checkpoint_slot,
    chunk_slot,
    initial_state,
    locate,
    matrix_B,
    matrix_C,
    read_gate,
    read_parameters,
    read_token,
    run_bounds,
    slot_tile,
    tile_of,
)

__all__ = ["scan_forward"]


@triton.jit(do_not_specialize=["unit"])
def scan_forward(
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
    WINDOW: tl.constexpr,
    TILE: tl.constexpr,
    CHECKPOINT: tl.constexpr,
):
    """Run one chunk of one run for one block of channels."""
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
    if room.starts is not None:
        slot = chunk_slot(p, run, start, sizes) + chunk
        h = tl.load(room.starts + slot_tile(slot, deep, wide, sizes, N), mask=there, other=0)
    else:
        h = initial_state(p, run, deep, wide, there)
    slot = checkpoint_slot(p, run, start, sizes, CHECKPOINT)
    for tile in range(begin, end, TILE):
        if room.checkpoints is not None:
            if (tile % CHECKPOINT == 0) & (tile > 0):
                at = slot_tile(slot + tile // CHECKPOINT, deep, wide, sizes, N)
                tl.store(room.checkpoints + at, h, mask=there)
        forward = ()
        for k in tl.static_range(TILE):
            token, u, step, slope, takes, is_real = read_token(p, place, tile + k, sizes, SOFTPLUS)
            B_t = matrix_B(p, place, token, is_real, B, N, CONSTANT_B)
            decay = tl.exp2(A * step[None, :])
            pulse = (step * u)[None, :] * B_t
            h = decay * h + pulse
            forward = forward + ((h, decay, pulse, token, u, takes, is_real),)
        behind = tl.zeros((N_BLOCK, BLOCK), tl.float32)  # b of the next token
        for k in tl.static_range(TILE - 1, -1, -1):
            f, decay, pulse, token, u, takes, is_real = forward[k]
            if WINDOW > 1:
                if k % WINDOW == WINDOW - 1:
                    behind *= 0
                f += decay * behind
                behind = decay * behind + pulse
            C_t = matrix_C(p, place, token, is_real, C, N, CONSTANT_C)
            y = tl.sum(C_t * f, 0) + D * u
            if p.z is not None:
                z, logistic = read_gate(p, row, token, channels, takes)
                y *= z * logistic
            at = (row * sizes.length + token) * sizes.width + channels
            tl.store(room.out + at, tl.where(takes, y, 0.0), mask=inside & (tile + k < end))
    if room.last is not None:
        if (end == count) & ((begin < count) | (chunk == 0)):
            tl.store(room.last + (run * sizes.width + wide) * N + deep, h, mask=there)
