"""The Mamba-1 block: projection, convolution, selective scan, gate, projection."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from seqmamba.errors import ConfigError
from seqmamba.kernels import (
    causal_conv1d,
    conv_pair,
    conv_step,
    scan_pair,
    selective_scan,
    state_step,
)
from seqmamba.nn.branch import (
    BranchSize,
    DtInit,
    ScanParameters,
    State,
    add_branch,
    branch_of,
    negative_exp,
)
from seqmamba.nn.order import take

__all__ = ["Mamba", "Window", "resolve_dt_rank", "window_at"]

Window = int | Literal["lb"]


class Mamba(ScanParameters, nn.Module):
    r"""Mamba-1 block: (B, L, D) -> (B, L, D).

    .. math::
        x, z &= \mathrm{in\_proj}(u), \qquad x = \mathrm{silu}(\mathrm{conv}(x)) \\
        \delta, B, C &= \mathrm{x\_proj}(x), \qquad
            y = \mathrm{scan}(x, \mathrm{softplus}(W\delta + b), -e^{A_{log}}, B, C, D) \\
        \mathrm{out} &= \mathrm{out\_proj}(y \odot \mathrm{silu}(z))

    Parameter names and shapes are those of ``mamba_ssm.Mamba``: state dicts move both ways.
    Source: Gu & Dao, arXiv 2312.00752; kernels specification, 3.

    Parameters
    ----------
    d_model : int
        Width D.
    d_state : int
        State size N per channel.
    d_conv : int
        Taps W of the convolution.
    expand : float
        The inner width E is ``int(expand * d_model)``.
    dt_rank : int or "auto"
        Rank R of the step projection; "auto" is ceil(D / 16).
    dt_min, dt_max, dt_init_floor : float
        Steps start log-uniform in [dt_min, dt_max], at least dt_init_floor.
    dt_init : {"random", "constant"}
        Weights of the step projection: uniform in +-R^-0.5 * dt_scale, or that constant.
    dt_scale : float
    conv_bias, bias : bool
        Bias of the convolution; of the two projections.
    reverse : bool
        Read from the last real token to the first.
    window : int or "lb"
        Power of two; above 1 the scan also looks back from the end of each window (LBMamba, arXiv
        2506.15976). "lb" is the released choice by padded length: 4 to 128 tokens, 8 to 256, then
        16; rows of a batch then depend on its longest.
    backend : str
        Kernel back-end.

    Examples
    --------
    >>> Mamba(16)(torch.zeros(2, 5, 16)).shape
    torch.Size([2, 5, 16])
    """

    float32_parameters = ("A_log", "D", "dt_proj.bias")

    def __init__(
        self,
        d_model: int,
        d_state: int = 16,
        d_conv: int = 4,
        expand: float = 2,
        dt_rank: int | Literal["auto"] = "auto",
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        dt_init: Literal["random", "constant"] = "random",
        dt_scale: float = 1.0,
        dt_init_floor: float = 1e-4,
        conv_bias: bool = True,
        bias: bool = False,
        *,
        reverse: bool = False,
        window: Window = 1,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self.d_inner = int(expand * d_model)
        rank = resolve_dt_rank(dt_rank, d_model)
        self.reverse = reverse
        self.window = window
        self.backend = backend
        self.in_proj = nn.Linear(d_model, 2 * self.d_inner, bias=bias)
        dt = DtInit(dt_min, dt_max, dt_init_floor, dt_scale, dt_init)
        add_branch(self, BranchSize(self.d_inner, d_state, d_conv, rank, conv_bias), dt)
        self.out_proj = nn.Linear(self.d_inner, d_model, bias=bias)

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, lengths: Tensor | None = None
    ) -> Tensor:
        """Read ``x`` (B, L, D).

        Parameters
        ----------
        x : Tensor (B, L, D)
        mask : Tensor (B, L) of bool, optional
            False at padding and holes: no influence on other positions.
        lengths : Tensor (B,) of int, optional
            Valid prefix of each row.

        Returns
        -------
        Tensor (B, L, D)
        """
        if mask is not None and self.window != 1:
            return self._aligned(x, mask)
        return self._read(x, mask, lengths)

    def _read(self, x: Tensor, mask: Tensor | None, lengths: Tensor | None) -> Tensor:
        u, z = self.in_proj(x).chunk(2, -1)  # (B, L, E) each
        branch = branch_of(self)
        reverse = self.reverse
        conv = branch.conv_arguments(u, reverse=reverse, mask=mask, lengths=lengths)
        u = causal_conv1d(**conv, backend=self.backend)
        scan = branch.scan_arguments(u, z, reverse=reverse, mask=mask, lengths=lengths)
        scan["window"] = window_at(self.window, x.shape[1])
        y: Tensor = self.out_proj(selective_scan(**scan, backend=self.backend))
        return y

    def _aligned(self, x: Tensor, mask: Tensor) -> Tensor:
        """Read with the windows counted from each row's first real token in reading order."""
        length = x.shape[1]
        place = torch.arange(length, device=x.device)
        if self.reverse:
            shift = torch.where(mask, place, -1).amax(1, keepdim=True) + 1
        else:
            shift = torch.where(mask, place, length).amin(1, keepdim=True)
        ahead, back = (place + shift) % length, (place - shift) % length  # (B, L)
        y = self._read(take(x, ahead), mask.gather(1, ahead), None)
        return take(y, back)

    def both_ways(
        self, other: "Mamba", x: Tensor, *, mask: Tensor | None, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Read ``x`` (B, L, D) forwards with this block and backwards with another, in one call.

        Returns the two gated outputs (B, L, E) before the output projections, both in the order
        of ``x``.
        """
        xz = self.in_proj(x)
        u, z = xz.chunk(2, -1)
        u_back, z_back = (xz if other is self else other.in_proj(x)).chunk(2, -1)
        ahead, back = branch_of(self), branch_of(other)
        u, u_back = conv_pair(
            ahead.conv_arguments(u, reverse=False, mask=mask, lengths=lengths),
            back.conv_arguments(u_back, reverse=True, mask=mask, lengths=lengths),
            backend=self.backend,
        )
        return scan_pair(
            ahead.scan_arguments(u, z, reverse=False, mask=mask, lengths=lengths),
            back.scan_arguments(u_back, z_back, reverse=True, mask=mask, lengths=lengths),
            backend=self.backend,
        )

    def resume(
        self, x: Tensor, state: State, *, mask: Tensor | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Read the continuation ``x`` (B, L, D) of a sequence; return the output and new state.

        ``state`` itself is left as it was.
        """
        self._check_streaming()
        u, z = self.in_proj(x).chunk(2, -1)
        branch = branch_of(self)
        conv = branch.conv_arguments(u, reverse=False, mask=mask, lengths=lengths)
        conv["initial_state"] = state.conv
        u, conv_state = causal_conv1d(**conv, return_last_state=True, backend=self.backend)
        scan = branch.scan_arguments(u, z, reverse=False, mask=mask, lengths=lengths)
        scan["initial_state"] = state.ssm
        y, ssm_state = selective_scan(**scan, return_last_state=True, backend=self.backend)
        return self.out_proj(y), State(conv_state, ssm_state)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Read one token ``x`` (B, D); ``state`` is updated in place and returned."""
        self._check_streaming()
        u, z = self.in_proj(x).chunk(2, -1)  # (B, E) each
        branch = branch_of(self)
        weight, bias = branch.conv1d.weight, branch.conv1d.bias
        u = conv_step(state.conv, u, weight, bias, "silu", backend=self.backend)
        delta, B, C = branch.select(u)
        A, D, dt_bias = negative_exp(branch.A_log), branch.D, branch.dt_proj.bias
        y = state_step(
            state.ssm, u, delta, A, B, C, D, z, dt_bias, delta_softplus=True, backend=self.backend
        )
        return self.out_proj(y), state

    def init_state(self, batch: int) -> State:
        """Return the state before the first token, zeros."""
        self._check_streaming()
        weight, A_log = self.in_proj.weight, branch_of(self).A_log
        taps = branch_of(self).conv1d.kernel_size[0]
        conv = weight.new_zeros(batch, self.d_inner, taps)
        return State(conv, A_log.new_zeros(batch, *A_log.shape))

    def allocate_inference_cache(self, batch: int) -> tuple[Tensor, Tensor]:
        """Return ``init_state`` under the name that mamba-ssm gives it."""
        return self.init_state(batch)

    def _check_streaming(self) -> None:
        if self.reverse or self.window != 1:
            kind = "reverse=True" if self.reverse else f"window={self.window!r}"
            raise ConfigError(
                f"a Mamba block with {kind} reads ahead and cannot go token by token; "
                "streaming needs direction 'causal'"
            )


def resolve_dt_rank(dt_rank: int | Literal["auto"], d_model: int) -> int:
    """Return the rank of the step projection."""
    return math.ceil(d_model / 16) if dt_rank == "auto" else dt_rank


def window_at(window: Window, length: int) -> int:
    """Return the window for a length; "lb" follows the released LBMamba kernel."""
    if window != "lb":
        return window
    return 4 if length <= 128 else 8 if length <= 256 else 16
