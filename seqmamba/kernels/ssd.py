r"""Mamba-2 scan (state space duality) in matrix products, chunk by chunk.

One decay per head and token: :math:`h_t = e^{\delta_t A} h_{t-1} + \delta_t x_t \otimes B_t`,
:math:`y_t = h_t C_t + D x_t`. Source: arXiv 2405.21060, section 6. Plain torch with autograd, so it
runs, compiles and differentiates anywhere.
"""

import math
from typing import Literal, overload

import torch
from torch import Tensor
from torch.nn import functional

from seqmamba.errors import DataError
from seqmamba.kernels.layout import state_dtype
from seqmamba.kernels.runs import runs_of

__all__ = ["ssd", "ssd_step"]


@overload
def ssd(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    dt_softplus: bool = False,
    *,
    dt_limit: tuple[float, float] = (0.0, math.inf),
    chunk_size: int = 64,
    initial_state: Tensor | None = None,
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    reverse: bool = False,
    return_last_state: Literal[False] = False,
) -> Tensor: ...


@overload
def ssd(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    dt_softplus: bool = False,
    *,
    dt_limit: tuple[float, float] = (0.0, math.inf),
    chunk_size: int = 64,
    initial_state: Tensor | None = None,
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    reverse: bool = False,
    return_last_state: Literal[True],
) -> tuple[Tensor, Tensor]: ...


