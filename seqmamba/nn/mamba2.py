"""The Mamba-2 block: one decay per head, scan in matrix products, gated norm."""

import math

import torch
from torch import Tensor, nn

from seqmamba.errors import ConfigError
from seqmamba.kernels import ConvArguments, causal_conv1d, conv_pair, conv_step, ssd, ssd_step
from seqmamba.nn.branch import (
    DtInit,
    ScanParameters,
    State,
    dt_bias_init,
    exempt_from_decay,
    negative_exp,
)
from seqmamba.nn.norm import GatedRMSNorm

__all__ = ["Mamba2"]

_Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]  # x, dt, A, B, C, D


class Mamba2(ScanParameters, nn.Module):
    r"""Mamba-2 block: (B, L, D) -> (B, L, D).

    .. math::
        z, xBC, dt &= \mathrm{in\_proj}(u), \qquad x, B, C = \mathrm{silu}(\mathrm{conv}(xBC)) \\
        y &= \mathrm{ssd}(x, \mathrm{softplus}(dt + b), -e^{A_{log}}, B, C, D) \\
        \mathrm{out} &= \mathrm{out\_proj}(\mathrm{norm}(y \odot \mathrm{silu}(z)))

    Parameter names and shapes are those of ``mamba_ssm.Mamba2`` with its default form (d_ssm = E,
    rmsnorm, one D per head). Source: Dao & Gu, arXiv 2405.21060; kernels specification, 4.

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
    headdim : int or None
        Channels P per head, a divisor of E; None takes the largest common divisor of E and 64.
    ngroups : int
        Groups of heads that share B and C.
    A_init_range : (float, float)
        Decay rates start uniform in it.
    norm_before_gate : bool
        ``norm(y) * silu(z)`` in place of ``norm(y * silu(z))``.
    dt_min, dt_max, dt_init_floor : float
        Steps start log-uniform in [dt_min, dt_max], at least dt_init_floor.
    dt_limit : (float, float)
        Bounds of the step after softplus.
    bias, conv_bias : bool
        Bias of the two projections; of the convolution.
    chunk_size : int
        Tokens per matrix product; rounding and speed only. The published 256 suits a GPU; the
        products of 64 fit the caches of a CPU.
    reverse : bool
        Read from the last real token to the first.
    backend : str
        Kernel back-end of the convolution.
    """

    float32_parameters = ("A_log", "D", "dt_bias")

    def __init__(
        self,
        d_model: int,
        d_state: int = 128,
        d_conv: int = 4,
        expand: float = 2,
        headdim: int | None = 64,
        ngroups: int = 1,
        A_init_range: tuple[float, float] = (1.0, 16.0),
        norm_before_gate: bool = False,
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        dt_init_floor: float = 1e-4,
        dt_limit: tuple[float, float] = (0.0, math.inf),
        bias: bool = False,
        conv_bias: bool = True,
        chunk_size: int = 64,
        *,
        reverse: bool = False,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self.d_inner = int(expand * d_model)
        self.d_state, self.ngroups = d_state, ngroups
        self.headdim = math.gcd(self.d_inner, 64) if headdim is None else headdim
        self.n_heads, rest = divmod(self.d_inner, self.headdim)
        if rest or self.n_heads % ngroups:
            raise ConfigError(
                f"the inner width {self.d_inner} (expand * d_model) must be a multiple of headdim "
                f"* ngroups; got headdim={self.headdim}, ngroups={ngroups}. Pass headdim=None."
            )
        self.dt_limit, self.chunk_size = dt_limit, chunk_size
        self.reverse, self.backend = reverse, backend
        channels = self.d_inner + 2 * ngroups * d_state
        self.in_proj = nn.Linear(d_model, self.d_inner + channels + self.n_heads, bias=bias)
        self.conv1d = nn.Conv1d(
            channels, channels, d_conv, groups=channels, padding=d_conv - 1, bias=conv_bias
        )
        dt = DtInit(dt_min, dt_max, dt_init_floor)
        self.dt_bias = exempt_from_decay(nn.Parameter(dt_bias_init(self.n_heads, dt)))
        rates = torch.empty(self.n_heads).uniform_(*A_init_range)
        self.A_log = exempt_from_decay(nn.Parameter(rates.log()))
        self.D = exempt_from_decay(nn.Parameter(torch.ones(self.n_heads)))
        self.norm = GatedRMSNorm(self.d_inner, ngroups, norm_before_gate=norm_before_gate)
        self.out_proj = nn.Linear(self.d_inner, d_model, bias=bias)

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, lengths: Tensor | None = None
    ) -> Tensor:
        """Read ``x`` (B, L, D); ``mask`` (B, L) and ``lengths`` (B,) as in :class:`Mamba`."""
        z, xBC, dt = self._split(self.in_proj(x))
        conv = self._conv_arguments(xBC, self.reverse, mask, lengths)
        xBC = causal_conv1d(**conv, backend=self.backend)
        y = self._scan(xBC, dt, self.reverse, mask, lengths)
        out: Tensor = self.out_proj(self.norm(y, z))
        return out

    def both_ways(
        self, other: "Mamba2", x: Tensor, *, mask: Tensor | None, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Read ``x`` forwards with this block and backwards with another; see :class:`Mamba`."""
        projected = self.in_proj(x)
        z, xBC, dt = self._split(projected)
        z_back, back, dt_back = self._split(projected if other is self else other.in_proj(x))
        xBC, back = conv_pair(
            self._conv_arguments(xBC, False, mask, lengths),
            other._conv_arguments(back, True, mask, lengths),
            backend=self.backend,
        )
        y = self._scan(xBC, dt, False, mask, lengths)
        y_back = other._scan(back, dt_back, True, mask, lengths)
        return self.norm(y, z), other.norm(y_back, z_back)

    def resume(
        self, x: Tensor, state: State, *, mask: Tensor | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Read the continuation ``x`` (B, L, D) of a sequence; return the output and new state.

        ``state`` itself is left as it was.
        """
        self._check_streaming()
        z, xBC, dt = self._split(self.in_proj(x))
        conv = self._conv_arguments(xBC, False, mask, lengths)
        conv["initial_state"] = state.conv
        xBC, conv_state = causal_conv1d(**conv, return_last_state=True, backend=self.backend)
        y, ssm_state = ssd(
            *self._inputs(xBC, dt),
            dt_bias=self.dt_bias,
            dt_softplus=True,
            dt_limit=self.dt_limit,
            chunk_size=self.chunk_size,
            initial_state=state.ssm,
            mask=mask,
            lengths=lengths,
            return_last_state=True,
        )
        return self.out_proj(self.norm(y.flatten(-2), z)), State(conv_state, ssm_state)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Read one token ``x`` (B, D); ``state`` is updated in place and returned."""
        self._check_streaming()
        z, xBC, dt = self._split(self.in_proj(x))
        weight, bias = self.conv1d.weight, self.conv1d.bias
        xBC = conv_step(state.conv, xBC, weight, bias, "silu", backend=self.backend)
        y = ssd_step(
            state.ssm,
            *self._inputs(xBC, dt),
            dt_bias=self.dt_bias,
            dt_softplus=True,
            dt_limit=self.dt_limit,
        )
        return self.out_proj(self.norm(y.flatten(-2), z)), state

    def init_state(self, batch: int) -> State:
        """Return the state before the first token, zeros."""
        self._check_streaming()
        channels, _, taps = self.conv1d.weight.shape
        conv = self.in_proj.weight.new_zeros(batch, channels, taps)
        return State(conv, self.A_log.new_zeros(batch, self.n_heads, self.headdim, self.d_state))

    def allocate_inference_cache(self, batch: int) -> tuple[Tensor, Tensor]:
        """Return ``init_state`` under the name that mamba-ssm gives it."""
        return self.init_state(batch)

    def _split(self, projected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return gate (..., E), input of the convolution (..., E + 2GN) and step (..., H)."""
        sizes = [self.d_inner, self.conv1d.in_channels, self.n_heads]
        z, xBC, dt = torch.split(projected, sizes, -1)
        return z, xBC, dt

    def _heads(self, xBC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return x (..., H, P), B and C (..., G, N)."""
        rows = self.ngroups * self.d_state
        x, B, C = torch.split(xBC, [self.d_inner, rows, rows], -1)
        front = xBC.shape[:-1]
        groups = (*front, self.ngroups, self.d_state)
        return x.view(*front, self.n_heads, self.headdim), B.view(groups), C.view(groups)

    def _conv_arguments(
        self, xBC: Tensor, reverse: bool, mask: Tensor | None, lengths: Tensor | None
    ) -> ConvArguments:
        return {
            "x": xBC,
            "weight": self.conv1d.weight,
            "bias": self.conv1d.bias,
            "activation": "silu",
            "mask": mask,
            "lengths": lengths,
            "reverse": reverse,
        }

    def _scan(
        self, xBC: Tensor, dt: Tensor, reverse: bool, mask: Tensor | None, lengths: Tensor | None
    ) -> Tensor:
        """Return the output (B, L, E) of the scan."""
        y = ssd(
            *self._inputs(xBC, dt),
            dt_bias=self.dt_bias,
            dt_softplus=True,
            dt_limit=self.dt_limit,
            chunk_size=self.chunk_size,
            mask=mask,
            lengths=lengths,
            reverse=reverse,
        )
        return y.flatten(-2)

    def _inputs(self, xBC: Tensor, dt: Tensor) -> _Inputs:
        """Return x, dt, A, B, C and D of the scan."""
        x, B, C = self._heads(xBC)
        return x, dt, negative_exp(self.A_log), B, C, self.D

    def _check_streaming(self) -> None:
        if self.reverse:
            raise ConfigError(
                "a Mamba-2 block with reverse=True reads ahead and cannot go token by token; "
                "streaming needs direction 'causal'"
            )
