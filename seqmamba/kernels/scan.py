"""The selective scan of Mamba-1: whole rows, two calls at once, one token."""

from typing import Literal, TypedDict, overload

from torch import Tensor

from seqmamba.kernels import ops
from seqmamba.kernels.layout import scan_call, scan_step_call

__all__ = ["ScanArguments", "scan_pair", "selective_scan", "state_step"]


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
        A name of :func:`seqmamba.kernels.backends`, or "auto".

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
