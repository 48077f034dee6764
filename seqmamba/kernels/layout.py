"""Arguments of a call in the form that back-ends take.

``scan_call`` and ``conv_call`` check shapes, bring dtypes and strides together and return the
objects of :mod:`seqmamba.kernels.problem`, and so for the steps.
"""

from typing import Literal

import torch
from torch import Tensor

from seqmamba.errors import ConfigError, DataError
from seqmamba.kernels.problem import Conv, ConvStep, Scan, ScanStep

__all__ = ["conv_call", "conv_step_call", "scan_call", "scan_step_call", "state_dtype"]

WINDOW_LIMIT = 1024  # longest local window; back-ends keep one window of states in fast memory


def state_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype of states and parameters for an input dtype: float64 or float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def scan_call(
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
    wants_last_state: bool = True,
) -> Scan:
    """Check the arguments of a selective scan and return them normalised.

    Raises
    ------
    DataError
        A shape, dtype or device does not fit ``u``.
    ConfigError
        ``window`` is not a power of two.
    """
    if u.ndim != 3:
        raise DataError(f"u must have the shape (B, L, E), got {tuple(u.shape)}")
    if not u.is_floating_point():
        raise DataError(f"u must hold real floats, got {u.dtype}")
    batch, length, width = u.shape
    if A.ndim != 2 or A.shape[0] != width:
        raise DataError(f"A must have the shape ({width}, N), got {tuple(A.shape)}")
    if window < 1 or window & (window - 1) or window > WINDOW_LIMIT:
        raise ConfigError(f"window must be a power of two in [1, {WINDOW_LIMIT}], got {window}")
    states = A.shape[1]
    _expect("delta", delta, (batch, length, width))
    if z is not None:
        _expect("z", z, (batch, length, width))
    if D is not None:
        _expect("D", D, (width,))
    if delta_bias is not None:
        _expect("delta_bias", delta_bias, (width,))
    mask, lengths = _valid_tokens(u, mask, lengths, cu_seqlens)
    runs = batch if cu_seqlens is None else cu_seqlens.shape[0] - 1
    if initial_state is not None:
        _expect("initial_state", initial_state, (runs, width, states))
    dtype = u.dtype
    for stream in (delta, B if B.ndim > 2 else u, C if C.ndim > 2 else u, z):
        if stream is not None and stream.dtype != dtype:
            dtype = torch.promote_types(dtype, stream.dtype)
    kept = state_dtype(dtype)
    B, C = _grouped(B, C, u.shape, states)
    return Scan(
        u=_fit(u, dtype),
        delta=_fit(delta, dtype),
        A=_fit(A, kept),
        B=_fit(B, dtype if B.ndim == 4 else kept),
        C=_fit(C, dtype if C.ndim == 4 else kept),
        D=_fit_optional(D, kept),
        z=_fit_optional(z, dtype),
        delta_bias=_fit_optional(delta_bias, kept),
        initial_state=_fit_optional(initial_state, kept),
        lengths=_borders("lengths", lengths, u),
        cu_seqlens=_borders("cu_seqlens", cu_seqlens, u),
        mask=mask,
        delta_softplus=delta_softplus,
        reverse=reverse,
        window=window,
        wants_last_state=wants_last_state,
    )


def conv_call(
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
) -> Conv:
    """Check the arguments of a causal convolution and return them normalised.

    Raises
    ------
    DataError
        A shape, dtype or device does not fit ``x``.
    ConfigError
        Unknown activation.
    """
    if x.ndim != 3:
        raise DataError(f"x must have the shape (B, L, E), got {tuple(x.shape)}")
    batch, _, width = x.shape
    weight = _taps(weight, width, activation)
    if bias is not None:
        _expect("bias", bias, (width,))
    mask, lengths = _valid_tokens(x, mask, lengths, cu_seqlens)
    runs = batch if cu_seqlens is None else cu_seqlens.shape[0] - 1
    if initial_state is not None:
        _expect("initial_state", initial_state, (runs, width, weight.shape[1]))
    return Conv(
        x=_fit(x, x.dtype),
        weight=_fit(weight, x.dtype),
        bias=_fit_optional(bias, x.dtype),
        initial_state=_fit_optional(initial_state, x.dtype),
        lengths=_borders("lengths", lengths, x),
        cu_seqlens=_borders("cu_seqlens", cu_seqlens, x),
        mask=mask,
        activation=activation,
        reverse=reverse,
    )


def scan_step_call(
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
) -> ScanStep:
    """Check the arguments of one scan step and return them normalised; ``state`` is kept as is.

    Raises
    ------
    DataError
        A shape or the dtype of ``state`` does not fit.
    """
    if u.ndim != 2:
        raise DataError(f"u must have the shape (B, E), got {tuple(u.shape)}")
    batch, width = u.shape
    kept = state_dtype(u.dtype)
    if A.ndim != 2 or A.shape[0] != width:
        raise DataError(f"A must have the shape ({width}, N), got {tuple(A.shape)}")
    _expect("state", state, (batch, width, A.shape[1]))
    if state.dtype != kept:
        raise DataError(f"state must be {kept} for inputs of {u.dtype}, got {state.dtype}")
    _expect("delta", delta, (batch, width))
    if z is not None:
        _expect("z", z, (batch, width))
    return ScanStep(
        state=state,
        u=_fit(u, u.dtype),
        delta=_fit(delta, u.dtype),
        A=_fit(A, kept),
        B=_fit(_step_groups("B", B, u.shape, A.shape[1]), u.dtype),
        C=_fit(_step_groups("C", C, u.shape, A.shape[1]), u.dtype),
        D=_fit_optional(D, kept),
        z=_fit_optional(z, u.dtype),
        delta_bias=_fit_optional(delta_bias, kept),
        delta_softplus=delta_softplus,
    )


