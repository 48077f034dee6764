"""Random arguments of scans and convolutions, and what the reference makes of them in float64."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor

from seqmamba.kernels import causal_conv1d, selective_scan

__all__ = ["CONV_CASES", "SCAN_CASES", "ConvCase", "Outcome", "ScanCase", "conv_arguments"]
__all__ += ["arguments_of", "in_dtype", "outcome", "relative_error", "scan_arguments", "truth"]

PARAMETERS = ("A", "D", "delta_bias", "initial_state")  # never in a half type
Padding = Literal["lengths", "mask", "packed"] | None


@dataclass(frozen=True)
class ScanCase:
    """Which options of a scan a case turns on."""

    B: Literal["token", "group", "constant"] = "token"
    C: Literal["token", "group", "constant"] = "token"
    groups: int = 2
    optional: tuple[str, ...] = ("D", "z", "delta_bias")
    softplus: bool = True
    reverse: bool = False
    window: int = 1
    padding: Padding = None


SCAN_CASES = {
    "plain": ScanCase(optional=()),
    "raw-step": ScanCase(optional=("D",), softplus=False),
    "gate": ScanCase(optional=("z",)),
    "full": ScanCase(),
    "groups": ScanCase("group", "group"),
    "group-per-channel": ScanCase("group", "group", groups=4),
    "one-group-and-many": ScanCase("token", "group"),
    "constant-B": ScanCase("constant", "token"),
    "constant-C": ScanCase("group", "constant"),
    "constant": ScanCase("constant", "constant"),
    "initial-state": ScanCase(optional=("D", "initial_state")),
    "reverse": ScanCase(optional=("D", "z", "delta_bias", "initial_state"), reverse=True),
    "lengths": ScanCase(optional=("z", "initial_state"), padding="lengths"),
    "lengths-reverse": ScanCase(
        "group", "group", optional=("D", "initial_state"), reverse=True, padding="lengths"
    ),
    "mask": ScanCase(optional=("D", "z", "initial_state"), padding="mask"),
    "mask-reverse": ScanCase(optional=("D", "z"), reverse=True, padding="mask"),
    "packed": ScanCase(optional=("D", "z", "initial_state"), padding="packed"),
    "packed-reverse": ScanCase(optional=("D", "z"), reverse=True, padding="packed"),
    "window-2": ScanCase(window=2),
    "window-4": ScanCase("group", "group", optional=("z", "initial_state"), window=4),
    "window-16": ScanCase(window=16, reverse=True),
    "window-lengths": ScanCase(window=4, padding="lengths", reverse=True),
    "window-packed": ScanCase(window=2, padding="packed"),
    "window-mask": ScanCase(window=4, padding="mask"),
}


@dataclass(frozen=True)
class ConvCase:
    """Which options of a convolution a case turns on."""

    taps: int = 4
    optional: tuple[str, ...] = ("bias",)
    activation: Literal["silu"] | None = "silu"
    reverse: bool = False
    padding: Padding = None


CONV_CASES = {
    "plain": ConvCase(optional=(), activation=None),
    "silu": ConvCase(),
    "two-taps": ConvCase(taps=2),
    "eight-taps": ConvCase(taps=8),
    "reverse": ConvCase(reverse=True),
    "initial-state": ConvCase(optional=("bias", "initial_state")),
    "initial-state-reverse": ConvCase(optional=("initial_state",), reverse=True),
    "lengths": ConvCase(padding="lengths", optional=("bias", "initial_state")),
    "lengths-reverse": ConvCase(padding="lengths", reverse=True),
    "mask": ConvCase(padding="mask"),
    "mask-reverse": ConvCase(padding="mask", reverse=True),
    "packed": ConvCase(padding="packed"),
    "packed-reverse": ConvCase(padding="packed", reverse=True),
}


@dataclass(frozen=True)
class Outcome:
    """Output, last state and the gradients of a random weighting of both."""

    out: Tensor
    last_state: Tensor
    gradients: dict[str, Tensor]


def scan_arguments(
    case: ScanCase,
    shape: tuple[int, int, int, int],
    *,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
    seed: int = 0,
) -> dict[str, Any]:
    """Return arguments of :func:`selective_scan` for a case and a shape (B, L, E, N)."""
    batch, length, width, states = shape
    random = torch.Generator().manual_seed(seed)
    batch = 1 if case.padding == "packed" else batch

    def draw(*size: int) -> Tensor:
        return torch.randn(size, generator=random, dtype=torch.float64)

    forms = {
        "token": (batch, length, states),
        "group": (batch, length, case.groups, states),
        "constant": (width, states),
    }
    borders = _padding(case.padding, batch, length, random)
    runs = batch if case.padding != "packed" else len(borders["cu_seqlens"]) - 1
    step = draw(batch, length, width)
    arguments = {
        "u": draw(batch, length, width),
        "delta": step - 1 if case.softplus else 0.3 * step.abs(),
        "A": -torch.exp(0.7 * draw(width, states)),
        "B": draw(*forms[case.B]),
        "C": draw(*forms[case.C]),
    }
    sizes = {"D": (width,), "z": (batch, length, width), "delta_bias": (width,)}
    sizes["initial_state"] = (runs, width, states)
    arguments |= {name: draw(*sizes[name]) for name in case.optional}
    flags = {"delta_softplus": case.softplus, "reverse": case.reverse, "window": case.window}
    parameters = {n: arguments.pop(n) for n in PARAMETERS if n in arguments}
    kept = dtype if dtype.itemsize >= 4 else torch.float32
    placed = _placed(arguments, dtype, device) | _placed(parameters, kept, device)
    return placed | _placed(borders, None, device) | flags


def conv_arguments(
    case: ConvCase,
    shape: tuple[int, int, int],
    *,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
    seed: int = 0,
) -> dict[str, Any]:
    """Return arguments of :func:`causal_conv1d` for a case and a shape (B, L, E)."""
    batch, length, width = shape
    random = torch.Generator().manual_seed(seed)
    batch = 1 if case.padding == "packed" else batch
    borders = _padding(case.padding, batch, length, random)
    runs = batch if case.padding != "packed" else len(borders["cu_seqlens"]) - 1
    sizes: dict[str, tuple[int, ...]] = {
        "x": (batch, length, width),
        "weight": (width, 1, case.taps),
    }
    optional: dict[str, tuple[int, ...]] = {
        "bias": (width,),
        "initial_state": (runs, width, case.taps),
    }
    sizes |= {name: optional[name] for name in case.optional}
    arguments = {
        name: torch.randn(size, generator=random, dtype=torch.float64)
        for name, size in sizes.items()
    }
    flags = {"activation": case.activation, "reverse": case.reverse}
    return _placed(arguments, dtype, device) | _placed(borders, None, device) | flags


def outcome(arguments: Mapping[str, Any], backend: str, *, seed: int = 1) -> Outcome:
    """Run a scan or a convolution and differentiate it by every float argument."""
    leaves: dict[str, Any] = {
        name: value.detach().clone().requires_grad_()
        if isinstance(value, Tensor) and value.is_floating_point()
        else value
        for name, value in arguments.items()
    }
    run = selective_scan if "u" in arguments else causal_conv1d
    out, last_state = run(**leaves, return_last_state=True, backend=backend)
    random = torch.Generator().manual_seed(seed)
    weights = [
        torch.randn(t.shape, generator=random, dtype=torch.float64).to(t) for t in (out, last_state)
    ]
    wanted = [n for n, v in leaves.items() if isinstance(v, Tensor) and v.requires_grad]
    roots = [t for t in (out, last_state) if t.requires_grad]  # a state without tokens does not
    gradients = torch.autograd.grad(
        roots, [leaves[name] for name in wanted], weights[: len(roots)], materialize_grads=True
    )
    found = dict(zip(wanted, gradients, strict=True))
    return Outcome(out.detach(), last_state.detach(), found)


@cache
def truth(
    case: ScanCase | ConvCase, shape: tuple[int, ...], dtype: torch.dtype, seed: int
) -> Outcome:
    """Return the reference's outcome in float64 for inputs rounded to ``dtype``; kept."""
    return outcome(
        in_dtype(arguments_of(case, shape, dtype=dtype, seed=seed), torch.float64), "reference"
    )


