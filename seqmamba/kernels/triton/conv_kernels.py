"""Kernels of the causal convolution: every token of every channel at once.

Tiles are (tokens, channels). A tap outside the run of its token is zero or lies in the initial
state.
"""

import triton
import triton.language as tl

__all__ = ["conv_run", "conv_slopes", "conv_start"]


@triton.jit
def conv_run(
    first,
    second,
    first_room,
    second_room,
    sizes,
    FIRST_REVERSE: tl.constexpr,
    SECOND_REVERSE: tl.constexpr,
    SILU: tl.constexpr,
    TAPS: tl.constexpr,
    TOKENS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write the convolution of a tile, zero at padding."""
    call, row, piece, tokens, channels, there = conv_tile(sizes, TOKENS, BLOCK)
    p = first
    out = first_room[0]
    reverse = tl.where(call == 1, SECOND_REVERSE, FIRST_REVERSE) != 0
    if call == 1:
        p = second
        out = second_room[0]
    run, low, high = conv_bounds(p, row, tokens, sizes)
    keep = conv_keep(p, row, tokens, low, high, sizes)
    sums = conv_sums(p, row, run, tokens, low, high, channels, there, reverse, sizes, TAPS)
    if SILU:
        sums *= tl.sigmoid(sums)
    place = (row * sizes.length + tokens) * sizes.width + channels
    tl.store(out + place, tl.where(keep, sums, 0.0), mask=there)


@triton.jit
def conv_slopes(
    first,
    second,
    first_room,
    second_room,
    sizes,
    FIRST_REVERSE: tl.constexpr,
    SECOND_REVERSE: tl.constexpr,
    SILU: tl.constexpr,
    TAPS: tl.constexpr,
    TOKENS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write the gradient before the activation and the tile's part of those of the parameters."""
    call, row, piece, tokens, channels, there = conv_tile(sizes, TOKENS, BLOCK)
    p = first
    d_out, slopes, parts = first_room
    reverse = tl.where(call == 1, SECOND_REVERSE, FIRST_REVERSE) != 0
    if call == 1:
        p = second
        d_out, slopes, parts = second_room
    run, low, high = conv_bounds(p, row, tokens, sizes)
    keep = conv_keep(p, row, tokens, low, high, sizes)
    place = (row * sizes.length + tokens) * sizes.width + channels
    g = tl.load(d_out + place, mask=there & keep, other=0).to(tl.float32)
    if SILU:
        sums = conv_sums(p, row, run, tokens, low, high, channels, there, reverse, sizes, TAPS)
        logistic = tl.sigmoid(sums)
        g *= logistic * (1 + sums * (1 - logistic))
        g = tl.where(keep, g, 0.0)
    tl.store(slopes + place, g, mask=there)
    channel = tl.max(channels, 0)  # (BLOCK,)
    line = parts + piece * (TAPS + 1) * sizes.width + channel
    for k in tl.static_range(TAPS):
        x = conv_tap(p, row, run, tokens, low, high, channels, there, reverse, sizes, TAPS, k)
        tl.store(line + k * sizes.width, tl.sum(g * x, 0), mask=channel < sizes.width)
    tl.store(line + TAPS * sizes.width, tl.sum(g, 0), mask=channel < sizes.width)


@triton.jit
def conv_start(
    p,
    _,
    first_room,
    second_room,
    sizes,
    FIRST_REVERSE: tl.constexpr,
    TAPS: tl.constexpr,
    PLACES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write the gradient of the initial state of a run: place j is read by tokens before j."""
    slopes, d_initial = first_room
    blocks = tl.cdiv(sizes.width, BLOCK)
    run = (tl.program_id(0) // blocks).to(tl.int64)
    channels = (tl.program_id(0) % blocks) * BLOCK + tl.arange(0, BLOCK)
    inside = channels < sizes.width
    row = run
    low = run * 0
    high = low + sizes.length
    if p.borders is not None:
        row = run * 0
        low = tl.load(p.borders + run).to(tl.int64)
        high = tl.load(p.borders + run + 1).to(tl.int64)
    if p.lengths is not None:
        high = tl.load(p.lengths + run).to(tl.int64)
    places = tl.arange(0, PLACES)
    total = tl.zeros((PLACES, BLOCK), tl.float32)
    for t in tl.static_range(TAPS - 1):
        token = high - 1 - t if FIRST_REVERSE else low + t
        place = (row * sizes.length + token) * sizes.width + channels
        g = tl.load(slopes + place, mask=inside & (low + t < high), other=0)
        tap = places[:, None] - 1 - t
        weight = p.weight + channels[None, :] * p.weight_channel + tap
        reads = (tap >= 0) & (places[:, None] < TAPS) & inside[None, :]
        total += tl.load(weight, mask=reads, other=0).to(tl.float32) * g[None, :]
    place = (run * sizes.width + channels[None, :]) * TAPS + places[:, None]
    tl.store(d_initial + place, total, mask=inside[None, :] & (places < TAPS)[:, None])


@triton.jit
def conv_tile(sizes, TOKENS: tl.constexpr, BLOCK: tl.constexpr):
    """Return call, row, piece (row and tile), tokens (T, 1), channels (1, E), which exist."""
    blocks = tl.cdiv(sizes.width, BLOCK)
    tiles = tl.cdiv(sizes.length, TOKENS)
    channels = (tl.program_id(0) % blocks) * BLOCK + tl.arange(0, BLOCK)[None, :]
    place = tl.program_id(0) // blocks
    tokens = (place % tiles) * TOKENS + tl.arange(0, TOKENS)[:, None]
    piece = (place % (tiles * sizes.rows)).to(tl.int64)
    there = (tokens < sizes.length) & (channels < sizes.width)
    return place // (tiles * sizes.rows), piece // tiles, piece, tokens, channels, there


@triton.jit
def conv_bounds(p, row, tokens, sizes):
    """Return the run of each token and the first token of the run and the one after its last."""
    run = row + tokens * 0
    low = run * 0
    high = low + sizes.length
    if p.borders is not None:
        run = tl.load(p.segments + tokens, mask=tokens < sizes.length, other=0).to(tl.int64)
        low = tl.load(p.borders + run).to(tl.int64)
        high = tl.load(p.borders + run + 1).to(tl.int64)
    if p.lengths is not None:
        high = low + tl.load(p.lengths + row)
    return run, low, high


@triton.jit
def conv_keep(p, row, place, low, high, sizes):
    """Say which places hold tokens of the run."""
    keep = (place >= low) & (place < high)
    if p.mask is not None:
        kept = tl.load(p.mask + row * sizes.length + place, mask=keep, other=0)
        keep = keep & (kept != 0)
    return keep


@triton.jit
def conv_sums(
    p, row, run, tokens, low, high, channels, there, reverse, sizes, TAPS: tl.constexpr
):  # fmt: skip
    """Return the convolution before the activation."""
    inside = channels < sizes.width
    sums = there * 0.0
    if p.bias is not None:
        sums += tl.load(p.bias + channels, mask=inside, other=0).to(tl.float32)
    for k in tl.static_range(TAPS):
        x = conv_tap(p, row, run, tokens, low, high, channels, there, reverse, sizes, TAPS, k)
        weight = p.weight + channels * p.weight_channel + k
        sums += x * tl.load(weight, mask=inside, other=0).to(tl.float32)
    return sums


@triton.jit
def conv_tap(
    p, row, run, tokens, low, high, channels, there, reverse, sizes, TAPS: tl.constexpr,
    k: tl.constexpr,
):  # fmt: skip
    """Return what tap k reads at each token."""
    back = TAPS - 1 - k
    place = tokens + tl.where(reverse, back, -back)
    reads = there & conv_keep(p, row, place, low, high, sizes)
    x = tl.load(p.x + row * p.x_row + place * p.x_token + channels, mask=reads, other=0)
    x = x.to(tl.float32)
    if p.initial is not None:
        beyond = tl.where(reverse, place - high + 1, low - place)  # places before the run
        reads = there & (beyond > 0) & (tokens >= low) & (tokens < high)
        state = run * p.initial_run + channels * p.initial_channel + TAPS - beyond
        x += tl.load(p.initial + state, mask=reads, other=0).to(tl.float32)
    return x
