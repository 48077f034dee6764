"""Memory that the scan kernels of a GPU write to, and the sums that make gradients of it.

Partial sums are added along their first axis by one reduction of torch, whose order is fixed: no
atomic additions, so that two runs give the same bits.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from seqmamba.kernels.gpu.plan import ScanShape, ceil_div
from seqmamba.kernels.problem import Gradients, Scan

__all__ = ["Partials", "checkpoints", "empty_gradients", "partials", "stream"]


@dataclass(frozen=True, slots=True)
class Partials:
    """Gradients as the kernels write them."""

    u: Tensor  # (B, L, E)
    delta: Tensor  # (B, L, E)
    z: Tensor | None  # (B, L, E)
    B: Tensor | None  # (blocks, B, L, G, N); None if B is constant
    C: Tensor | None  # (blocks, B, L, G, N); None if C is constant
    parameters: Tensor  # (pieces, rows, E): N of A, N of a constant B, of C, one of D, of the bias
    initial_state: Tensor | None  # (S, E, N)

    def add_up(self, scan: Scan) -> Gradients:
        """Return the gradients of a scan."""
        states = scan.A.shape[1]
        rows = self.parameters.sum(0)  # (rows, E)
        wide = [block.t().contiguous() for block in torch.split(rows[:-2], states)]
        constant = iter(wide[1:])
        B = next(constant) if self.B is None else _sum(self.B, scan.B.dtype)
        C = next(constant) if self.C is None else _sum(self.C, scan.C.dtype)
        return Gradients(
            u=self.u,
            delta=self.delta,
            A=wide[0],
            B=B,
            C=C,
            D=None if scan.D is None else rows[-2],
            z=self.z,
            delta_bias=None if scan.delta_bias is None else rows[-1],
            initial_state=self.initial_state,
        )


def stream(like: Tensor, scan: Scan, *size: int) -> Tensor:
    """Return room for one value per token: zeros where a kernel does not reach padding."""
    make = torch.empty if scan.lengths is None else torch.zeros
    return make(size or like.shape, dtype=like.dtype, device=like.device)


def checkpoints(scan: Scan, shape: ScanShape, tokens: int) -> Tensor:
    """Return room for the states before all pieces of so many tokens but the first of each run.

    The result is (pieces, N, E). A packed run that starts at token s has its pieces from
    ``s // tokens`` on.
    """
    if scan.cu_seqlens is None:
        count = shape.batch * (ceil_div(max(shape.length, 1), tokens) - 1)
    else:
        count = shape.length // tokens
    return scan.A.new_empty(count, shape.states, shape.width)


def partials(scan: Scan, shape: ScanShape, blocks: int, pieces: int) -> Partials:
    """Return room for the gradients of a scan.

    Parameters
    ----------
    scan : Scan
    shape : ScanShape
    blocks : int
        Blocks of channels per group.
    pieces : int
        Programs that sum the gradients of parameters of one channel.
    """
    tokens = (blocks, shape.batch, shape.length, shape.groups, shape.states)
    constant = sum(matrix.ndim == 2 for matrix in (scan.B, scan.C))
    B, C = (
        None if matrix.ndim == 2 else stream(scan.A, scan, *tokens) for matrix in (scan.B, scan.C)
    )
    return Partials(
        u=stream(scan.u, scan),
        delta=stream(scan.u, scan),
        z=None if scan.z is None else stream(scan.u, scan),
        B=B,
        C=C,
        parameters=scan.A.new_empty(pieces, shape.states * (1 + constant) + 2, shape.width),
        initial_state=(
            None if scan.initial_state is None else scan.A.new_empty(shape.runs, *scan.A.shape)
        ),
    )


def empty_gradients(scan: Scan) -> Gradients:
    """Return zeros for a scan without tokens or states."""
    found = [
        None if t is None else torch.zeros(t.shape, dtype=t.dtype, device=t.device)
        for t in scan.tensors()
    ]
    return Gradients(*found)  # type: ignore[arg-type]  # None only where the input is None


def _sum(partial: Tensor, dtype: torch.dtype) -> Tensor:
    total = partial[0] if partial.shape[0] == 1 else partial.sum(0)
    return total.to(dtype)
