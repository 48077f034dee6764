"""The same operations as custom operators: what compile, export and ``torch.func`` see.

Each has shape inference, autograd and vmap. The backward operator runs the forward again with
checkpoints, because the shape of what a back-end saves is private to it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from seqmamba.errors import BackendError
from seqmamba.kernels import reference
from seqmamba.kernels.dispatch import backend_module, choose
from seqmamba.kernels.problem import Conv, Scan

__all__ = ["conv", "first_order_only", "scan"]


def first_order_only(
    name: str, inputs: Sequence[Any], gradients: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """Return gradients that raise when they are differentiated (``create_graph=True``)."""
    anchors = [t for t in inputs if isinstance(t, Tensor) and t.requires_grad]
    if not (torch.is_grad_enabled() and anchors):
        return list(gradients)
    present = [g for g in gradients if g is not None]
    apply: Callable[..., Any] = _FirstOrder.apply
    guarded = iter(apply(name, len(present), *present, *anchors))
    return [None if g is None else next(guarded) for g in gradients]


def scan(call: Scan, backend: str) -> tuple[Tensor, Tensor]:
    """Return (out, last state) of a scan through the custom operator."""
    borders = (call.lengths, call.cu_seqlens, call.mask)
    inputs = (*call.tensors(), *borders, call.delta_softplus, call.reverse, call.window, backend)
    operator: Callable[..., Any] = _ScanFunction.apply if _is_transformed() else _scan
    out, last_state = operator(*inputs)
    return out, last_state


def conv(call: Conv, backend: str) -> Tensor:
    """Return the output of a convolution through the custom operator."""
    borders = (call.lengths, call.cu_seqlens, call.mask)
    inputs = (*call.tensors(), *borders, call.activation == "silu", call.reverse, backend)
    operator: Callable[..., Any] = _ConvFunction.apply if _is_transformed() else _conv
    out: Tensor = operator(*inputs)
    return out


@torch.library.custom_op("seqmamba::selective_scan", mutates_args=())
def _scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    initial_state: Tensor | None,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    mask: Tensor | None,
    delta_softplus: bool,
    reverse: bool,
    window: int,
    backend: str,
) -> tuple[Tensor, Tensor]:
    call = Scan(
        *(u, delta, A, B, C, D, z, delta_bias, initial_state),
        *(lengths, cu_seqlens, mask),
        *(delta_softplus, reverse, window),
    )
    name = choose(call, backend).name
    if name == reference.NAME:
        out, last_state = reference.scan(call)
    else:
        result = backend_module(name).forward((call,), False)[0]
        out, last_state = result.out, result.last_state
    return out.contiguous(), last_state.contiguous()


@torch.library.custom_op("seqmamba::selective_scan_backward", mutates_args=())
def _scan_backward(
    d_out: Tensor,
    d_last: Tensor | None,
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    initial_state: Tensor | None,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    mask: Tensor | None,
    delta_softplus: bool,
    reverse: bool,
    window: int,
    backend: str,
) -> list[Tensor]:
    call = Scan(
        *(u, delta, A, B, C, D, z, delta_bias, initial_state),
        *(lengths, cu_seqlens, mask),
        *(delta_softplus, reverse, window),
    )
    name = choose(call, backend).name
    module = backend_module("torch" if name == reference.NAME else name)
    results = module.forward((call,), True)
    gradients = module.backward((call,), results, ((d_out.contiguous(), d_last),))[0]
    return [g.contiguous() for g in gradients.tensors() if g is not None]


@torch.library.custom_op("seqmamba::causal_conv1d", mutates_args=())
def _conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    initial_state: Tensor | None,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    mask: Tensor | None,
    silu: bool,
    reverse: bool,
    backend: str,
) -> Tensor:
    borders = (lengths, cu_seqlens, mask)
    call = Conv(x, weight, bias, initial_state, *borders, "silu" if silu else None, reverse)
    name = choose(call, backend).name
    if name == reference.NAME:
        return reference.conv(call).contiguous()
    return backend_module(name).conv_forward((call,))[0].contiguous()


@torch.library.custom_op("seqmamba::causal_conv1d_backward", mutates_args=())
def _conv_backward(
    d_out: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    initial_state: Tensor | None,
    lengths: Tensor | None,
    cu_seqlens: Tensor | None,
    mask: Tensor | None,
    silu: bool,
    reverse: bool,
    backend: str,
) -> list[Tensor]:
    borders = (lengths, cu_seqlens, mask)
    call = Conv(x, weight, bias, initial_state, *borders, "silu" if silu else None, reverse)
    name = choose(call, backend).name
    module = backend_module("torch" if name == reference.NAME else name)
    gradients = module.conv_backward((call,), (d_out.contiguous(),))[0]
    return [g.contiguous() for g in gradients.tensors() if g is not None]


@_scan.register_fake
def _scan_shapes(u: Tensor, delta: Tensor, A: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    cu_seqlens = rest[7]
    runs = u.shape[0] if cu_seqlens is None else cu_seqlens.shape[0] - 1
    return u.new_empty(u.shape), A.new_empty(runs, *A.shape)


@_conv.register_fake
def _conv_shapes(x: Tensor, *rest: Any) -> Tensor:
    return x.new_empty(x.shape)


@_scan_backward.register_fake
def _scan_backward_shapes(d_out: Tensor, d_last: Tensor | None, *rest: Any) -> list[Tensor]:
    return [t.new_empty(t.shape) for t in rest[:9] if t is not None]


@_conv_backward.register_fake
def _conv_backward_shapes(d_out: Tensor, *rest: Any) -> list[Tensor]:
    return [t.new_empty(t.shape) for t in rest[:4] if t is not None]


def _is_transformed() -> bool:
    """Say whether ``torch.func`` watches and no compiler does."""
    return not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active()


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    """Save tensors and flags of a call for its backward operator."""
    ctx.set_materialize_grads(False)
    is_tensor = [isinstance(value, Tensor) for value in inputs]
    ctx.flags = [None if tensor else v for tensor, v in zip(is_tensor, inputs, strict=True)]
    ctx.is_tensor = is_tensor
    ctx.save_for_backward(*(v for tensor, v in zip(is_tensor, inputs, strict=True) if tensor))


def _kept(ctx: Any) -> list[Any]:
    saved = iter(ctx.saved_tensors)
    pairs = zip(ctx.is_tensor, ctx.flags, strict=True)
    return [next(saved) if tensor else flag for tensor, flag in pairs]


def _scan_gradients(
    ctx: Any, d_out: Tensor | None, d_last: Tensor | None
) -> tuple[Tensor | None, ...]:
    inputs = _kept(ctx)
    d_out = torch.zeros_like(inputs[0]) if d_out is None else d_out
    with torch.no_grad():
        gradients = _scan_backward(d_out, d_last, *inputs)
    guarded = first_order_only("custom operator", (*inputs, d_out, d_last), gradients)
    return _in_place_of(inputs, 9, guarded)


def _conv_gradients(ctx: Any, d_out: Tensor | None) -> tuple[Tensor | None, ...]:
    inputs = _kept(ctx)
    d_out = torch.zeros_like(inputs[0]) if d_out is None else d_out
    with torch.no_grad():
        gradients = _conv_backward(d_out, *inputs)
    guarded = first_order_only("custom operator", (*inputs, d_out), gradients)
    return _in_place_of(inputs, 4, guarded)


def _in_place_of(
    inputs: Sequence[Any], differentiable: int, gradients: Sequence[Tensor | None]
) -> tuple[Tensor | None, ...]:
    """Put gradients where the inputs are not None, and None elsewhere."""
    given = iter(gradients)
    head = (None if value is None else next(given) for value in inputs[:differentiable])
    return (*head, *[None] * (len(inputs) - differentiable))


class _FirstOrder(Function):
    """Gradients whose own derivative raises instead of being silently zero."""

    generate_vmap_rule = True

    @staticmethod
    def forward(name: str, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(t.clone() for t in tensors[:count])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.name = inputs[0]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        raise BackendError(
            f'backend {ctx.name!r} has no second derivative. Use backend="reference".'
        )


class _ScanFunction(Function):
    """The scan operator for ``torch.func``, which does not see an operator's own autograd."""

    generate_vmap_rule = True
    setup_context = staticmethod(_keep)
    backward = staticmethod(_scan_gradients)

    @staticmethod
    def forward(*inputs: Any) -> tuple[Tensor, Tensor]:
        with torch.no_grad():  # else the operator would look for its own autograd under vmap
            out, last_state = _scan(*inputs)
        return out, last_state


