"""One Mamba-1 branch: convolution, selection of step, B and C, and the parameters of the scan.

Everything between the input and the output projection of a block. A bidirectional block of the
Vision-Mamba family has two branches whose parameters stand side by side under fixed names, so a
branch is no module of its own: ``add_branch`` registers the parameters on the block and
``branch_of`` finds them again.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqmamba.kernels import ConvArguments, ScanArguments

__all__ = ["Branch", "BranchSize", "DtInit", "ScanParameters", "State", "add_branch"]
__all__ += ["add_spectrum", "branch_of", "dt_bias_init", "exempt_from_decay", "negative_exp"]
__all__ += ["Streaming"]


class State(NamedTuple):
    """What a block remembers between pieces of a sequence."""

    conv: Tensor  # (B, channels, W): the last W inputs of the convolution
    ssm: Tensor  # (B, E, N), or (B, H, P, N) of Mamba-2; float32 or float64


class Streaming(Protocol):
    """A mixer that can read a sequence in pieces."""

    def resume(
        self, x: Tensor, state: State, *, mask: Tensor | None, lengths: Tensor | None
    ) -> tuple[Tensor, State]:
        """Read the continuation (B, L, D) of a sequence."""
        ...

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Read one token (B, D)."""
        ...

    def init_state(self, batch: int) -> State:
        """Return the state before the first token."""
        ...


@dataclass(frozen=True)
class DtInit:
    """Start values of the step projection: steps log-uniform in [minimum, maximum].

    ``plain`` keeps torch's weights and sets the bias to 0, as released Vision Mamba does for its
    backward branch: steps then start at softplus(0) = 0.69.
    """

    minimum: float = 1e-3
    maximum: float = 0.1
    floor: float = 1e-4
    scale: float = 1.0
    mode: Literal["random", "constant", "plain"] = "random"


@dataclass(frozen=True)
class BranchSize:
    """Sizes that fix the shapes of a branch."""

    d_inner: int  # E
    d_state: int  # N
    d_conv: int  # W
    dt_rank: int  # R
    conv_bias: bool = True


