"""Device functions of the scan kernels: where a token lies, what is read there, its step.

Tiles are (N, channels): a warp has its lanes along the channels, so that rows of u, delta and z
are read in one piece and sums over the states stay inside a thread.
"""

import triton
import triton.language as tl

__all__ = ["LOG2E", "checkpoint_slot", "chunk_slot"]
__all__ += ["initial_state", "locate", "matrix_B", "matrix_C", "read_adjoint", "read_gate"]
__all__ += [
    "read_parameters",
    "read_token",
    "read_wide",
    "run_bounds",
    "slot_tile",
    "softplus_slope",
]
__all__ += ["tile_of"]

LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def locate(sizes, BLOCK: tl.constexpr, GROUPS: tl.constexpr):
    """Return scan, run, chunk, group, block of the group, channels and which of them exist."""
    blocks = tl.cdiv(sizes.group_width, BLOCK)
    place = tl.program_id(0)
    block = place % blocks
    group = (place // blocks) % GROUPS
    place = place // (blocks * GROUPS)
    chunk = place % sizes.chunks
    place = place // sizes.chunks
    run = (place % sizes.runs).to(tl.int64)
    channel = block * BLOCK + tl.arange(0, BLOCK)
    inside = channel < sizes.group_width
    return (
        place // sizes.runs,
        run,
        chunk,
        group,
        block,
        group * sizes.group_width + channel,
        inside,
    )


@triton.jit
def run_bounds(p, run, sizes):
    """Return row, first token and number of tokens of a run."""
    row = run
    start = run * 0
    count = start + sizes.length
    if p.borders is not None:
        row = run * 0
        start = tl.load(p.borders + run).to(tl.int64)
        count = tl.load(p.borders + run + 1).to(tl.int64) - start
    if p.lengths is not None:
        count = tl.load(p.lengths + run).to(tl.int64)
    return row, start, count


@triton.jit
def chunk_slot(p, run, start, sizes):
    """Return where the first chunk of a run lies in an array of chunks."""
    if p.borders is not None:
        return start // sizes.chunk + run
    else:
        return run * tl.cdiv(sizes.length, sizes.chunk)


@triton.jit
def checkpoint_slot(p, run, start, sizes, CHECKPOINT: tl.constexpr):
    """Return where the state before piece 0 of a run would lie; that of piece 1 is the first."""
    if p.borders is not None:
        return start // CHECKPOINT - 1
    else:
        return run * (tl.maximum(tl.cdiv(sizes.length, CHECKPOINT), 1) - 1) - 1


@triton.jit
def initial_state(p, run, deep, wide, there):
    """Return the state that a run starts from."""
    h = tl.where(there, 0.0, 0.0)
    if p.initial is not None:
        place = run * p.initial_run + wide * p.initial_channel + deep
        h = tl.load(p.initial + place, mask=there, other=0)
    return h


@triton.jit
def softplus_slope(x):
    """Return softplus and its derivative, both to full relative precision.

    log(1 + e) is 2 artanh(e / (2 + e)): the fast logarithm of the device loses small e.
    """
    e = tl.exp(-tl.abs(x))
    s = e / (2.0 + e)
    q = s * s
    series = 1.0 / 11 + q * (1.0 / 13 + q * (1.0 / 15))
    series = 1.0 / 5 + q * (1.0 / 7 + q * (1.0 / 9 + q * series))
    step = tl.maximum(x, 0.0) + 2.0 * s * (1.0 + q * (1.0 / 3 + q * series))
    slope = tl.where(x >= 0, 1.0, e) / (1.0 + e)
    return step, slope


@triton.jit
def read_token(p, place, order, sizes, SOFTPLUS: tl.constexpr):
    """Return token, u, step, its slope, which channels take part, and if the token is a real one.

    ``place`` is (row, start, count, end, reverse, group, channels, inside): the token is number
    ``order`` of a run in scan order. What is not there is zero.
    """
    row, start, count, end, reverse, group, channels, inside = place
    token = start + tl.where(reverse, count - 1 - order, order)
    is_real = order < end
    if p.mask is not None:
        kept = tl.load(p.mask + row * sizes.length + token, mask=is_real, other=0)
        is_real = is_real & (kept != 0)
    takes = inside & is_real
    u = tl.load(p.u + row * p.u_row + token * p.u_token + channels, mask=takes, other=0)
    raw = p.delta + row * p.delta_row + token * p.delta_token + channels
    step = tl.load(raw, mask=takes, other=0).to(tl.float32)
    if p.bias is not None:
        step += tl.load(p.bias + channels, mask=inside, other=0)
    if SOFTPLUS:
        step, slope = softplus_slope(step)
    else:
        slope = step * 0 + 1
    step = tl.where(takes, step, 0.0)
    return token, u.to(tl.float32), step, tl.where(takes, slope, 0.0), takes, is_real


@triton.jit
def read_gate(p, row, token, channels, takes):
    """Return z and its logistic function."""
    z = tl.load(p.z + row * p.z_row + token * p.z_token + channels, mask=takes, other=0)
    z = z.to(tl.float32)
    return z, tl.sigmoid(z)


@triton.jit
def read_adjoint(p, d_out, place, token, takes, sizes):
    """Return the gradient of y before the gate, that of out, and the slope of the gate."""
    row, channels = place[0], place[6]
    dy = tl.load(
        d_out + (row * sizes.length + token) * sizes.width + channels, mask=takes, other=0
    ).to(tl.float32)
    given = dy
    slope = dy * 0
    if p.z is not None:
        z, logistic = read_gate(p, row, token, channels, takes)
        slope = logistic * (1 + z * (1 - logistic))
        dy *= z * logistic
    return dy, given, slope


@triton.jit
def matrix_B(p, place, token, is_real, wide_B, N: tl.constexpr, CONSTANT: tl.constexpr):
    """Return B of a token, (N, 1), or the constant tile."""
    if CONSTANT:
        return wide_B
    else:
        states = tl.arange(0, wide_B.shape[0])
        at = p.B + place[0] * p.B_row + token * p.B_token + place[5] * p.B_group + states
        return tl.load(at, mask=is_real & (states < N), other=0).to(tl.float32)[:, None]


@triton.jit
def matrix_C(p, place, token, is_real, wide_C, N: tl.constexpr, CONSTANT: tl.constexpr):
    """Return C of a token, (N, 1), or the constant tile."""
    if CONSTANT:
        return wide_C
    else:
        states = tl.arange(0, wide_C.shape[0])
        at = p.C + place[0] * p.C_row + token * p.C_token + place[5] * p.C_group + states
        return tl.load(at, mask=is_real & (states < N), other=0).to(tl.float32)[:, None]


@triton.jit
def read_parameters(
    p, channels, inside, deep, wide, there, CONSTANT_B: tl.constexpr, CONSTANT_C: tl.constexpr
):
    """Return tiles of A (for powers of two), of constant B and C (else any tile), and D."""
    A = read_wide(p.A, p.A_channel, deep, wide, there) * LOG2E
    B = A
    C = A
    if CONSTANT_B:
        B = read_wide(p.B, p.B_row, deep, wide, there)
    if CONSTANT_C:
        C = read_wide(p.C, p.C_row, deep, wide, there)
    D = tl.where(inside, 0.0, 0.0)
    if p.D is not None:
        D = tl.load(p.D + channels, mask=inside, other=0)
    return A, B, C, D


@triton.jit
def tile_of(channels, inside, unit, N: tl.constexpr, N_BLOCK: tl.constexpr):
    """Return state and channel of each place of a tile, and which of them exist.

    ``unit`` is a one that the compiler does not know: else it would see the contiguous accesses
    to tiles, spread its lanes for their sake, and exchange data between lanes at every token.
    """
    deep = (tl.arange(0, N_BLOCK) * unit)[:, None]
    return deep, (channels * unit)[None, :], inside[None, :] & (deep < N)


@triton.jit
def read_wide(pointer, channel_stride, deep, wide, there):
    """Return a matrix (E, N) of parameters as a tile."""
    return tl.load(pointer + wide * channel_stride + deep, mask=there, other=0)


@triton.jit
def slot_tile(slot, deep, wide, sizes, N: tl.constexpr):
    """Return where the state of a piece lies in an array (pieces, N, E)."""
    return (slot * N + deep) * sizes.width + wide
