"""The causal depthwise convolution of Mamba: whole rows, two calls at once, one token."""

from typing import Literal, TypedDict, overload

from torch import Tensor

from seqmamba.kernels import ops
from seqmamba.kernels.layout import conv_call, conv_step_call
from seqmamba.kernels.runs import conv_last_state

__all__ = ["ConvArguments", "causal_conv1d", "conv_pair", "conv_step"]


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