def arguments_of(
    case: ScanCase | ConvCase, shape: tuple[int, ...], **options: Any
) -> dict[str, Any]:
    """Return the arguments of a case of either kind."""
    if isinstance(case, ScanCase):
        batch, length, width, states = shape
        return scan_arguments(case, (batch, length, width, states), **options)
    batch, length, width = shape
    return conv_arguments(case, (batch, length, width), **options)


def in_dtype(arguments: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """Return the arguments with every float tensor in one dtype."""
    return {
        name: value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value
        for name, value in arguments.items()
    }


def relative_error(value: Tensor, truth: Tensor, *, norm: float = float("inf")) -> float:
    """Return ``|value - truth| / |truth|`` in a norm; 0 for empty tensors."""
    if truth.numel() == 0:
        return 0.0
    truth = truth.double()
    scale = float(torch.linalg.vector_norm(truth, norm))
    return float(torch.linalg.vector_norm(value.to(truth) - truth, norm)) / max(scale, 1e-30)


def _padding(kind: Padding, batch: int, length: int, random: torch.Generator) -> dict[str, Tensor]:
    if kind == "lengths":
        return {"lengths": torch.randint(0, length + 1, (batch,), generator=random)}
    if kind == "mask":
        return {"mask": torch.rand((batch, length), generator=random) > 0.3}
    if kind == "packed":
        cuts = torch.randint(0, length + 1, (3,), generator=random).sort().values
        ends = torch.tensor([0]), torch.tensor([length])
        return {"cu_seqlens": torch.cat([ends[0], cuts, cuts[-1:], ends[1]])}
    return {}


def _placed(values: Mapping[str, Tensor], dtype: torch.dtype | None, device: str) -> dict[str, Any]:
    return {name: value.to(device=device, dtype=dtype) for name, value in values.items()}
