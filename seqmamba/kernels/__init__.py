"""Scans and convolutions of Mamba layers: one entry per operation, several back-ends behind it.

Everything is channels-last: (B, L, E) = batch, tokens, channels; N states per channel, W taps.

    selective_scan(u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False, *,
                   initial_state=None, mask=None, lengths=None, cu_seqlens=None, reverse=False,
                   window=1, return_last_state=False, backend="auto") -> out | (out, last_state)
    scan_pair(first: ScanArguments, second: ScanArguments, *, backend="auto") -> (out, out)
    state_step(state, u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False, *,
               backend="auto") -> out                                  # state updated in place
    causal_conv1d(x, weight, bias=None, activation=None, *, initial_state=None, mask=None,
                  lengths=None, cu_seqlens=None, reverse=False, return_last_state=False,
                  backend="auto") -> out | (out, last_state)
    conv_pair(first: ConvArguments, second: ConvArguments, *, backend="auto") -> (out, out)
    conv_step(state, x, weight, bias=None, activation=None, *, backend="auto") -> out   # in place
    ssd(x, dt, A, B, C, D=None, z=None, dt_bias=None, dt_softplus=False, *, dt_limit=(0, inf),
        chunk_size=64, initial_state=None, mask=None, lengths=None, cu_seqlens=None, reverse=False,
        return_last_state=False) -> out | (out, last_state)
    ssd_step(state, x, dt, A, B, C, D=None, z=None, dt_bias=None, dt_softplus=False, *,
             dt_limit=(0, inf)) -> out                                 # state updated in place
    sr_index(length, rate), inverse_index(index), partial_flip_index(lengths, length, keep_last=0)
"""

from typing import Literal, TypedDict, overload

from torch import Tensor

from seqmamba.kernels import ops
from seqmamba.kernels.dispatch import backends, use
from seqmamba.kernels.layout import conv_call, conv_step_call, scan_call, scan_step_call
from seqmamba.kernels.runs import conv_last_state, inverse_index, partial_flip_index, sr_index
from seqmamba.kernels.ssd import ssd, ssd_step

__all__ = [
    "ConvArguments",
    "ScanArguments",
    "backends",
    "causal_conv1d",
    "conv_pair",
    "conv_step",
    "inverse_index",
    "partial_flip_index",
    "scan_pair",
    "selective_scan",
    "sr_index",
    "ssd",
    "ssd_step",
    "state_step",
    "use",
]


class _ScanOptions(TypedDict, total=False):
    D: Tensor | None
    z: Tensor | None
    delta_bias: Tensor | None
    delta_softplus: bool
    initial_state: Tensor | None
    mask: Tensor | None
    lengths: Tensor | None
    cu_seqlens: Tensor | None
    reverse: bool
    window: int


class ScanArguments(_ScanOptions):
    """Arguments of :func:`selective_scan` by name, for :func:`scan_pair`."""

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor


class _ConvOptions(TypedDict, total=False):
    bias: Tensor | None
    activation: Literal["silu"] | None
    initial_state: Tensor | None
    mask: Tensor | None
    lengths: Tensor | None
    cu_seqlens: Tensor | None
    reverse: bool


class ConvArguments(_ConvOptions):
    """Arguments of :func:`causal_conv1d` by name, for :func:`conv_pair`."""

    x: Tensor
    weight: Tensor


@overload
def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    *,
    initial_state: Tensor | None = None,
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    reverse: bool = False,
    window: int = 1,
    return_last_state: Literal[False] = False,
    backend: str = "auto",
) -> Tensor: ...
@overload
def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    *,
    initial_state: Tensor | None = None,
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    reverse: bool = False,
    window: int = 1,
    return_last_state: Literal[True],
    backend: str = "auto",
) -> tuple[Tensor, Tensor]: ...
def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    *,
    initial_state: Tensor | None = None,
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    reverse: bool = False,
    window: int = 1,
    return_last_state: bool = False,
    backend: str = "auto",
) -> Tensor | tuple[Tensor, Tensor]:
    """Run a selective scan (Mamba, arXiv 2312.00752) over each row of a batch.

    ``h_t = exp(delta_t A) h_{t-1} + delta_t u_t B_t``, ``out_t = (C_t h_t + D u_t) silu(z_t)``.
    State and arithmetic are float32, or float64 for float64 inputs.

    Parameters
    ----------
    u, delta, z : Tensor (B, L, E)
        Input, raw step, optional gate.
    A : Tensor (E, N)
        Negative real decay rates.
    B, C : Tensor (B, L, N), (B, L, G, N) or (E, N)
        Per token, per token and group of channels, or constant.
    D, delta_bias : Tensor (E,), optional
        Skip; bias added to ``delta`` before the softplus.
    delta_softplus : bool
    initial_state : Tensor (S, E, N), optional
        State before the first token; S = B, or the number of packed segments.
    mask : Tensor (B, L), optional
        False marks padding or holes: no step there, output 0.
    lengths : Tensor (B,), integer, optional
        Tokens from ``lengths[b]`` on are padding. Cheaper than a mask.
    cu_seqlens : Tensor (S + 1,), integer, optional
        Borders of segments packed into one row (B = 1).
    reverse : bool
        Scan from the last valid token to the first.
    window : int, power of two
        Tokens per locally bidirectional window (LBMamba, arXiv 2506.15976); 1 is the plain scan.
    return_last_state : bool
    backend : str
        A name of :func:`backends`, or "auto".

    Returns
    -------
    out : Tensor (B, L, E), dtype of u
    last_state : Tensor (S, E, N)
        Only with ``return_last_state``; differentiable.

    Raises
    ------
    DataError
        A shape or dtype does not fit.
    BackendError
        The back-end asked for cannot serve this call.

    Examples
    --------
    >>> import torch
    >>> u, delta = torch.ones(1, 3, 2), torch.ones(1, 3, 2)
    >>> ones = torch.ones(1, 3, 1)
    >>> selective_scan(u, delta, torch.zeros(2, 1), ones, ones)[0, :, 0].tolist()
    [1.0, 2.0, 3.0]
    """
    call = scan_call(
        u,
        delta,
        A,
        B,
        C,
        D,
        z,
        delta_bias,
        delta_softplus,
        initial_state=initial_state,
        mask=mask,
        lengths=lengths,
        cu_seqlens=cu_seqlens,
        reverse=reverse,
        window=window,
        wants_last_state=return_last_state,
    )
    out, last_state = ops.run_scans((call,), backend)[0]
    out = out if out.dtype == u.dtype else out.to(u.dtype)
    return (out, last_state) if return_last_state else out


