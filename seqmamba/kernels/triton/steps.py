"""One token of a scan and of a convolution; states are overwritten."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqmamba.kernels.gpu.plan import ceil_div
from seqmamba.kernels.problem import ConvStep, ScanStep
from seqmamba.kernels.triton.tokens import LOG2E, softplus_slope

__all__ = ["conv_step", "scan_step"]

BLOCK = 32  # channels of a program


def scan_step(step: ScanStep) -> Tensor:
    """Run one token of a scan for a batch. Returns out (B, E)."""
    batch, width = step.u.shape
    out = torch.empty((batch, width), dtype=step.u.dtype, device=step.u.device)
    if step.state.numel() == 0:
        return out.zero_()
    tensors = (step.state, step.u, step.delta, step.z, step.A, step.B, step.C, step.D)
    streams = (step.u, step.delta, step.u if step.z is None else step.z)
    strides = (*(t.stride(0) for t in (*streams, step.A)), *step.B.stride(), *step.C.stride())
    with torch.cuda.device_of(out):
        _scan_step[(batch * ceil_div(width, BLOCK),)](
            (*tensors, step.delta_bias),
            out,
            step.state.stride(),
            strides,
            width,
            N=step.A.shape[1],
            N_BLOCK=triton.next_power_of_2(step.A.shape[1]),
            BLOCK=BLOCK,
            GROUPS_B=0 if step.B.ndim == 2 else step.B.shape[1],
            GROUPS_C=0 if step.C.ndim == 2 else step.C.shape[1],
            SOFTPLUS=step.delta_softplus,
            num_warps=1,
        )
    return out


def conv_step(step: ConvStep) -> Tensor:
    """Run one token of a convolution for a batch. Returns out (B, E)."""
    batch, width = step.x.shape
    out = torch.empty((batch, width), dtype=step.x.dtype, device=step.x.device)
    if out.numel() == 0:
        return out
    with torch.cuda.device_of(out):
        _conv_step[(batch * ceil_div(width, BLOCK),)](
            (step.state, step.x, step.weight, step.bias),
            out,
            step.state.stride(),
            (step.x.stride(0), step.weight.stride(0)),
            width,
            TAPS=step.weight.shape[1],
            PLACES=triton.next_power_of_2(step.weight.shape[1]),
            BLOCK=BLOCK,
            SILU=step.activation == "silu",
            num_warps=1,
        )
    return out


@triton.jit
def _scan_step(
    tensors,
    out,
    state_strides,
    strides,
    width,
    N: tl.constexpr,
    N_BLOCK: tl.constexpr,
    BLOCK: tl.constexpr,
    GROUPS_B: tl.constexpr,
    GROUPS_C: tl.constexpr,
    SOFTPLUS: tl.constexpr,
):
    state_at, u_at, delta_at, z_at, A_at, B_at, C_at, D_at, bias_at = tensors
    u_row, delta_row, z_row, A_channel = strides[:4]
    row, channels, inside = _block(width, BLOCK)
    states = tl.arange(0, N_BLOCK)[:, None]
    there = inside[None, :] & (states < N)
    u = tl.load(u_at + row * u_row + channels, mask=inside, other=0).to(tl.float32)
    step = tl.load(delta_at + row * delta_row + channels, mask=inside, other=0).to(tl.float32)
    if bias_at is not None:
        step += tl.load(bias_at + channels, mask=inside, other=0)
    if SOFTPLUS:
        step, slope = softplus_slope(step)
    A = tl.load(A_at + channels[None, :] * A_channel + states, mask=there, other=0)
    B_strides = strides[4 : 7 if GROUPS_B > 0 else 6]
    C_strides = strides[7 if GROUPS_B > 0 else 6 :]
    B = _matrix(B_at, B_strides, row, channels, states, there, width, GROUPS_B)
    C = _matrix(C_at, C_strides, row, channels, states, there, width, GROUPS_C)
    place = state_at + row * state_strides[0] + channels[None, :] * state_strides[1]
    h = tl.load(place + states * state_strides[2], mask=there, other=0)
    h = tl.exp2(A * LOG2E * step[None, :]) * h + (step * u)[None, :] * B
    tl.store(place + states * state_strides[2], h, mask=there)
    y = tl.sum(h * C, 0)
    if D_at is not None:
        y += u * tl.load(D_at + channels, mask=inside, other=0)
    if z_at is not None:
        z = tl.load(z_at + row * z_row + channels, mask=inside, other=0).to(tl.float32)
        y *= z * tl.sigmoid(z)
    tl.store(out + row * width + channels, y, mask=inside)


@triton.jit
def _conv_step(
    tensors,
    out,
    state_strides,
    strides,
    width,
    TAPS: tl.constexpr,
    PLACES: tl.constexpr,
    BLOCK: tl.constexpr,
    SILU: tl.constexpr,
):
    state_at, x_at, weight_at, bias_at = tensors
    row, channels, inside = _block(width, BLOCK)
    places = tl.arange(0, PLACES)[:, None]
    there = inside[None, :] & (places < TAPS)
    x = tl.load(x_at + row * strides[0] + channels, mask=inside, other=0)
    place = state_at + row * state_strides[0] + channels[None, :] * state_strides[1]
    later = tl.load(
        place + (places + 1) * state_strides[2], mask=there & (places < TAPS - 1), other=0
    )
    state = tl.where(places == TAPS - 1, x[None, :], later)
    tl.debug_barrier()  # all old places are read before one is written
    tl.store(place + places * state_strides[2], state, mask=there)
    weight = weight_at + channels[None, :] * strides[1] + places
    weight = tl.load(weight, mask=there, other=0).to(tl.float32)
    sums = tl.sum(weight * state.to(tl.float32), 0)
    if bias_at is not None:
        sums += tl.load(bias_at + channels, mask=inside, other=0).to(tl.float32)
    if SILU:
        sums *= tl.sigmoid(sums)
    tl.store(out + row * width + channels, sums, mask=inside)


@triton.jit
def _block(width, BLOCK: tl.constexpr):
    """Return row, channels and which channels exist."""
    blocks = tl.cdiv(width, BLOCK)
    channels = (tl.program_id(0) % blocks) * BLOCK + tl.arange(0, BLOCK)
    return (tl.program_id(0) // blocks).to(tl.int64), channels, channels < width


@triton.jit
def _matrix(pointer, strides, row, channels, states, there, width, GROUPS: tl.constexpr):
    """Return B or C as a tile (N, channels); no groups stand for a constant matrix (E, N)."""
    if GROUPS == 0:
        place = channels[None, :] * strides[0] + states
    else:
        group = channels // (width // GROUPS)
        place = row * strides[0] + group[None, :] * strides[1] + states
    return tl.load(pointer + place, mask=there, other=0).to(tl.float32)