def ssd(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    dt_softplus: bool = False,
    *,
    dt_limit: tuple[float, float] = (0.0, math.inf),
    chunk_size: int = 64,
    initial_state: Tensor | None = None,
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    reverse: bool = False,
    return_last_state: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Run a Mamba-2 scan.

    Parameters
    ----------
    x : Tensor (B, L, H, P)
        H heads of width P.
    dt : Tensor (B, L, H)
        Raw step, before bias, softplus and ``dt_limit``.
    A : Tensor (H,)
        Negative real decay rates.
    B, C : Tensor (B, L, G, N)
        Head h uses group ``h * G // H``.
    D : Tensor (H,) or (H, P), optional
        Skip.
    z : Tensor (B, L, H, P), optional
        Gate: the output is multiplied with silu(z).
    dt_bias : Tensor (H,), optional
    dt_softplus : bool
    dt_limit : (float, float)
        Bounds of the step after softplus.
    chunk_size : int
        Tokens per matrix product; changes rounding and speed only.
    initial_state : Tensor (S, H, P, N), optional
    mask, lengths, cu_seqlens, reverse
        As in :func:`seqmamba.kernels.selective_scan`.
    return_last_state : bool

    Returns
    -------
    out : Tensor (B, L, H, P), dtype of x
    last_state : Tensor (S, H, P, N), float32 or float64
        Only with ``return_last_state``.

    Raises
    ------
    DataError
        A shape does not fit ``x``.
    """
    _check(x, dt, A, B, C)
    with torch.autocast(x.device.type, enabled=False):
        dtype = state_dtype(x.dtype)
        runs = runs_of(x, lengths, cu_seqlens, mask, reverse)
        rows = runs.take(x).to(dtype)  # (S, T, H, P)
        step = _step_size(runs.take(dt).to(dtype), dt_bias, dt_softplus, dt_limit)
        step = step if runs.keep is None else torch.where(runs.keep[..., None], step, 0)
        y, state = _chunked(
            rows * step[..., None],
            step * A.to(dtype),
            runs.take(B).to(dtype),
            runs.take(C).to(dtype),
            initial_state,
            min(chunk_size, max(rows.shape[1], 1)),
            return_last_state,
        )
        if D is not None:
            y = y + _per_head(D.to(dtype)) * rows
        if z is not None:
            y = y * functional.silu(runs.take(z).to(dtype))
        out = runs.give(y).to(x.dtype)
    return out if state is None else (out, state)


def ssd_step(
    state: Tensor,
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    dt_softplus: bool = False,
    *,
    dt_limit: tuple[float, float] = (0.0, math.inf),
) -> Tensor:
    """Run one token of a Mamba-2 scan; ``state`` (B, H, P, N) is updated in place.

    Parameters
    ----------
    state : Tensor (B, H, P, N)
    x, z : Tensor (B, H, P)
    dt : Tensor (B, H)
    A, D, dt_bias, dt_softplus, dt_limit
        As in :func:`ssd`.
    B, C : Tensor (B, G, N)

    Returns
    -------
    Tensor (B, H, P), dtype of x
    """
    dtype, heads = state.dtype, x.shape[1]
    step = _step_size(dt.to(dtype), dt_bias, dt_softplus, dt_limit)  # (B, H)
    B, C = (m.to(dtype).repeat_interleave(heads // m.shape[1], 1) for m in (B, C))  # (B, H, N)
    rows = x.to(dtype)
    pulse = (step[..., None] * rows)[..., None] * B[:, :, None]
    state.copy_(torch.exp(step * A.to(dtype))[..., None, None] * state + pulse)
    y = (state * C[:, :, None]).sum(-1)
    y = y if D is None else y + _per_head(D.to(dtype)) * rows
    y = y if z is None else y * functional.silu(z.to(dtype))
    return y.to(x.dtype)


def _chunked(
    x: Tensor,
    decay: Tensor,
    B: Tensor,
    C: Tensor,
    state: Tensor | None,
    chunk: int,
    return_last_state: bool,
) -> tuple[Tensor, Tensor | None]:
    """Scan x (S, T, H, P) with log decays (S, T, H); return y and the last state (S, H, P, N).

    States between chunks are made only where they are read: a short sequence needs none.
    """
    length, groups = x.shape[1], B.shape[2]
    x, decay, B, C = (_split(t, chunk, groups) for t in (x, decay, B, C))
    # x (S, c, G, F, Q, P); decay (S, c, G, F, Q); B, C (S, c, G, 1, Q, N)
    pairs = _segment_sums(decay).exp()  # (S, c, G, F, Q, Q), 0 above the diagonal
    y = (C @ B.mT * pairs) @ x
    rows, chunks, _, heads, _, width = x.shape
    passed = chunks if return_last_state else max(chunks - 1, 0)  # chunks whose end is read
    if passed > 0 or state is not None:
        since_start = decay.cumsum(-1).exp()  # (S, c, G, F, Q)
        starts = _starts(x, pairs, B, since_start, state, passed)
        if chunks > 1 or (chunks and state is not None):
            y = y + since_start[..., None] * (C @ torch.stack(starts[:chunks], 1).mT)
        state = starts[-1].flatten(1, 2)
    y = y.permute(0, 1, 4, 2, 3, 5).flatten(3, 4).flatten(1, 2)[:, :length]  # (S, T, H, P)
    if return_last_state and state is None:  # no tokens
        state = x.new_zeros(rows, groups * heads, width, B.shape[-1])
    return y, state if return_last_state else None


def _starts(
    x: Tensor, pairs: Tensor, B: Tensor, since_start: Tensor, state: Tensor | None, passed: int
) -> list[Tensor]:
    """Return the state before the first chunk and after each of the first ``passed``."""
    rows, _, groups, heads, _, width = x.shape
    shape = (rows, groups, heads, width, B.shape[-1])
    first = x.new_zeros(shape) if state is None else state.to(x.dtype).view(shape)
    # each (S, G, F, P, N)
    ends = (x[:, :passed] * pairs[:, :passed, ..., -1, :, None]).mT @ B[:, :passed]
    starts = [first]
    for c in range(passed):
        kept = since_start[:, c, ..., -1, None, None] * starts[-1]
        starts.append(kept + ends[:, c])
    return starts


def _split(value: Tensor, chunk: int, groups: int) -> Tensor:
    """Pad (S, T, H, ...) to whole chunks and bring it to (S, c, G, H / G, Q, ...)."""
    rows, length, heads = value.shape[:3]
    missing = -length % chunk
    if missing:
        value = torch.cat([value, value.new_zeros(rows, missing, *value.shape[2:])], 1)
    value = value.view(
        rows, value.shape[1] // chunk, chunk, groups, heads // groups, *value.shape[3:]
    )
    return value.movedim(2, 4)


def _segment_sums(decay: Tensor) -> Tensor:
    """Return sums over (s, t] for all t >= s and -inf elsewhere: (..., Q) -> (..., Q, Q).

    A masked cumulative sum: the difference of two long sums would cancel.
    """
    size = decay.shape[-1]
    square = torch.ones(size, size, dtype=torch.bool, device=decay.device)
    sums = decay[..., None].expand(*decay.shape, size)
    sums = sums.masked_fill(~square.tril(-1), 0).cumsum(-2)
    return sums.masked_fill(~square.tril(), -math.inf)


def _step_size(
    dt: Tensor, bias: Tensor | None, softplus: bool, limit: tuple[float, float]
) -> Tensor:
    dt = dt if bias is None else dt + bias.to(dt.dtype)
    dt = functional.softplus(dt) if softplus else dt
    return dt if limit == (0.0, math.inf) and softplus else dt.clamp(*limit)


def _per_head(D: Tensor) -> Tensor:
    return D if D.ndim == 2 else D[:, None]


def _check(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor) -> None:
    if x.ndim != 4:
        raise DataError(f"x must have the shape (B, L, H, P), got {tuple(x.shape)}")
    batch, length, heads, _ = x.shape
    for name, value, shape in (("dt", dt, (batch, length, heads)), ("A", A, (heads,))):
        if value.shape != shape:
            raise DataError(f"{name} must have the shape {shape}, got {tuple(value.shape)}")
    for name, value in (("B", B), ("C", C)):
        if value.ndim != 4 or value.shape[:2] != (batch, length) or heads % value.shape[2]:
            expected = f"({batch}, {length}, G, N), G dividing {heads}"
            raise DataError(f"{name} must have the shape {expected}; got {tuple(value.shape)}")
