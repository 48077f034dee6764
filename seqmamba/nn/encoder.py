"""The encoder that all tasks share: a stack of scan layers over a padded batch of sequences."""

import math
from typing import Any, Literal, Self, Unpack, cast, get_args, overload

import torch
from torch import Tensor, nn

from seqmamba.errors import ConfigError, DataError
from seqmamba.nn.block import ActivationName, Block, NormPosition
from seqmamba.nn.branch import State
from seqmamba.nn.directions import Direction, DirectionOptions, MixerName, MixerSize, make_mixer
from seqmamba.nn.norm import NormName, make_norm
from seqmamba.nn.presets import preset_settings
from seqmamba.params import nearest

__all__ = ["Encoder"]

Stacking = Literal["chain", "subtractive"]


class Encoder(nn.Module):
    r"""Stack of scan layers and a final norm: (B, L, D) -> (B, L, D).

    Masked positions influence no other position and are zero in the output; a flip is taken over
    the real part of each row. The output has the dtype of the input.

    Parameters
    ----------
    d_model : int
        Width D.
    n_layers : int
    mixer : {"mamba", "mamba2"}
    direction : str
        How a layer runs its scan: see :mod:`seqmamba.nn.directions`.
    d_state, d_conv : int
        State size N per channel; taps of the convolution.
    expand : float
        Inner width over D.
    dt_rank : int or "auto"
        Rank of the step projection ("mamba"); "auto" is ceil(D / 16).
    headdim : int or None
        Width of a head ("mamba2"); None takes the largest common divisor of the inner width and 64.
    norm, norm_position, norm_eps, d_ff, activation, dropout, mixer_dropout, mixer_residual
        As in :class:`Block`.
    drop_path : float
        Probability of leaving out a part of the last layer; rises from 0 at the first.
    stacking : {"chain", "subtractive"}
        "subtractive" feeds :math:`R_i = R_{i-1} - C(S_i)` to the next layer and returns
        :math:`\sum_i S_i`, with one linear map C for all layers (chaotic-forecasting
        specification, 2.3).
    residual_in_fp32 : bool
        Carry the residual of a half-precision pre-norm stack in float32.
    depth_init : bool or None
        Divide the start of the weights that end on the residual by the square root of their number
        and zero the biases, as mamba-ssm does; None: for pre-norm only.
    final_norm : bool
    backend : str
        Kernel back-end.
    **direction_options
        Options of the direction: :class:`seqmamba.nn.directions.DirectionOptions`.

    Raises
    ------
    ConfigError
        A setting is unknown or out of range.

    Examples
    --------
    >>> encoder = Encoder(16, 2, direction="bi_sum")
    >>> encoder(torch.zeros(3, 7, 16), lengths=torch.tensor([7, 4, 1])).shape
    torch.Size([3, 7, 16])
    """

    def __init__(
        self,
        d_model: int,
        n_layers: int,
        *,
        mixer: MixerName = "mamba",
        direction: Direction = "causal",
        d_state: int = 16,
        d_conv: int = 4,
        expand: float = 2,
        dt_rank: int | Literal["auto"] = "auto",
        headdim: int | None = None,
        norm: NormName = "rms",
        norm_position: NormPosition = "pre",
        norm_eps: float = 1e-5,
        d_ff: int | None = None,
        activation: ActivationName = "gelu",
        dropout: float = 0.0,
        mixer_dropout: float | None = None,
        drop_path: float = 0.0,
        mixer_residual: bool = True,
        stacking: Stacking = "chain",
        residual_in_fp32: bool = True,
        depth_init: bool | None = None,
        final_norm: bool = True,
        backend: str = "auto",
        **direction_options: Unpack[DirectionOptions],
    ) -> None:
        super().__init__()
        _check_name("mixer", mixer, MixerName)
        _check_name("direction", direction, Direction)
        _check_name("norm", norm, NormName)
        _check_name("norm_position", norm_position, NormPosition)
        _check_name("activation", activation, ActivationName)
        _check_name("stacking", stacking, Stacking)
        _check_sizes(d_model=d_model, n_layers=n_layers, d_state=d_state, d_conv=d_conv)
        self.d_model = d_model
        self.direction = direction
        self.wide_residual = residual_in_fp32 and norm_position == "pre" and norm != "none"
        size = MixerSize(d_state=d_state, d_conv=d_conv, expand=expand, backend=backend)
        size |= MixerSize(dt_rank=dt_rank) if mixer == "mamba" else MixerSize(headdim=headdim)

        def block(layer: int) -> Block:
            return Block(
                d_model,
                make_mixer(
                    d_model,
                    layer,
                    mixer=mixer,
                    direction=direction,
                    size=size,
                    options=direction_options,
                ),
                norm=norm,
                norm_position=norm_position,
                norm_eps=norm_eps,
                d_ff=d_ff,
                activation=activation,
                dropout=dropout,
                mixer_dropout=mixer_dropout,
                drop_path=drop_path * layer / max(n_layers - 1, 1),
                mixer_residual=mixer_residual,
            )

        self.layers = nn.ModuleList(block(layer) for layer in range(n_layers))
        self.subtract = nn.Linear(d_model, d_model) if stacking == "subtractive" else None
        self.norm_f = make_norm(norm if final_norm else "none", d_model, norm_eps)
        if norm_position == "pre" if depth_init is None else depth_init:
            self._scale_by_depth(n_layers * (1 if d_ff is None else 2))

    @property
    def blocks(self) -> list[Block]:
        """The layers, in order."""
        return [cast(Block, layer) for layer in self.layers]

    @classmethod
    def preset(cls, name: str, **overrides: Any) -> Self:
        """Build a published encoder by name; ``overrides`` replace single settings.

        Raises
        ------
        ConfigError
            No preset has that name.

        Examples
        --------
        >>> Encoder.preset("s-mamba", d_model=64).d_model
        64
        """
        return cls(**preset_settings(name, **overrides))

    @overload
    def forward(
        self,
        x: Tensor,
        *,
        mask: Tensor | None = None,
        lengths: Tensor | None = None,
        state: None = None,
    ) -> Tensor: ...

    @overload
    def forward(
        self,
        x: Tensor,
        *,
        mask: Tensor | None = None,
        lengths: Tensor | None = None,
        state: list[State],
    ) -> tuple[Tensor, list[State]]: ...

    def forward(
        self,
        x: Tensor,
        *,
        mask: Tensor | None = None,
        lengths: Tensor | None = None,
        state: list[State] | None = None,
    ) -> Tensor | tuple[Tensor, list[State]]:
        """Encode a batch.

        Parameters
        ----------
        x : Tensor (B, L, D), float
        mask : Tensor (B, L), bool, optional
            True = real token; padding may lie left, right or between.
        lengths : Tensor (B,), int, optional
            Real tokens of each row, padding on the right; with ``mask`` both must hold.
        state : list of State, optional
            State after the tokens before ``x``; "causal" only. It is not changed.

        Returns
        -------
        Tensor (B, L, D), or (Tensor, list of State) if ``state`` is given

        Raises
        ------
        DataError
            A shape does not fit.
        ConfigError
            The direction cannot continue from a state.
        """
        real, mask, lengths = self._read_rows(x, mask, lengths)
        h = x if real is None else x.masked_fill(~real, 0)  # NaN in padding must not reach weights
        if self.wide_residual and h.dtype in (torch.bfloat16, torch.float16):
            h = h.float()
        if state is not None:
            self._check_streaming()
        states: list[State] = []
        total: Tensor | None = None
        for i, layer in enumerate(self.blocks):
            if state is None:
                y = layer(h, mask=mask, lengths=lengths)
            else:
                y, after = layer.resume(h, state[i], mask=mask, lengths=lengths)
                states.append(after)
            h, total = self._pass_on(i, h, y, total)
        h = self.norm_f(h).to(x.dtype)
        h = h if real is None else h.masked_fill(~real, 0)
        return h if state is None else (h, states)

    def init_state(self, batch: int) -> list[State]:
        """Return the state before the first token, one :class:`State` per layer."""
        self._check_streaming()
        return [block.streaming.init_state(batch) for block in self.blocks]

    @torch.no_grad()
    def step(self, x: Tensor, state: list[State]) -> tuple[Tensor, list[State]]:
        """Encode one token of each row, without gradients.

        Parameters
        ----------
        x : Tensor (B, D)
        state : list of State
            Of :meth:`init_state`, :meth:`forward` or an earlier step; updated in place.

        Returns
        -------
        Tensor (B, D), list of State
        """
        self._check_streaming()
        h = x
        if self.wide_residual and h.dtype in (torch.bfloat16, torch.float16):
            h = h.float()
        total: Tensor | None = None
        for i, layer in enumerate(self.blocks):
            y, _ = layer.step(h, state[i])
            h, total = self._pass_on(i, h, y, total)
        return self.norm_f(h).to(x.dtype), state

    def _pass_on(
        self, layer: int, h: Tensor, y: Tensor, total: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the input of the next layer (at the last, the result) and the sum so far."""
        if self.subtract is None:
            return y, None
        total = y if total is None else total + y
        last = layer == len(self.layers) - 1
        return (total if last else h - self.subtract(y)), total

    def _read_rows(
        self, x: Tensor, mask: Tensor | None, lengths: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Check the input; return real (B, L, 1), and mask or lengths, never both."""
        if x.ndim != 3 or x.shape[-1] != self.d_model:
            raise DataError(
                f"the encoder reads (B, L, {self.d_model}), got {tuple(x.shape)}; "
                "the last axis is the width d_model"
            )
        batch, length, _ = x.shape
        if mask is not None and mask.shape != (batch, length):
            raise DataError(f"mask must be {(batch, length)}, got {tuple(mask.shape)}")
        if lengths is not None and lengths.shape != (batch,):
            raise DataError(f"lengths must be {(batch,)}, got {tuple(lengths.shape)}")
        if lengths is None:
            if mask is None:
                return None, None, None
            mask = mask.bool()
            return mask.unsqueeze(-1), mask, None
        lengths = lengths.to(device=x.device, dtype=torch.int32)
        real = torch.arange(length, device=x.device) < lengths.unsqueeze(-1)
        if mask is None:
            return real.unsqueeze(-1), None, lengths
        mask = mask.bool() & real
        return mask.unsqueeze(-1), mask, None

    def _check_streaming(self) -> None:
        if self.direction != "causal":
            raise ConfigError(
                f"direction {self.direction!r} reads the whole sequence and has no state; "
                "streaming needs direction='causal'"
            )

    @torch.no_grad()
    def _scale_by_depth(self, n_parts: int) -> None:
        """Start the weights that end on the residual as mamba-ssm's stack does."""
        for name, module in self.layers.named_modules():
            if not isinstance(module, nn.Linear):
                continue
            if module.bias is not None and not getattr(module.bias, "_no_reinit", False):
                module.bias.zero_()
            if name.endswith(("out_proj", "fc2")):
                nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5))
                module.weight.div_(math.sqrt(n_parts))


def _check_name(parameter: str, value: str, choices: Any) -> None:
    known = get_args(choices)
    if value not in known:
        listed = ", ".join(repr(name) for name in known)
        raise ConfigError(
            f"{parameter} must be one of {listed}; got {value!r}.{nearest(str(value), known)}"
        )


def _check_sizes(**sizes: int) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise ConfigError(f"{name} must be at least 1, got {value!r}")
