"""Scans and convolutions as differentiable operations of eager torch.

A call goes through an ``autograd.Function``, whose cost is small. Under ``torch.compile``,
``torch.export`` and ``torch.func`` it goes through the custom operators of
:mod:`seqmamba.kernels.ops.custom` instead, one opaque node each. The reference back-end is plain
torch and is traced as such.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import Parameter

from seqmamba.kernels import reference
from seqmamba.kernels.dispatch import Backend, backend_module, choose, requested
from seqmamba.kernels.ops import custom
from seqmamba.kernels.ops.custom import first_order_only
from seqmamba.kernels.problem import Call, Conv, ConvStep, Result, Scan, ScanStep

__all__ = ["run_conv_step", "run_convs", "run_scan_step", "run_scans"]


def run_scans(calls: Sequence[Scan], backend: str) -> list[tuple[Tensor, Tensor]]:
    """Return (out, last state) of each scan, in one parallel region where one back-end serves."""
    if _is_traced(calls[0].u):
        if requested(backend) == reference.NAME:
            return [reference.scan(call) for call in calls]
        return [custom.scan(call, backend) for call in calls]
    name = _common(calls, backend)
    if name is None:
        return [run_scans((call,), backend)[0] for call in calls]
    if name == reference.NAME:
        return [reference.scan(call) for call in calls]
    module, tensors = backend_module(name), [t for call in calls for t in call.tensors()]
    if not _wants_grad(tensors):
        return [(r.out, r.last_state) for r in module.forward(calls, False)]
    flat = _apply(_Scans, module, calls, *tensors)
    return [(flat[i], flat[i + 1]) for i in range(0, len(flat), 2)]


def run_convs(calls: Sequence[Conv], backend: str) -> list[Tensor]:
    """Return the output of each convolution, in one parallel region where one back-end serves."""
    if _is_traced(calls[0].x):
        if requested(backend) == reference.NAME:
            return [reference.conv(call) for call in calls]
        return [custom.conv(call, backend) for call in calls]
    name = _common(calls, backend)
    if name is None:
        return [run_convs((call,), backend)[0] for call in calls]
    if name == reference.NAME:
        return [reference.conv(call) for call in calls]
    module, tensors = backend_module(name), [t for call in calls for t in call.tensors()]
    if not _wants_grad(tensors):
        return module.conv_forward(calls)
    return list(_apply(_Convs, module, calls, *tensors))


def run_scan_step(step: ScanStep, backend: str) -> Tensor:
    """Run one token of a scan and update the state in place."""
    parts = (step.state, step.u, step.delta, step.A, step.B, step.C, step.D, step.z)
    if not _is_traced(step.u):
        name = choose(step, backend).name
        if name != reference.NAME and not _wants_grad((*parts, step.delta_bias)):
            return backend_module(name).scan_step(step)
    before = replace(step, state=step.state.clone())  # autograd keeps it, the state is overwritten
    out, state = reference.scan_step(before)
    step.state.copy_(state)
    return out


def run_conv_step(step: ConvStep, backend: str) -> Tensor:
    """Run one token of a convolution and update the state in place."""
    if not _is_traced(step.x):
        name = choose(step, backend).name
        if name != reference.NAME and not _wants_grad((step.state, step.x, step.weight, step.bias)):
            return backend_module(name).conv_step(step)
    out, state = reference.conv_step(replace(step, state=step.state.clone()))
    step.state.copy_(state)
    return out


class _Scans(Function):
    """Several scans on one back-end; saves inputs and checkpoints, recomputes the rest."""

    @staticmethod
    def forward(
        ctx: Any, module: Backend, calls: Sequence[Scan], *tensors: Tensor | None
    ) -> tuple[Tensor, ...]:
        results = module.forward(calls, True)
        borders = [t for call in calls for t in (call.lengths, call.cu_seqlens, call.mask)]
        ctx.save_for_backward(*tensors, *borders, *(result.saved for result in results))
        ctx.module = module
        ctx.flags = [(call.delta_softplus, call.reverse, call.window) for call in calls]
        ctx.set_materialize_grads(False)
        return tuple(t for result in results for t in (result.out, result.last_state))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        saved, count = ctx.saved_tensors, len(ctx.flags)
        scans, results, pairs = [], [], []
        for i, flags in enumerate(ctx.flags):
            borders = saved[9 * count + 3 * i : 9 * count + 3 * i + 3]
            scan = Scan(*saved[9 * i : 9 * i + 9], *borders, *flags)
            d_out, d_last = grads[2 * i], grads[2 * i + 1]
            d_out = torch.zeros_like(scan.u) if d_out is None else _unit_stride(d_out)
            scans.append(scan)
            pairs.append((d_out, None if d_last is None else _unit_stride(d_last)))
            results.append(Result(d_out, d_out, saved[12 * count + i]))
        with torch.no_grad():
            gradients = ctx.module.backward(scans, results, pairs)
        flat = [t for g in gradients for t in g.tensors()]
        return (None, None, *first_order_only(ctx.module.NAME, (*saved, *grads), flat))


class _Convs(Function):
    """Several convolutions on one back-end; saves the inputs alone."""

    @staticmethod
    def forward(
        ctx: Any, module: Backend, calls: Sequence[Conv], *tensors: Tensor | None
    ) -> tuple[Tensor, ...]:
        borders = [t for call in calls for t in (call.lengths, call.cu_seqlens, call.mask)]
        ctx.save_for_backward(*tensors, *borders)
        ctx.module = module
        ctx.flags = [(call.activation, call.reverse) for call in calls]
        ctx.set_materialize_grads(False)
        return tuple(module.conv_forward(calls))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        saved, count = ctx.saved_tensors, len(ctx.flags)
        convs, d_outs = [], []
        for i, flags in enumerate(ctx.flags):
            borders = saved[4 * count + 3 * i : 4 * count + 3 * i + 3]
            conv = Conv(*saved[4 * i : 4 * i + 4], *borders, *flags)
            d_out = grads[i]
            convs.append(conv)
            d_outs.append(torch.zeros_like(conv.x) if d_out is None else _unit_stride(d_out))
        with torch.no_grad():
            gradients = ctx.module.conv_backward(convs, d_outs)
        flat = [t for g in gradients for t in g.tensors()]
        return (None, None, *first_order_only(ctx.module.NAME, (*saved, *grads), flat))


def _apply(function: type[Function], *arguments: Any) -> tuple[Tensor, ...]:
    outputs: tuple[Tensor, ...] = function.apply(*arguments)  # type: ignore[no-untyped-call]
    return outputs  # torch leaves Function.apply without types


def _common(calls: Sequence[Call], backend: str) -> str | None:
    """Return the back-end that serves all calls, or None if they need different ones."""
    name = choose(calls[0], backend).name
    for call in calls[1:]:
        if choose(call, backend).name != name:
            return None
    return name


def _is_traced(x: Tensor) -> bool:
    """Say whether a transformation of torch watches: compile, export, vmap, grad, fake tensors."""
    return (
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or type(x) not in (Tensor, Parameter)
    )


def _wants_grad(tensors: Sequence[Tensor | None]) -> bool:
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


def _unit_stride(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 or x.shape[-1] < 2 else x.contiguous()
