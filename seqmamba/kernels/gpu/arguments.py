"""What the kernels of a GPU are called with, in the order in which they read it.

A field is a tensor, None for one that is not there, or an integer: Triton takes the tuples as they
are, and ``kernels/cuda`` declares structures with the same fields.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from seqmamba.kernels.problem import Conv, Scan

__all__ = [
    "BackwardRoom",
    "ChunkRoom",
    "ConvArguments",
    "ConvSizes",
    "ForwardRoom",
    "ScanArguments",
]
__all__ += ["ScanSizes", "SlopesRoom", "conv_arguments", "scan_arguments"]


class ScanArguments(NamedTuple):
    """Tensors of one scan and strides in elements; None is a tensor that is not there."""

    u: Tensor
    delta: Tensor
    z: Tensor | None
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    bias: Tensor | None
    initial: Tensor | None  # (S, E, N)
    lengths: Tensor | None
    borders: Tensor | None  # cu_seqlens
    mask: Tensor | None
    u_row: int
    u_token: int
    delta_row: int
    delta_token: int
    z_row: int
    z_token: int
    A_channel: int
    B_row: int  # of a constant B: its stride over channels
    B_token: int
    B_group: int
    C_row: int
    C_token: int
    C_group: int
    initial_run: int
    initial_channel: int


class ScanSizes(NamedTuple):
    """Sizes that all scans of a launch share."""

    length: int
    width: int
    group_width: int
    rows: int  # of the batch
    runs: int
    chunks: int  # per run
    chunk: int  # tokens


class ChunkRoom(NamedTuple):
    """Chunk states of a run that is cut, in either direction of time."""

    starts: Tensor  # (chunks, N, E): end states from zero, then the states before each chunk
    sums: Tensor  # (chunks, E): sum of the steps of each chunk
    start: Tensor | None  # (S, E, N): state before the first chunk in order of the carry, or None
    d_out: Tensor | None  # (B, L, E), for the adjoint


class ForwardRoom(NamedTuple):
    """What a forward scan writes."""

    out: Tensor  # (B, L, E)
    last: Tensor | None  # (S, E, N), or None
    checkpoints: Tensor | None  # (pieces, N, E), or None
    starts: Tensor | None  # (chunks, N, E): states before each chunk; None if runs are whole


class BackwardRoom(NamedTuple):
    """What a backward scan reads beside its inputs, and what it writes."""

    d_out: Tensor  # (B, L, E)
    d_last: Tensor | None  # (S, E, N), or None
    checkpoints: Tensor | None  # (pieces, N, E)
    adjoints: Tensor | None  # (chunks, N, E): adjoints after each chunk; None if runs are whole
    u: Tensor  # (B, L, E)
    delta: Tensor  # (B, L, E)
    z: Tensor | None  # (B, L, E), or None
    B: Tensor | None  # (blocks, B, L, G, N) sums over blocks of channels, or None if B is constant
    C: Tensor | None  # as B
    parameters: Tensor  # (S * chunks, rows, E): N of A, N of a constant B, of C, one of D, of bias
    initial: Tensor | None  # (S, E, N), or None


class ConvArguments(NamedTuple):
    """Tensors of one convolution and strides in elements; None is a tensor that is not there."""

    x: Tensor
    weight: Tensor
    bias: Tensor | None
    initial: Tensor | None  # (S, E, W)
    lengths: Tensor | None
    borders: Tensor | None  # cu_seqlens
    segments: Tensor | None  # (L,): segment of each packed token
    mask: Tensor | None
    x_row: int
    x_token: int
    weight_channel: int
    initial_run: int
    initial_channel: int


class ConvSizes(NamedTuple):
    """Sizes that all convolutions of a launch share."""

    rows: int
    length: int
    width: int


class SlopesRoom(NamedTuple):
    """What the first half of a backward convolution reads beside its inputs, and writes."""

    d_out: Tensor  # (B, L, E)
    slopes: Tensor  # (B, L, E), float32: gradients before the activation
    parts: Tensor  # (pieces, W + 1, E): a tile's part of the gradients of weight and bias


def scan_arguments(scan: Scan) -> ScanArguments:
    """Return what the kernels read of a scan."""
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


def conv_arguments(conv: Conv) -> ConvArguments:
    """Return what the kernels read of a convolution."""
    initial, borders, segments = conv.initial_state, conv.cu_seqlens, None
    if borders is not None:
        tokens = torch.arange(conv.x.shape[1], dtype=torch.int32, device=conv.x.device)
        segments = torch.searchsorted(borders, tokens, right=True, out_int32=True) - 1
    return ConvArguments(
        x=conv.x,
        weight=conv.weight,
        bias=conv.bias,
        initial=initial,
        lengths=conv.lengths,
        borders=borders,
        segments=segments,
        mask=conv.mask,
        x_row=conv.x.stride(0),
        x_token=conv.x.stride(1),
        weight_channel=conv.weight.stride(0),
        initial_run=0 if initial is None else initial.stride(0),
        initial_channel=0 if initial is None else initial.stride(1),
    )
