"""Directions: how an encoder layer runs its scan block over a sequence.

==============  ===========================================  ================================
direction       definition                                   options
==============  ===========================================  ================================
"causal"        M(x)
"bi_shared"     M(x) + flip(M(flip x))
"bi_sum"        M1(x) + flip(M2(flip x))
"vim_v1"        one selection, two decays                    divide_out
"vim_v2"        shared projections, two branches             divide_out, dt_init_b
"mil_bi"        as vim_v2, not halved                        divide_out, dt_init_b
"mil_sr"        second branch on a reordered sequence        divide_out, dt_init_b, rate, pad_mode
"partial_flip"  M(x) + M(P x), P flips all but the newest    keep_last, flip_fixed
"local_bi"      scan that looks back within short windows    window
"alternate"     causal or local, every few layers backwards  window, flip_every
==============  ===========================================  ================================

Flips and reorderings run over the real tokens of each row. Formulas: kernels specification, 5.
"""

from collections.abc import Callable
from typing import Literal, TypedDict, Unpack, cast, get_args

from torch import nn

from seqmamba.errors import ConfigError
from seqmamba.nn.directions.combined import BiShared, BiSum, PartialFlip
from seqmamba.nn.directions.two_branch import TwoBranchDirection, TwoBranchMamba
from seqmamba.nn.mamba import Mamba, Window
from seqmamba.nn.mamba2 import Mamba2

__all__ = ["BiShared", "BiSum", "Direction", "DirectionOptions", "MixerName", "MixerSize"]
__all__ += ["PartialFlip", "TwoBranchMamba", "make_mixer"]

MixerName = Literal["mamba", "mamba2"]
Direction = Literal[
    "causal",
    "bi_shared",
    "bi_sum",
    "vim_v1",
    "vim_v2",
    "mil_bi",
    "mil_sr",
    "partial_flip",
    "local_bi",
    "alternate",
]

_OPTIONS: dict[str, tuple[str, ...]] = {
    "vim_v1": ("divide_out",),
    "vim_v2": ("divide_out", "dt_init_b"),
    "mil_bi": ("divide_out", "dt_init_b"),
    "mil_sr": ("divide_out", "dt_init_b", "rate", "pad_mode"),
    "partial_flip": ("keep_last", "flip_fixed"),
    "local_bi": ("window",),
    "alternate": ("window", "flip_every"),
}


class MixerSize(TypedDict, total=False):
    """Sizes of a scan block, by the names of :class:`Mamba` and :class:`Mamba2`."""

    d_state: int
    d_conv: int
    expand: float
    dt_rank: int | Literal["auto"]  # "mamba" only
    headdim: int | None  # "mamba2" only
    backend: str


class DirectionOptions(TypedDict, total=False):
    """Settings that belong to some directions only."""

    window: Window  # tokens of a local window; local_bi 16, alternate 1 (causal blocks)
    flip_every: int  # layers between two changes of direction; 2 as in LBVim
    rate: int  # tokens per line of the reordering; 10
    pad_mode: Literal["masked", "reference"]  # empty places of the last line; "masked"
    keep_last: int  # newest tokens that a partial flip leaves in place; 5
    flip_fixed: bool  # partial flip by position, padding included; False
    divide_out: bool  # halve the sum of the branches; True for vim_v2 only
    dt_init_b: Literal["same", "vim"]  # start of the second branch's steps; "same"


def make_mixer(
    d_model: int,
    layer: int,
    *,
    mixer: MixerName,
    direction: Direction,
    size: MixerSize,
    options: DirectionOptions,
) -> nn.Module:
    """Return the mixer of one layer: a scan block, or what runs it in its direction.

    Parameters
    ----------
    d_model : int
    layer : int
        Number of the layer from 0; decides the direction of "alternate".
    mixer : {"mamba", "mamba2"}
    direction : str
    size : MixerSize
    options : DirectionOptions

    Raises
    ------
    ConfigError
        An option has no meaning for the direction, or the mixer cannot run it.
    """
    _check(mixer, direction, options)

    def block(**keywords: Unpack[_BlockKeywords]) -> Mamba | Mamba2:
        kind = cast(Callable[..., Mamba | Mamba2], Mamba if mixer == "mamba" else Mamba2)
        return kind(d_model, **size, **keywords)

    if direction in get_args(TwoBranchDirection):
        two_branch = cast(Callable[..., TwoBranchMamba], TwoBranchMamba)
        return two_branch(d_model, direction=direction, **size, **options)
    if direction == "bi_shared":
        return BiShared(block())
    if direction == "bi_sum":
        return BiSum(block(), block())
    if direction == "partial_flip":
        keep_last, fixed = options.get("keep_last", 5), options.get("flip_fixed", False)
        return PartialFlip(block(), keep_last, flip_fixed=fixed)
    if direction == "local_bi":
        return block(window=options.get("window", 16))
    if direction == "alternate":
        backwards = layer // options.get("flip_every", 2) % 2 == 1
        window = options.get("window", 1)
        return block(reverse=backwards) if window == 1 else block(reverse=backwards, window=window)
    return block()


class _BlockKeywords(TypedDict, total=False):
    reverse: bool
    window: Window


def _check(mixer: MixerName, direction: Direction, options: DirectionOptions) -> None:
    allowed = _OPTIONS.get(direction, ())
    for name in options:
        if name not in allowed:
            known = ", ".join(repr(option) for option in allowed) or "none"
            raise ConfigError(
                f"direction {direction!r} has no option {name!r}; its options: {known}"
            )
    one_scan = direction not in (*get_args(TwoBranchDirection), "local_bi")
    if mixer == "mamba2" and not (one_scan and options.get("window", 1) == 1):
        what = f"direction {direction!r}" if not one_scan else "window > 1"
        raise ConfigError(
            f"mixer 'mamba2' has no {what}; its directions: 'causal', 'bi_shared', 'bi_sum', "
            "'partial_flip', 'alternate'. Use mixer='mamba'."
        )
