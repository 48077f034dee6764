"""States and adjoints of a few tokens."""

import torch
from torch import Tensor

from seqmamba.kernels.torch_scan.rows import Rows

__all__ = ["Chunk", "Sums", "contract"]


class Chunk:
    """States of a block of rows over a few tokens, tokens first."""

    def __init__(self, rows: Rows, block: slice, tokens: slice) -> None:
        self.rows, self.block, self.tokens = rows, block, tokens
        self.u, self.step = self.part(rows.u), self.part(rows.step)  # (k, R, G, F)
        self.B, self.C = (m if m.ndim == 3 else self.part(m) for m in (rows.B, rows.C))
        self.decay = torch.mul(self.step[..., None], rows.A).exp_()  # (k, R, G, F, N)
        self.x = self.step * self.u

    def run(self, state: Tensor) -> Tensor:
        """Return the states before, between and after the tokens, (k + 1, R, G, F, N)."""
        states = self.rows.new(self.decay.shape[0] + 1, *self.decay.shape[1:])
        torch.mul(self.x[..., None], self.B, out=states[1:])
        states[0] = state
        steps = states.unbind(0)
        for t, decay in enumerate(self.decay.unbind(0)):
            steps[t + 1].addcmul_(decay, steps[t])
        return states

    def part(self, value: Tensor) -> Tensor:
        """Return the tokens of this chunk from (R, T, ...) as (k, R, ...)."""
        return value[self.block, self.tokens].transpose(0, 1)

    def windows(self, value: Tensor) -> Tensor:
        """View (k, ...) as (windows, tokens of a window, ...)."""
        return value.view(-1, self.rows.scan.window, *value.shape[1:])

    def reached(self, states: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return h (k, R, G, F, N) and, for windows, b_{t+1} with 0 at the end of a window."""
        if self.rows.scan.window == 1:
            return states[1:], None
        pulse, decay = self.windows(self.x[..., None] * self.B), self.windows(self.decay)
        behind = torch.zeros_like(pulse)
        for j in range(pulse.shape[1] - 2, -1, -1):
            behind[:, j] = pulse[:, j + 1] + decay[:, j + 1] * behind[:, j + 1]
        behind = behind.flatten(0, 1)
        return torch.addcmul(states[1:], self.decay, behind), behind

    def adjoints(self, d_h: Tensor, after: Tensor) -> Tensor:
        """Turn C_t d_y_t (k, R, G, F, N) into F_t in place; return the adjoint before the chunk."""
        steps, decays = d_h.unbind(0), self.decay.unbind(0)
        steps[-1].add_(after)
        for t in range(len(steps) - 2, -1, -1):
            steps[t].addcmul_(decays[t + 1], steps[t + 1])
        return decays[0] * steps[0]

    def backward(self, d_y: Tensor, state: Tensor, after: Tensor, sums: "Sums") -> Tensor:
        """Add the gradients of this chunk to ``sums``; return the adjoint before the chunk."""
        states = self.run(state)
        reached, behind = self.reached(states)
        sums.store(sums.y, self, contract(reached, self.C))
        sums.collect(sums.C, self, d_y, reached)
        d_h = d_y[..., None] * self.C
        inside = None if behind is None else self._inside(d_h)
        direct = d_h.clone() if inside is not None else d_h
        before = self.adjoints(d_h, after)
        d_decay = states[:-1].mul_(d_h)  # of a_t, from here on times a_t
        if inside is not None and behind is not None:
            d_decay.addcmul_(inside, behind)
            d_h.add_(inside).sub_(direct)
        d_decay.mul_(self.decay)
        sums.collect(sums.B, self, self.x, d_h)
        sums.store(sums.q, self, contract(d_h, self.B))
        sums.store(sums.r, self, (d_decay * self.rows.A).sum(-1))
        sums.A += d_decay.mul_(self.step[..., None]).sum((0, 1))
        return before

    def _inside(self, d_h: Tensor) -> Tensor:
        """Return S_t, the adjoint of the backward half of each window."""
        inside, decay = self.windows(d_h.clone()), self.windows(self.decay)
        for j in range(1, inside.shape[1]):
            inside[:, j] += decay[:, j - 1] * inside[:, j - 1]
        return inside.flatten(0, 1)


class Sums:
    """Gradients that chunks add to: rows (R, T, ...) and parameters."""

    def __init__(self, rows: Rows) -> None:
        self.y, self.q, self.r = (rows.new(*rows.u.shape) for _ in range(3))
        self.A = rows.new(*rows.A.shape).zero_()
        self.B, self.C = (rows.new(*m.shape).zero_() for m in (rows.B, rows.C))

    @staticmethod
    def store(target: Tensor, chunk: Chunk, value: Tensor) -> None:
        """Write (k, R, ...) to its place in rows."""
        target[chunk.block, chunk.tokens] = value.transpose(0, 1)

    def collect(self, target: Tensor, chunk: Chunk, weight: Tensor, states: Tensor) -> None:
        """Sum weight (k, R, G, F) times states (k, R, G, F, N) over what a matrix is shared by."""
        if target.ndim == 3:
            target += (weight[..., None] * states).sum((0, 1))
        else:
            self.store(target, chunk, weight[..., None, :] @ states)


def contract(states: Tensor, matrix: Tensor) -> Tensor:
    """Sum over N: (k, R, G, F, N) with (k, R, G, 1, N) or (G, F, N) to (k, R, G, F)."""
    if matrix.ndim == 3:
        return (states * matrix).sum(-1)
    return (states @ matrix.mT).squeeze(-1)
