"""Names, argument orders and layouts of the published mamba-ssm and causal-conv1d functions.

Sequences are channels-first, (B, E, L), as there; change an import and a model keeps running.
Source of the interfaces: state-spaces/mamba 2.3 and Dao-AILab/causal-conv1d 1.5. Unlike there, the
gradient of a returned last state is propagated.
"""

import math
from typing import Literal

import torch
from torch import Tensor

from seqmamba.errors import ConfigError, DataError
from seqmamba.kernels import causal_conv1d, conv_step, selective_scan, ssd, state_step

__all__ = ["causal_conv1d_fn", "causal_conv1d_update", "mamba_chunk_scan_combined"]
__all__ += ["selective_scan_fn", "selective_state_update"]


def selective_scan_fn(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    return_last_state: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Run a selective scan on channels-first tensors.

    Parameters
    ----------
    u, delta, z : Tensor (B, E, L)
    A : Tensor (E, N)
    B, C : Tensor (B, N, L), (B, G, N, L) or (E, N)
    D, delta_bias : Tensor (E,), optional
    delta_softplus, return_last_state : bool

    Returns
    -------
    out : Tensor (B, E, L)
    last_state : Tensor (B, E, N)
        Only with ``return_last_state``.
    """
    out, last_state = selective_scan(
        u.transpose(1, 2),
        delta.transpose(1, 2),
        A,
        _tokens_first(B),
        _tokens_first(C),
        D,
        None if z is None else z.transpose(1, 2),
        delta_bias,
        delta_softplus,
        return_last_state=True,
    )
    out = out.transpose(1, 2)
    return (out, last_state) if return_last_state else out


def selective_state_update(
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
) -> Tensor:
    """Run one token of a selective scan; ``state`` is updated in place.

    Parameters
    ----------
    state : Tensor (B, E, N) or (B, H, P, N)
    x, dt, z : Tensor (B, E) or (B, H, P)
    A : Tensor (E, N) or (H, P, N)
    B, C : Tensor (B, N) or (B, G, N)
    D, dt_bias : Tensor (E,) or (H, P), optional
    dt_softplus : bool

    Returns
    -------
    Tensor, shape of x
    """
    if state.ndim == 3:
        return state_step(state, x, dt, A, B, C, D, z, dt_bias, dt_softplus)
    flat, (d, gate, bias) = (
        state.flatten(1, 2),
        (None if t is None else t.flatten(-2) for t in (D, z, dt_bias)),
    )
    out = state_step(
        flat, x.flatten(1), dt.flatten(1), A.flatten(0, 1), B, C, d, gate, bias, dt_softplus
    )
    if flat.data_ptr() != state.data_ptr():
        state.copy_(flat.view(state.shape))  # a strided state was flattened into a copy
    return out.view(x.shape)


def causal_conv1d_fn(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    initial_states: Tensor | None = None,
    return_final_states: bool = False,
    activation: Literal["silu", "swish"] | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """Run a depthwise causal convolution on a channels-first tensor.

    Parameters
    ----------
    x : Tensor (B, E, L)
    weight : Tensor (E, W)
    bias : Tensor (E,), optional
    initial_states : Tensor (B, E, W - 1), optional
        Inputs before the first token, oldest first.
    return_final_states : bool
    activation : "silu", "swish" or None

    Returns
    -------
    out : Tensor (B, E, L)
    final_states : Tensor (B, E, W - 1)
        Only with ``return_final_states``.
    """
    before = initial_states
    if before is not None:
        before = torch.cat([torch.zeros_like(before[..., :1]), before], -1)
    out, last = causal_conv1d(
        x.transpose(1, 2),
        weight,
        bias,
        _activation(activation),
        initial_state=before,
        return_last_state=True,
    )
    out = out.transpose(1, 2)
    return (out, last[..., 1:]) if return_final_states else out


def causal_conv1d_update(
    x: Tensor,
    conv_state: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    activation: Literal["silu", "swish"] | None = None,
) -> Tensor:
    """Run one token of a causal convolution; ``conv_state`` is updated in place.

    Parameters
    ----------
    x : Tensor (B, E)
    conv_state : Tensor (B, E, W) or (B, E, W - 1)
    weight : Tensor (E, W)
    bias : Tensor (E,), optional
    activation : "silu", "swish" or None

    Returns
    -------
    Tensor (B, E)

    Raises
    ------
    DataError
        ``conv_state`` has another length.
    """
    taps = weight.shape[-1]
    if conv_state.shape[-1] == taps:
        return conv_step(conv_state, x, weight, bias, _activation(activation))
    if conv_state.shape[-1] != taps - 1:
        raise DataError(
            f"conv_state must hold {taps} or {taps - 1} inputs, got {conv_state.shape[-1]}"
        )
    state = torch.cat([torch.zeros_like(x)[..., None], conv_state], -1)
    out = conv_step(state, x, weight, bias, _activation(activation))
    conv_state.copy_(state[..., 1:])
    return out


def mamba_chunk_scan_combined(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    chunk_size: int,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    initial_states: Tensor | None = None,
    *,
    cu_seqlens: Tensor | None = None,
    dt_softplus: bool = False,
    dt_limit: tuple[float, float] = (0.0, math.inf),
    return_final_states: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Run a Mamba-2 scan; shapes as in :func:`seqmamba.kernels.ssd`.

    Returns
    -------
    out : Tensor (B, L, H, P)
    final_states : Tensor (B, H, P, N)
        Only with ``return_final_states``.
    """
    out, last_state = ssd(
        *(x, dt, A, B, C, D, z, dt_bias, dt_softplus),
        dt_limit=dt_limit,
        chunk_size=chunk_size,
        initial_state=initial_states,
        cu_seqlens=cu_seqlens,
        return_last_state=True,
    )
    return (out, last_state) if return_final_states else out


def _tokens_first(matrix: Tensor) -> Tensor:
    """Bring (B, N, L) or (B, G, N, L) to (B, L, N) or (B, L, G, N)."""
    return matrix if matrix.ndim == 2 else matrix.movedim(-1, 1)


def _activation(name: str | None) -> Literal["silu"] | None:
    if name in ("silu", "swish"):
        return "silu"
    if name is None:
        return None
    raise ConfigError(f"activation must be 'silu', 'swish' or None, got {name!r}")
