"""Kernel of the backward scan: states are run again from checkpoints, in registers.

Pieces of CHECKPOINT tokens are taken last to first. Each is cut into tiles: one run over the piece
finds the states before its tiles, then every tile keeps its states while its adjoints run back.
Gradients of B and C are summed over the block of channels, and those of parameters over the
tokens; the partial sums are added up in a fixed order afterwards.
"""

import triton
import triton.language as tl

from seqmamba.kernels.triton.tokens import (
    checkpoint_slot,
    chunk_slot,
    initial_state,
    locate,
    matrix_B,
    matrix_C,
    read_adjoint,
    read_parameters,
    read_token,
    run_bounds,
    slot_tile,
    tile_of,
)

__all__ = ["scan_backward"]

LN2 = tl.constexpr(0.6931471805599453)


@triton.jit(do_not_specialize=["unit"])
def scan_backward(
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
    """Differentiate one chunk of one run for one block of channels."""
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
    matrices = read_parameters(p, channels, inside, deep, wide, there, CONSTANT_B, CONSTANT_C)
    slot = checkpoint_slot(p, run, start, sizes, CHECKPOINT)
    behind = last_adjoint(p, room, run, chunk, start, sizes, deep, wide, there, N)
    zero = tl.zeros((N_BLOCK, BLOCK), tl.float32)
    row_zero = tl.zeros((BLOCK,), tl.float32)
    sums = (zero, zero, zero, row_zero, row_zero)  # gradients of A, constant B and C, D, bias
    TILES: tl.constexpr = CHECKPOINT // TILE
    number = tl.arange(0, TILES)[:, None, None]
    pieces = tl.cdiv(tl.maximum(end - begin, 0), CHECKPOINT)
    for i in range(pieces):
        piece = begin + (pieces - 1 - i) * CHECKPOINT
        h = initial_state(p, run, deep, wide, there)
        if piece > 0:
            at = slot_tile(slot + piece // CHECKPOINT, deep, wide, sizes, N)
            h = tl.load(room.checkpoints + at, mask=there, other=0)
        before_tiles = tl.zeros((TILES, N_BLOCK, BLOCK), tl.float32)
        for j in range(TILES):
            before_tiles = tl.where(number == j, h[None, :, :], before_tiles)
            for k in range(tl.where(j < TILES - 1, TILE, 0)):
                order = piece + j * TILE + k
                h = advance(p, place, matrices, h, order, sizes, N, SOFTPLUS, CONSTANT_B)
        for j in range(TILES):
            tile = piece + (TILES - 1 - j) * TILE
            h = tl.sum(tl.where(number == TILES - 1 - j, before_tiles, 0.0), 0)
            forward = tile_forward(
                p, room, place, matrices, h, tile, sizes,
                N, SOFTPLUS, CONSTANT_B, CONSTANT_C, WINDOW, TILE,
            )  # fmt: skip
            behind, sums = tile_backward(
                p, room, place, matrices, forward, behind, sums, tile, block, sizes,
                N, GROUPS, CONSTANT_B, CONSTANT_C, WINDOW, TILE,
            )  # fmt: skip
    rows: tl.constexpr = N * (1 + CONSTANT_B + CONSTANT_C) + 2
    first_row = (run * sizes.chunks + chunk) * rows
    at = room.parameters + (first_row + deep) * sizes.width + wide
    tl.store(at, sums[0], mask=there)
    if CONSTANT_B:
        tl.store(at + N * sizes.width, sums[1], mask=there)
    if CONSTANT_C:
        tl.store(at + (N * (1 + CONSTANT_B)) * sizes.width, sums[2], mask=there)
    at = room.parameters + (first_row + rows - 2) * sizes.width + channels
    tl.store(at, sums[3], mask=inside)
    tl.store(at + sizes.width, sums[4], mask=inside)
    if room.initial is not None:
        if chunk == 0:
            tl.store(room.initial + (run * sizes.width + wide) * N + deep, behind, mask=there)


@triton.jit
def last_adjoint(p, room, run, chunk, start, sizes, deep, wide, there, N: tl.constexpr):
    """Return the gradient of the state after a chunk."""
    behind = tl.where(there, 0.0, 0.0)
    if room.adjoints is not None:
        slot = chunk_slot(p, run, start, sizes) + chunk
        at = slot_tile(slot, deep, wide, sizes, N)
        behind = tl.load(room.adjoints + at, mask=there, other=0)
    elif room.d_last is not None:
        at = (run * sizes.width + wide) * N + deep
        behind = tl.load(room.d_last + at, mask=there, other=0)
    return behind


@triton.jit
def advance(
    p, place, matrices, h, order, sizes,
    N: tl.constexpr, SOFTPLUS: tl.constexpr, CONSTANT_B: tl.constexpr,
):  # fmt: skip
    """Return the state after one more token."""
    A, B, C, D = matrices
    token, u, step, slope, takes, is_real = read_token(p, place, order, sizes, SOFTPLUS)
    B_t = matrix_B(p, place, token, is_real, B, N, CONSTANT_B)
    return tl.exp2(A * step[None, :]) * h + (step * u)[None, :] * B_t


@triton.jit
def tile_forward(
    p, room, place, matrices, h, tile, sizes,
    N: tl.constexpr, SOFTPLUS: tl.constexpr, CONSTANT_B: tl.constexpr, CONSTANT_C: tl.constexpr,
    WINDOW: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """Return what the adjoints of a tile need of each token.

    These are: state before and after it, decay, the adjoint that reaches it from earlier tokens of
    its window, and what was read.
    """
    A, B, C, D = matrices
    forward = ()
    within = h * 0  # a S of the token before
    for k in tl.static_range(TILE):
        token, u, step, slope, takes, is_real = read_token(p, place, tile + k, sizes, SOFTPLUS)
        B_t = matrix_B(p, place, token, is_real, B, N, CONSTANT_B)
        decay = tl.exp2(A * step[None, :])
        before = h
        h = decay * h + (step * u)[None, :] * B_t
        reached = within
        if WINDOW > 1:
            if k % WINDOW == 0:
                within *= 0
            C_t = matrix_C(p, place, token, is_real, C, N, CONSTANT_C)
            dy, given, gate_slope = read_adjoint(p, room.d_out, place, token, takes, sizes)
            reached = within
            within = decay * (C_t * dy[None, :] + within)
        forward = forward + ((before, h, decay, reached, token, u, step, slope, takes, is_real),)
    return forward


@triton.jit
def tile_backward(
    p, room, place, matrices, forward, behind, sums, tile, block, sizes,
    N: tl.constexpr, GROUPS: tl.constexpr, CONSTANT_B: tl.constexpr, CONSTANT_C: tl.constexpr,
    WINDOW: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """Return the adjoint handed to the tile before and the sums with this tile in them."""
    A, B, C, D = matrices
    row, start, count, end, reverse, group, channels, inside = place
    d_A, d_B, d_C, d_D, d_bias = sums
    states = tl.arange(0, A.shape[0])
    ahead = behind * 0  # b of the next token of the window
    for k in tl.static_range(TILE - 1, -1, -1):
        before, h, decay, reached, token, u, step, slope, takes, is_real = forward[k]
        B_t = matrix_B(p, place, token, is_real, B, N, CONSTANT_B)
        C_t = matrix_C(p, place, token, is_real, C, N, CONSTANT_C)
        dy, given, gate_slope = read_adjoint(p, room.d_out, place, token, takes, sizes)
        behind += C_t * dy[None, :]  # F, the adjoint of f
        d_pulse = behind
        d_decay = behind * before
        if WINDOW > 1:
            if k % WINDOW == WINDOW - 1:
                ahead *= 0
            d_pulse = behind + reached
            d_decay += (reached + C_t * dy[None, :]) * ahead
            h += decay * ahead
            ahead = decay * ahead + (step * u)[None, :] * B_t
        d_decay *= decay
        behind *= decay
        q = tl.sum(d_pulse * B_t, 0)
        d_delta = (u * q + tl.sum(d_decay * A, 0) * LN2) * slope
        is_new = tile + k < end
        at = (row * sizes.length + token) * sizes.width + channels
        writes = inside & is_new
        tl.store(room.u + at, tl.where(takes, D * dy + step * q, 0.0), mask=writes)
        tl.store(room.delta + at, d_delta, mask=writes)
        if p.z is not None:
            d_z = given * gate_slope * (tl.sum(C_t * h, 0) + D * u)
            tl.store(room.z + at, tl.where(takes, d_z, 0.0), mask=writes)
        d_pulse *= (step * u)[None, :]
        h *= dy[None, :]
        at = ((block * sizes.rows + row) * sizes.length + token) * GROUPS + group
        if CONSTANT_B:
            d_B += d_pulse
        else:
            tl.store(room.B + at * N + states, tl.sum(d_pulse, 1), mask=is_new & (states < N))
        if CONSTANT_C:
            d_C += h
        else:
            tl.store(room.C + at * N + states, tl.sum(h, 1), mask=is_new & (states < N))
        d_A += d_decay * step[None, :]
        d_D += dy * u
        d_bias += d_delta
    return behind, (d_A, d_B, d_C, d_D, d_bias)