class Branch(NamedTuple):
    """The parameters of one branch."""

    conv1d: nn.Conv1d
    x_proj: nn.Linear
    dt_proj: nn.Linear
    A_log: Tensor  # (E, N)
    D: Tensor  # (E,)

    def conv_arguments(
        self, x: Tensor, *, reverse: bool, mask: Tensor | None, lengths: Tensor | None
    ) -> ConvArguments:
        """Return the convolution of ``x`` (B, L, E) as arguments of the kernel."""
        return {
            "x": x,
            "weight": self.conv1d.weight,
            "bias": self.conv1d.bias,
            "activation": "silu",
            "mask": mask,
            "lengths": lengths,
            "reverse": reverse,
        }

    def scan_arguments(
        self,
        u: Tensor,
        z: Tensor | None,
        *,
        reverse: bool,
        mask: Tensor | None,
        lengths: Tensor | None,
    ) -> ScanArguments:
        """Return the scan of the convolved ``u`` (B, L, E), gated by ``z`` if given."""
        delta, B, C = self.select(u)
        return {
            "u": u,
            "delta": delta,
            "A": negative_exp(self.A_log),
            "B": B,
            "C": C,
            "D": self.D,
            "z": z,
            "delta_bias": self.dt_proj.bias,
            "delta_softplus": True,
            "mask": mask,
            "lengths": lengths,
            "reverse": reverse,
        }

    def select(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return raw step (..., E), B and C (..., N) of each token of ``u`` (..., E)."""
        rank, states = self.dt_proj.in_features, self.A_log.shape[1]
        dt, B, C = self.x_proj(u).split([rank, states, states], -1)
        return functional.linear(dt, self.dt_proj.weight), B, C  # the kernel adds the bias


def negative_exp(log: Tensor) -> Tensor:
    """Return the decay rates A = -exp(A_log)."""
    return torch.exp(log).neg()


def add_branch(block: nn.Module, size: BranchSize, dt: DtInit, suffix: str = "") -> None:
    """Register the parameters of a branch on a block, names ending in ``suffix``.

    Initialisation: kernels specification, 3.
    """
    width, states = size.d_inner, size.d_state
    conv = nn.Conv1d(
        width, width, size.d_conv, groups=width, padding=size.d_conv - 1, bias=size.conv_bias
    )
    block.add_module("conv1d" + suffix, conv)
    x_proj = nn.Linear(width, size.dt_rank + 2 * states, bias=False)
    block.add_module("x_proj" + suffix, x_proj)
    block.add_module("dt_proj" + suffix, _dt_projection(size, dt))
    add_spectrum(block, size, suffix)
    skip = nn.Parameter(torch.ones(width))
    block.register_parameter("D" + suffix, exempt_from_decay(skip))


def add_spectrum(block: nn.Module, size: BranchSize, suffix: str = "") -> None:
    """Register ``A_log`` (``A_b_log`` for the suffix "_b"): log 1, ..., log N in each row."""
    rates = torch.arange(1, size.d_state + 1, dtype=torch.float32)
    A_log = nn.Parameter(rates.log().repeat(size.d_inner, 1))
    block.register_parameter(f"A{suffix}_log", exempt_from_decay(A_log))


def branch_of(block: nn.Module, suffix: str = "") -> Branch:
    """Return the parameters that :func:`add_branch` registered with this suffix."""
    return Branch(
        conv1d=cast(nn.Conv1d, getattr(block, "conv1d" + suffix)),
        x_proj=cast(nn.Linear, getattr(block, "x_proj" + suffix)),
        dt_proj=cast(nn.Linear, getattr(block, "dt_proj" + suffix)),
        A_log=cast(Tensor, getattr(block, f"A{suffix}_log")),
        D=cast(Tensor, getattr(block, "D" + suffix)),
    )


def dt_bias_init(size: int, dt: DtInit) -> Tensor:
    r"""Return a bias :math:`b` with softplus(b) log-uniform in [minimum, maximum].

    .. math:: b = \tau + \log(-\mathrm{expm1}(-\tau))
    """
    low, high = math.log(dt.minimum), math.log(dt.maximum)
    tau = torch.exp(torch.rand(size) * (high - low) + low).clamp(min=dt.floor)
    return tau + torch.log(-torch.expm1(-tau))


def exempt_from_decay(parameter: nn.Parameter) -> nn.Parameter:
    """Mark a parameter for the optimiser: no weight decay (the mark of mamba-ssm)."""
    cast(Any, parameter)._no_weight_decay = True
    return parameter


class ScanParameters:
    """Mixin of a block whose rates, skips and step biases need care.

    They stay in float32 under ``half()`` and the like: in half precision training overflows
    (state-spaces/mamba, issue 6); float64 is allowed. Marks for the optimiser survive a deep copy,
    which torch drops.
    """

    float32_parameters: tuple[str, ...] = ()  # names below the block, set by the class

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        twin = self.__new__(type(self))
        memo[id(self)] = twin
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        own, copied = cast(nn.Module, self), cast(nn.Module, twin)
        for old, new in zip(own.parameters(), copied.parameters(), strict=True):
            new.__dict__.update(old.__dict__)
        return twin

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        block = cast(nn.Module, self)
        before = {name: block.get_parameter(name).detach() for name in self.float32_parameters}
        super()._apply(fn, recurse)  # type: ignore[misc]  # nn.Module is the next base
        for name, old in before.items():
            parameter = block.get_parameter(name)
            if parameter.dtype in (torch.bfloat16, torch.float16):
                parameter.data = old.to(parameter.device)
        return self


def _dt_projection(size: BranchSize, dt: DtInit) -> nn.Linear:
    linear = nn.Linear(size.dt_rank, size.d_inner)
    with torch.no_grad():
        bound = size.dt_rank**-0.5 * dt.scale
        if dt.mode == "random":
            linear.weight.uniform_(-bound, bound)
        elif dt.mode == "constant":
            linear.weight.fill_(bound)
        if dt.mode == "plain":
            linear.bias.zero_()
        else:
            linear.bias.copy_(dt_bias_init(size.d_inner, dt))
            cast(Any, linear.bias)._no_reinit = True  # a stack that zeroes biases spares it
    exempt_from_decay(linear.bias)
    return linear