def scan_pair(
    first: ScanArguments, second: ScanArguments, *, backend: str = "auto"
) -> tuple[Tensor, Tensor]:
    """Run two scans, such as both directions of a layer, in one parallel region.

    Parameters
    ----------
    first, second : ScanArguments
        Arguments of :func:`selective_scan` by name.
    backend : str

    Returns
    -------
    tuple of Tensor (B, L, E)
    """
    calls = [scan_call(**arguments, wants_last_state=False) for arguments in (first, second)]
    one, two = ops.run_scans(calls, backend)
    return one[0].to(first["u"].dtype), two[0].to(second["u"].dtype)


def state_step(
    state: Tensor,
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    *,
    backend: str = "auto",
) -> Tensor:
    """Run one token of a selective scan; ``state`` is updated in place.

    Parameters
    ----------
    state : Tensor (B, E, N), float32 or float64
    u, delta, z : Tensor (B, E)
    A : Tensor (E, N)
    B, C : Tensor (B, N) or (B, G, N)
    D, delta_bias : Tensor (E,), optional
    delta_softplus : bool
    backend : str

    Returns
    -------
    Tensor (B, E), dtype of u
    """
    call = scan_step_call(state, u, delta, A, B, C, D, z, delta_bias, delta_softplus)
    return ops.run_scan_step(call, backend)


@overload
def causal_conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    activation: Literal["silu"] | None = None,
    *,
    initial_state: Tensor | None = None,
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    reverse: bool = False,
    return_last_state: Literal[False] = False,
    backend: str = "auto",
) -> Tensor: ...
@overload
def causal_conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    activation: Literal["silu"] | None = None,
    *,
    initial_state: Tensor | None = None,
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    reverse: bool = False,
    return_last_state: Literal[True],
    backend: str = "auto",
) -> tuple[Tensor, Tensor]: ...
def causal_conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    activation: Literal["silu"] | None = None,
    *,
    initial_state: Tensor | None = None,
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    reverse: bool = False,
    return_last_state: bool = False,
    backend: str = "auto",
) -> Tensor | tuple[Tensor, Tensor]:
    """Run a depthwise causal convolution, ``Conv1d(padding=W - 1)`` cut to L, channels last.

    Parameters
    ----------
    x : Tensor (B, L, E)
    weight : Tensor (E, 1, W) or (E, W)
    bias : Tensor (E,), optional
    activation : "silu" or None
    initial_state : Tensor (S, E, W), optional
        The last W inputs before the first token, oldest first, as ``last_state`` returns them.
    mask, lengths, cu_seqlens, reverse, backend
        As in :func:`selective_scan`; masked tokens count as zeros, taps never cross a segment.
    return_last_state : bool

    Returns
    -------
    out : Tensor (B, L, E)
    last_state : Tensor (S, E, W)
        Only with ``return_last_state``.

    Raises
    ------
    DataError
        A shape or dtype does not fit.
    """
    call = conv_call(
        x,
        weight,
        bias,
        activation,
        initial_state=initial_state,
        mask=mask,
        lengths=lengths,
        cu_seqlens=cu_seqlens,
        reverse=reverse,
    )
    out = ops.run_convs((call,), backend)[0]
    return (out, conv_last_state(call)) if return_last_state else out


def conv_pair(
    first: ConvArguments, second: ConvArguments, *, backend: str = "auto"
) -> tuple[Tensor, Tensor]:
    """Run two convolutions in one parallel region; return both outputs (B, L, E)."""
    one, two = ops.run_convs((conv_call(**first), conv_call(**second)), backend)
    return one, two


def conv_step(
    state: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    activation: Literal["silu"] | None = None,
    *,
    backend: str = "auto",
) -> Tensor:
    """Run one token of a causal convolution; ``state`` is shifted and updated in place.

    Parameters
    ----------
    state : Tensor (B, E, W)
        The last W inputs, oldest first; after the call the current one is the last.
    x : Tensor (B, E)
    weight : Tensor (E, 1, W) or (E, W)
    bias : Tensor (E,), optional
    activation : "silu" or None
    backend : str

    Returns
    -------
    Tensor (B, E)
    """
    return ops.run_conv_step(conv_step_call(state, x, weight, bias, activation), backend)