class _ConvFunction(Function):
    """The convolution operator for ``torch.func``."""

    generate_vmap_rule = True
    setup_context = staticmethod(_keep)
    backward = staticmethod(_conv_gradients)

    @staticmethod
    def forward(*inputs: Any) -> Tensor:
        with torch.no_grad():
            out: Tensor = _conv(*inputs)
        return out


_scan.register_autograd(_scan_gradients, setup_context=_keep)
_conv.register_autograd(_conv_gradients, setup_context=_keep)


def _one_by_one(operator: Callable[..., Any]) -> Callable[..., Any]:
    """Return a vmap rule that calls the operator for each element and stacks the results."""

    def rule(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Any, Any]:
        outputs = [
            operator(
                *(
                    value if dim is None else value.select(dim, i)
                    for value, dim in zip(inputs, in_dims, strict=True)
                )
            )
            for i in range(info.batch_size)
        ]
        if isinstance(outputs[0], Tensor):
            return torch.stack(outputs), 0
        stacked = type(outputs[0])(torch.stack(parts) for parts in zip(*outputs, strict=True))
        return stacked, type(outputs[0])(0 for _ in stacked)

    return rule


for _operator in (_scan, _scan_backward, _conv, _conv_backward):
    _operator.register_vmap(_one_by_one(_operator))
