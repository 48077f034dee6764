"""A scan as plain rows of tokens in scan order, long ones cut into segments."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from seqmamba.kernels.problem import Scan
from seqmamba.kernels.runs import runs_of

__all__ = ["Plan", "Rows"]

CHUNK = 16  # tokens whose decays are formed at once
CHUNK_ELEMENTS = {"cpu": 1 << 18}  # of one chunk buffer: 1 MB of float32 stays in the cache
GPU_CHUNK_ELEMENTS = 1 << 24
STEP_ELEMENTS = {"cpu": 1 << 13}  # below, a step costs as much as its call
GPU_STEP_ELEMENTS = 1 << 18


@dataclass(frozen=True, slots=True)
class Plan:
    """How T tokens of S rows are cut; depends on shapes and the kind of device alone."""

    segments: int  # side by side along the tokens of each row
    tokens: int  # per segment, the end of the last one padded
    chunk: int
    rows: int  # worked on at once, segments counted as rows

    @classmethod
    def of(cls, rows: int, tokens: int, width: int, window: int, device: str) -> "Plan":
        """Choose the cut for rows of tokens with E * N = width states."""
        chunk = max(CHUNK, window)
        step = max(rows * width, 1)
        segments = STEP_ELEMENTS.get(device, GPU_STEP_ELEMENTS) // step
        segments = min(segments, math.isqrt(tokens))
        if segments < 4 or tokens < 8 * chunk:  # every decay is formed twice: not worth it
            segments = 1
        unit = chunk if segments > 1 else window
        per_segment = -(-tokens // (segments * unit)) * unit
        budget = CHUNK_ELEMENTS.get(device, GPU_CHUNK_ELEMENTS) // max(chunk * width, 1)
        return cls(segments, per_segment, chunk, max(budget // segments, 1) * segments)

    def chunks(self) -> list[slice]:
        """Return the chunks of a segment in order."""
        starts = range(0, self.tokens, self.chunk)
        return [slice(t, min(t + self.chunk, self.tokens)) for t in starts]


class Rows:
    """A scan as R = S * segments plain rows of T tokens, in the state dtype.

    ``u`` and ``step`` are (R, T, G, F), ``A`` is (G, F, N); ``B`` and ``C`` are (R, T, G, 1, N), or
    (G, F, N) if constant. F = E / G channels of a group.
    """

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self.runs = runs_of(scan.u, scan.lengths, scan.cu_seqlens, scan.mask, scan.reverse)
        u = self.take(scan.u)
        self.count, self.length, _ = u.shape
        self.plan = Plan.of(
            self.count, self.length, scan.A.numel(), scan.window, scan.u.device.type
        )
        self.groups = next((m.shape[2] for m in (scan.B, scan.C) if m.ndim == 4), 1)
        step = self.raw_step()
        step = functional.softplus(step) if scan.delta_softplus else step
        self.u, self.step = self.cut(u), self.cut(self.valid(step))
        self.A = scan.A.reshape(self.groups, -1, scan.A.shape[1])
        self.B, self.C = (
            m.reshape(self.A.shape) if m.ndim == 2 else self.cut(self.take(m))
            for m in (scan.B, scan.C)
        )

    def take(self, x: Tensor) -> Tensor:
        """Return (B, L, ...) as (S, length, ...) in the state dtype."""
        return self.runs.take(x).to(self.scan.A.dtype)

    def valid(self, x: Tensor) -> Tensor:
        """Return (S, length, E) with zeros at padding."""
        keep = self.runs.keep
        return x if keep is None else torch.where(keep[..., None], x, 0)

    def raw_step(self) -> Tensor:
        """Return delta + bias, (S, length, E)."""
        raw, bias = self.take(self.scan.delta), self.scan.delta_bias
        return raw if bias is None else raw + bias

    def cut(self, x: Tensor) -> Tensor:
        """Cut (S, length, X) or (S, length, G, N) into rows (R, T, G, ...)."""
        missing = self.plan.segments * self.plan.tokens - self.length
        if missing:
            x = torch.cat([x, x.new_zeros(x.shape[0], missing, *x.shape[2:])], 1)
        x = x.reshape(-1, self.plan.tokens, *x.shape[2:])
        return x.view(*x.shape[:2], self.groups, -1) if x.ndim == 3 else x.unsqueeze(3)

    def join(self, rows: Tensor) -> Tensor:
        """Join rows (R, T, G, F) to (S, length, E)."""
        return rows.reshape(self.count, -1, self.scan.u.shape[2])[:, : self.length]

    def new(self, *shape: int) -> Tensor:
        """Return an uninitialised tensor in the state dtype."""
        return torch.empty(shape, dtype=self.scan.A.dtype, device=self.scan.u.device)

    def blocks(self) -> Iterator[slice]:
        """Return blocks of rows that fit the cache."""
        total, step = self.u.shape[0], self.plan.rows
        return (slice(r, min(r + step, total)) for r in range(0, total, step))

    def carry(self, local: Tensor, first: Tensor, total: Tensor) -> Tensor:
        """Chain segments: value_0 = first, value_{p+1} = local_p + decay_p * value_p."""
        decay = (total[..., None] * self.A).exp_()  # of whole segments, (R, G, F, N)
        steps = zip(
            *(t.view(self.count, -1, *t.shape[1:]).unbind(1) for t in (decay, local)), strict=True
        )
        values = [first]
        for decay_p, local_p in steps:
            values.append(torch.addcmul(local_p, decay_p, values[-1]))
        return torch.stack(values[:-1], 1).flatten(0, 1)
