"""Blocks with one projection and two branches: Vision Mamba and the two of MambaMIL."""

from typing import Literal, cast

import torch
from torch import Tensor, nn

from seqmamba.kernels import ScanArguments, causal_conv1d, conv_pair, scan_pair
from seqmamba.nn.branch import (
    BranchSize,
    DtInit,
    ScanParameters,
    add_branch,
    add_spectrum,
    branch_of,
    negative_exp,
)
from seqmamba.nn.mamba import resolve_dt_rank
from seqmamba.nn.order import Order, reorder, take

__all__ = ["TwoBranchDirection", "TwoBranchMamba"]

TwoBranchDirection = Literal["vim_v1", "vim_v2", "mil_bi", "mil_sr"]


class TwoBranchMamba(ScanParameters, nn.Module):
    """Shared projections around a forward and a second branch: (B, L, D) -> (B, L, D).

    ==========  ==========================================================================
    direction   second branch
    ==========  ==========================================================================
    "vim_v1"    convolution, step, B, C of the first, read backwards with its own decay
    "vim_v2"    all its own, read backwards
    "mil_bi"    as vim_v2, starting with the same steps as the first
    "mil_sr"    all its own, read forwards in the order of :func:`seqmamba.nn.order.reorder`
    ==========  ==========================================================================

    The two gated outputs are summed (and halved with ``divide_out``) before ``out_proj``.
    Parameter names are those of the released code: the block of :class:`seqmamba.nn.Mamba` and
    ``A_b_log, D_b, conv1d_b, x_proj_b, dt_proj_b`` (only ``A_b_log`` for vim_v1).
    Sources: Vision Mamba, arXiv 2401.09417; MambaMIL, arXiv 2403.06800; kernels specification, 5.

    Parameters
    ----------
    d_model, d_state, d_conv, expand, dt_rank, backend
        As in :class:`seqmamba.nn.Mamba`.
    direction : {"vim_v1", "vim_v2", "mil_bi", "mil_sr"}
    divide_out : bool or None
        None: True for vim_v2, as all released models have it, else False.
    dt_init_b : {"same", "vim"}
        Start of the second branch's steps: those of the first, or released Vision Mamba's, where
        all start at 0.69. No meaning for vim_v1.
    rate : int
        Tokens per line of the reordering (mil_sr).
    pad_mode : {"masked", "reference"}
        Empty places of the reordering's last line: no tokens, or zeros that pass the convolution's
        bias into the state as in the released code.
    """

    def __init__(
        self,
        d_model: int,
        d_state: int = 16,
        d_conv: int = 4,
        expand: float = 2,
        dt_rank: int | Literal["auto"] = "auto",
        *,
        direction: TwoBranchDirection = "vim_v2",
        divide_out: bool | None = None,
        dt_init_b: Literal["same", "vim"] = "same",
        rate: int = 10,
        pad_mode: Literal["masked", "reference"] = "masked",
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self.d_inner = int(expand * d_model)
        self.direction = direction
        self.divide_out = direction == "vim_v2" if divide_out is None else divide_out
        self.rate, self.pad_mode = rate, pad_mode
        self.backend = backend
        size = BranchSize(self.d_inner, d_state, d_conv, resolve_dt_rank(dt_rank, d_model))
        self.in_proj = nn.Linear(d_model, 2 * self.d_inner, bias=False)
        add_branch(self, size, DtInit())
        self.float32_parameters = ("A_log", "D", "dt_proj.bias", "A_b_log")
        if direction == "vim_v1":
            add_spectrum(self, size, "_b")
        else:
            self._add_second(size, dt_init_b)
        self.out_proj = nn.Linear(self.d_inner, d_model, bias=False)

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, lengths: Tensor | None = None
    ) -> Tensor:
        """Read ``x`` (B, L, D); ``mask`` (B, L) and ``lengths`` (B,) as in Mamba."""
        xz = self.in_proj(x)  # (B, L, 2E)
        if self.direction == "vim_v1":
            y = self._one_selection(xz, mask, lengths)
        elif self.direction == "mil_sr":
            y = self._reordered(xz, mask, lengths)
        else:
            y = self._backwards(xz, mask, lengths)
        out: Tensor = self.out_proj(y)
        return out * 0.5 if self.divide_out else out  # halving is exact: the order is free

    def _one_selection(self, xz: Tensor, mask: Tensor | None, lengths: Tensor | None) -> Tensor:
        u, z = xz.chunk(2, -1)
        branch = branch_of(self)
        conv = branch.conv_arguments(u, reverse=False, mask=mask, lengths=lengths)
        u = causal_conv1d(**conv, backend=self.backend)
        ahead = branch.scan_arguments(u, z, reverse=False, mask=mask, lengths=lengths)
        A_b_log = cast(Tensor, self.A_b_log)
        back: ScanArguments = {**ahead, "A": negative_exp(A_b_log), "reverse": True}
        y, y_back = scan_pair(ahead, back, backend=self.backend)
        return y + y_back

    def _backwards(self, xz: Tensor, mask: Tensor | None, lengths: Tensor | None) -> Tensor:
        u, z = xz.chunk(2, -1)
        first, second = branch_of(self), branch_of(self, "_b")
        u, u_back = conv_pair(
            first.conv_arguments(u, reverse=False, mask=mask, lengths=lengths),
            second.conv_arguments(u, reverse=True, mask=mask, lengths=lengths),
            backend=self.backend,
        )
        y, y_back = scan_pair(
            first.scan_arguments(u, z, reverse=False, mask=mask, lengths=lengths),
            second.scan_arguments(u_back, z, reverse=True, mask=mask, lengths=lengths),
            backend=self.backend,
        )
        return y + y_back

    def _reordered(self, xz: Tensor, mask: Tensor | None, lengths: Tensor | None) -> Tensor:
        order = reorder(
            xz.shape[1],
            self.rate,
            mask=mask,
            lengths=lengths,
            device=xz.device,
            keep_padding=self.pad_mode == "reference",
        )
        lines, keep = _in_order(xz, order)
        u, z = xz.chunk(2, -1)
        u_lines, z_lines = lines.chunk(2, -1)
        first, second = branch_of(self), branch_of(self, "_b")
        u, u_lines = conv_pair(
            first.conv_arguments(u, reverse=False, mask=mask, lengths=lengths),
            second.conv_arguments(u_lines, reverse=False, mask=keep, lengths=None),
            backend=self.backend,
        )
        y, y_lines = scan_pair(
            first.scan_arguments(u, z, reverse=False, mask=mask, lengths=lengths),
            second.scan_arguments(u_lines, z_lines, reverse=False, mask=keep, lengths=None),
            backend=self.backend,
        )
        return y + take(y_lines, order.inverse)

    def _add_second(self, size: BranchSize, dt_init_b: Literal["same", "vim"]) -> None:
        mode: Literal["plain", "random"] = "plain" if dt_init_b == "vim" else "random"
        add_branch(self, size, DtInit(mode=mode), "_b")
        if mode == "random":
            with torch.no_grad():
                branch_of(self, "_b").dt_proj.bias.copy_(branch_of(self).dt_proj.bias)
        self.float32_parameters += ("D_b", "dt_proj_b.bias")


def _in_order(xz: Tensor, order: Order) -> tuple[Tensor, Tensor | None]:
    """Return ``xz`` in a new order, (B, S, 2E), and which places are tokens, (B, S)."""
    lines = take(xz, order.source)
    if order.empty is not None:
        lines = lines.masked_fill(order.empty.unsqueeze(-1), 0)
    keep = order.keep
    return lines, None if keep is None else keep.expand(lines.shape[:2])
