"""Forward and backward of one scan, chunk by chunk."""

import torch
from torch import Tensor
from torch.nn import functional

from seqmamba.kernels.problem import Gradients, Result, Scan
from seqmamba.kernels.torch_scan.chunk import Chunk, Sums, contract
from seqmamba.kernels.torch_scan.rows import Rows

__all__ = ["scan_backward", "scan_forward"]


def scan_forward(scan: Scan, save: bool) -> Result:
    """Run a scan; ``saved`` holds the state before each chunk, (R, chunks, G, F, N)."""
    if scan.u.numel() == 0:
        return _empty_result(scan)
    rows = Rows(scan)
    start, count, chunks = _start_states(rows), rows.u.shape[0], rows.plan.chunks()
    y, last = torch.empty_like(rows.u), rows.new(count, *rows.A.shape)
    saved = rows.new(count, len(chunks), *rows.A.shape) if save else None
    for block in rows.blocks():
        state = start[block]
        for i, tokens in enumerate(chunks):
            if saved is not None:
                saved[block, i] = state
            chunk = Chunk(rows, block, tokens)
            states = chunk.run(state)
            y[block, tokens] = contract(chunk.reached(states)[0], chunk.C).transpose(0, 1)
            state = states[-1]
        last[block] = state
    out = rows.join(y)
    if scan.D is not None:
        out = torch.addcmul(out, scan.D, rows.join(rows.u))
    if scan.z is not None:
        out = out * functional.silu(rows.take(scan.z))
    last_state = last.view(rows.count, -1, *scan.A.shape)[:, -1]
    return Result(rows.runs.give(out).to(scan.u.dtype), last_state.contiguous(), saved)


def scan_backward(scan: Scan, result: Result, d_out: Tensor, d_last: Tensor | None) -> Gradients:
    """Return the gradients of a scan."""
    if scan.u.numel() == 0 or result.saved is None:
        return _empty_gradients(scan, d_last)
    rows, d_z = Rows(scan), None
    d_y = rows.take(d_out)
    if scan.z is not None:
        d_y, d_z = _through_gate(rows.take(scan.z), d_y)
    d_rows, sums = rows.cut(d_y), Sums(rows)
    adjoints = _end_adjoints(rows, d_rows, d_last)
    before = torch.empty_like(adjoints)
    for block in rows.blocks():
        adjoint = adjoints[block]
        for i, tokens in reversed(list(enumerate(rows.plan.chunks()))):
            chunk = Chunk(rows, block, tokens)
            adjoint = chunk.backward(chunk.part(d_rows), result.saved[block, i], adjoint, sums)
        before[block] = adjoint
    d_first = before.view(rows.count, -1, *scan.A.shape)[:, 0].contiguous()
    return _gradients(rows, sums, d_y, d_z, d_first)


def _through_gate(z: Tensor, d_out: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of y and, still without the factor y, of z."""
    logistic = torch.sigmoid(z)
    d_z = torch.sub(1, logistic).mul_(z).add_(1).mul_(logistic).mul_(d_out)
    return logistic.mul_(z).mul_(d_out), d_z


def _gradients(
    rows: Rows, sums: Sums, d_y: Tensor, d_z: Tensor | None, d_first: Tensor
) -> Gradients:
    """Turn the sums over chunks into gradients of the arguments."""
    scan, give, dtype = rows.scan, rows.runs.give, rows.scan.u.dtype
    u, q = rows.join(rows.u), rows.join(sums.q)
    d_step = rows.join(sums.r).addcmul_(u, q)
    if scan.delta_softplus:
        d_step = torch.ops.aten.softplus_backward(d_step, rows.raw_step(), 1, 20)
    d_step = rows.valid(d_step)
    d_u = q.mul_(rows.join(rows.step))  # q and y are not read again: their memory is reused
    if scan.D is not None:
        d_u.addcmul_(scan.D, d_y)
    if d_z is not None:
        y = rows.join(sums.y)
        y = y if scan.D is None else y.addcmul_(scan.D, u)
        d_z = give(d_z.mul_(y)).to(dtype)
    d_B, d_C = (
        value.flatten(0, 1)
        if value.ndim == 3
        else give(
            value.squeeze(3).reshape(rows.count, -1, rows.groups, value.shape[-1])[:, : rows.length]
        ).to(dtype)
        for value in (sums.B, sums.C)
    )
    return Gradients(
        u=give(d_u).to(dtype),
        delta=give(d_step).to(dtype),
        A=sums.A.flatten(0, 1),
        B=d_B,
        C=d_C,
        D=None if scan.D is None else (d_y * u).sum((0, 1)),
        z=d_z,
        delta_bias=None if scan.delta_bias is None else d_step.sum((0, 1)),
        initial_state=None if scan.initial_state is None else d_first,
    )


def _start_states(rows: Rows) -> Tensor:
    """Return the state before the first token of each row, (R, G, F, N)."""
    start = rows.scan.initial_state
    if start is None:
        start = rows.new(rows.count, *rows.A.shape).zero_()
    start = start.reshape(rows.count, *rows.A.shape)
    if rows.plan.segments == 1:
        return start
    ends = rows.new(rows.u.shape[0], *rows.A.shape)
    for block in rows.blocks():
        state = torch.zeros_like(ends[block])
        for tokens in rows.plan.chunks():
            state = Chunk(rows, block, tokens).run(state)[-1]
        ends[block] = state
    return rows.carry(ends, start, rows.step.sum(1))


def _end_adjoints(rows: Rows, d_y: Tensor, d_last: Tensor | None) -> Tensor:
    """Return the gradient of the state after the last token of each row, (R, G, F, N)."""
    end = rows.new(rows.count, *rows.A.shape).zero_()
    if d_last is not None:
        end = d_last.to(end.dtype).reshape(end.shape)
    if rows.plan.segments == 1:
        return end
    starts = rows.new(rows.u.shape[0], *rows.A.shape)
    for block in rows.blocks():
        adjoint = torch.zeros_like(starts[block])
        for tokens in reversed(rows.plan.chunks()):
            chunk = Chunk(rows, block, tokens)
            adjoint = chunk.adjoints(chunk.part(d_y)[..., None] * chunk.C, adjoint)
        starts[block] = adjoint
    # the same chain as for states, from the last segment of the last run to the first
    return rows.carry(starts.flip(0), end.flip(0), rows.step.sum(1).flip(0)).flip(0)


def _runs(scan: Scan) -> int:
    return scan.u.shape[0] if scan.cu_seqlens is None else scan.cu_seqlens.shape[0] - 1


def _empty_result(scan: Scan) -> Result:
    """Return the result of a scan without tokens."""
    last = scan.A.new_zeros(_runs(scan), *scan.A.shape)
    if scan.initial_state is not None:
        last.copy_(scan.initial_state)
    return Result(torch.empty_like(scan.u), last, scan.A.new_empty(0))


def _empty_gradients(scan: Scan, d_last: Tensor | None) -> Gradients:
    """Return zeros, and the gradient of the last state as that of the first."""
    start = scan.initial_state
    if start is not None:
        start = torch.zeros_like(start) if d_last is None else d_last.to(start.dtype)
    u, delta, A, B, C = (torch.zeros_like(t) for t in (scan.u, scan.delta, scan.A, scan.B, scan.C))
    D, z, bias = (
        None if t is None else torch.zeros_like(t) for t in (scan.D, scan.z, scan.delta_bias)
    )
    return Gradients(u, delta, A, B, C, D, z, bias, start)