def conv_step_call(
    state: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    activation: Literal["silu"] | None = None,
) -> ConvStep:
    """Check the arguments of one convolution step and return them normalised.

    Raises
    ------
    DataError
        A shape or the dtype of ``state`` does not fit.
    ConfigError
        Unknown activation.
    """
    if x.ndim != 2:
        raise DataError(f"x must have the shape (B, E), got {tuple(x.shape)}")
    weight = _taps(weight, x.shape[1], activation)
    _expect("state", state, (x.shape[0], x.shape[1], weight.shape[1]))
    if state.dtype != x.dtype:
        raise DataError(f"state must be {x.dtype} like x, got {state.dtype}")
    return ConvStep(
        state=state,
        x=_fit(x, x.dtype),
        weight=_fit(weight, x.dtype),
        bias=_fit_optional(bias, x.dtype),
        activation=activation,
    )


def _valid_tokens(
    x: Tensor, mask: Tensor | None, lengths: Tensor | None, cu_seqlens: Tensor | None
) -> tuple[Tensor | None, Tensor | None]:
    """Check the three ways to mark tokens; a mask beside lengths becomes one mask."""
    if mask is None and lengths is None and cu_seqlens is None:
        return None, None
    if cu_seqlens is not None:
        if mask is not None or lengths is not None:
            raise DataError("cu_seqlens cannot be combined with mask or lengths: give one of them")
        if x.shape[0] != 1:
            raise DataError(f"packed segments (cu_seqlens) need batch size 1, got {x.shape[0]}")
        return None, None
    if lengths is not None:
        _expect("lengths", lengths, (x.shape[0],))
    if mask is None:
        return None, lengths
    _expect("mask", mask, (x.shape[0], x.shape[1]))
    mask = mask if mask.dtype == torch.bool else mask.bool()
    if lengths is not None:
        mask = mask & (torch.arange(x.shape[1], device=x.device) < lengths[:, None])
    return mask.contiguous(), None


def _borders(name: str, value: Tensor | None, x: Tensor) -> Tensor | None:
    """Return lengths or cu_seqlens as int32 on the device of x, checked where that is free."""
    if value is None:
        return None
    if value.is_floating_point():
        raise DataError(f"{name} must hold integers, got {value.dtype}")
    if value.device.type == "cpu" and type(value) is Tensor and not torch.compiler.is_compiling():
        _check_borders(name, value.tolist(), x.shape[1])
    return value.to(device=x.device, dtype=torch.int32).contiguous()


def _check_borders(name: str, values: list[int], length: int) -> None:
    if name == "lengths":
        wrong = [value for value in values if not 0 <= value <= length]
        if wrong:
            raise DataError(f"lengths must lie in [0, {length}], got {wrong[0]}", value=wrong[0])
    elif not values or values[0] != 0 or values[-1] != length or values != sorted(values):
        raise DataError(f"cu_seqlens must rise from 0 to {length}, got {values}", value=values)


def _grouped(B: Tensor, C: Tensor, shape: torch.Size, states: int) -> tuple[Tensor, Tensor]:
    """Give variable B and C a group axis of the same size."""
    B, C = _with_groups("B", B, shape, states), _with_groups("C", C, shape, states)
    if B.ndim == 4 and C.ndim == 4 and B.shape[2] != C.shape[2]:
        if 1 not in (B.shape[2], C.shape[2]):
            raise DataError(f"B has {B.shape[2]} groups, C has {C.shape[2]}: they must agree")
        groups = max(B.shape[2], C.shape[2])
        B, C = B.expand(-1, -1, groups, -1), C.expand(-1, -1, groups, -1)
    return B, C


def _with_groups(name: str, value: Tensor, shape: torch.Size, states: int) -> Tensor:
    batch, length, width = shape
    if value.ndim == 2:
        _expect(name, value, (width, states))
        return value
    if value.ndim == 3:
        _expect(name, value, (batch, length, states))
        return value.unsqueeze(2)
    groups = value.shape[2] if value.ndim == 4 else 1
    _expect(name, value, (batch, length, groups, states))
    if groups < 1 or width % groups:
        raise DataError(f"{name} has {groups} groups, which do not divide {width} channels")
    return value


def _step_groups(name: str, value: Tensor, shape: torch.Size, states: int) -> Tensor:
    batch, width = shape
    value = value.unsqueeze(1) if value.ndim == 2 else value
    groups = value.shape[1] if value.ndim == 3 else 1
    _expect(name, value, (batch, groups, states))
    if groups < 1 or width % groups:
        raise DataError(f"{name} has {groups} groups, which do not divide {width} channels")
    return value


def _taps(weight: Tensor, width: int, activation: str | None) -> Tensor:
    """Return the weight of a convolution as (E, W)."""
    if activation not in (None, "silu"):
        raise ConfigError(f"activation must be 'silu' or None, got {activation!r}")
    if weight.ndim == 3 and weight.shape[1] == 1:
        weight = weight.squeeze(1)
    if weight.ndim != 2 or weight.shape[0] != width or weight.shape[1] < 1:
        raise DataError(f"weight must have the shape ({width}, W), got {tuple(weight.shape)}")
    return weight


def _expect(name: str, value: Tensor, shape: tuple[int, ...]) -> None:
    if value.shape != shape:
        raise DataError(f"{name} must have the shape {shape}, got {tuple(value.shape)}")


def _fit(value: Tensor, dtype: torch.dtype) -> Tensor:
    if value.dtype != dtype:
        value = value.to(dtype)
    return value if value.stride(-1) == 1 or value.shape[-1] < 2 else value.contiguous()


def _fit_optional(value: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return None if value is None else _fit(value, dtype)
