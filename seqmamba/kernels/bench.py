"""Time, memory and share of the arithmetic bound of the scan, beside other implementations.

All arms of a shape run in turn, round after round, in one process; medians are compared, so that a
busy machine slows them alike. With one thread the time is that of the processor, not of the clock
on the wall.
"""

import ctypes
import gc
import importlib.util
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from seqmamba.errors import ConfigError
from seqmamba.kernels import cpp, selective_scan
from seqmamba.kernels.dispatch import NAMES, backends
from seqmamba.kernels.gpu.bench import bench_scan_on_gpu

__all__ = ["SHAPES", "Arm", "Measurement", "bench_scan", "measure", "vector_bound"]

SHAPES: dict[str, tuple[int, int, int, int]] = {
    "short": (128, 7, 512, 16),  # the first five: kernels specification, section 11
    "window": (32, 96, 512, 16),
    "items": (32, 200, 128, 16),
    "record": (16, 1000, 256, 16),
    "slide": (1, 10000, 1024, 16),
    "forecast": (32, 11, 256, 2),  # tasks at their published sizes
    "recommend": (256, 50, 128, 32),
    "track": (64, 10, 1024, 16),
}
PEERS = ("mambapy", "transformers", "fla")
MAX_ELEMENTS = 70_000_000  # arms that keep every state would need many gigabytes beyond

Measurement = dict[str, Any]
Scan = Callable[[Mapping[str, Tensor]], Tensor]


class Arm(NamedTuple):
    """What is measured: a forward pass, and the leaves that its backward pass reaches."""

    forward: Callable[[], Tensor]
    leaves: Sequence[Tensor]

    def run(self, clock: Callable[[], float]) -> tuple[float, float]:
        """Return the seconds of the forward pass alone, and of forward and backward."""
        start = clock()
        with torch.no_grad():
            self.forward()
        middle = clock()
        out = self.forward()
        torch.autograd.grad(out, self.leaves, torch.ones_like(out), allow_unused=True)
        return middle - start, clock() - middle


def bench_scan(
    *,
    shapes: tuple[str, ...] = tuple(SHAPES),
    against: tuple[str, ...] = ("torch", "reference"),
    threads: int = 1,
    repeats: int = 7,
    device: Literal["cpu", "cuda"] = "cpu",
    dtype: Literal["float32", "bfloat16", "float16"] = "float32",
    both_directions: bool = False,
) -> list[Measurement]:
    """Measure the selective scan, forward and backward.

    Parameters
    ----------
    shapes : tuple of str
        Names of :data:`SHAPES`, or batch, length, channels, states as in ``32x96x512x16``.
    against : tuple of str
        Other back-ends (``torch``, ``reference``, ``mamba_ssm``) and packages (``mambapy``,
        ``transformers``, ``fla``); one that cannot run gives a row with its reason.
    threads : int
    repeats : int
        Rounds; medians are reported.
    device : str
        On "cuda" the arms ``cuda`` and ``triton`` come first, and ``bound`` is the share of the
        device's bound that both passes reach.
    dtype : str
        Of inputs and outputs on "cuda".
    both_directions : bool
        On "cuda", run two scans at once, one of them reversed.

    Returns
    -------
    list of dict
        One row per shape and arm: ``forward_ms`` (no gradient asked), ``total_ms`` (forward and
        backward), ``peak_mb`` (extra memory of both), ``elements_per_s`` (of B L E N, forward),
        ``bound`` (share of the vector-instruction bound that the forward pass reaches), ``ratio``
        (total time over that of the first arm), ``note``.

    Raises
    ------
    ConfigError
        Unknown shape or arm.
    BackendError
        There is no CUDA device.
    """
    if device == "cuda":
        return bench_scan_on_gpu(
            shapes=[_sizes(shape) for shape in shapes],
            against=list(dict.fromkeys(("cuda", "triton", *against))),
            dtype=getattr(torch, dtype),
            both_directions=both_directions,
            repeats=repeats,
        )
    names = ("cpp", *(name for name in against if name != "cpp"))
    former = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return [row for shape in shapes for row in _bench_shape(shape, names, threads, repeats)]
    finally:
        torch.set_num_threads(former)


def _bench_shape(shape: str, names: Sequence[str], threads: int, repeats: int) -> list[Measurement]:
    sizes = _sizes(shape)
    reasons = {name: _why_not(name, sizes) for name in names}
    inputs = _inputs(sizes)
    leaves = list(inputs.values())
    arms = {name: Arm(partial(_scan(name), inputs), leaves) for name in names if not reasons[name]}
    found = measure(arms, threads=threads, repeats=repeats)
    rows = []
    for name in names:
        row: Measurement = {"shape": "x".join(map(str, sizes)), "arm": name}
        row |= found.get(name, {"forward_ms": None, "total_ms": None, "peak_mb": None})
        if name in found:
            rate = math.prod(sizes) / row["forward_ms"] * 1e3
            row |= {"elements_per_s": rate, "bound": rate / (threads * vector_bound())}
            row["ratio"] = row["total_ms"] / found[next(iter(found))]["total_ms"]
        rows.append({**row, "note": reasons[name]})
    return rows


def measure(arms: Mapping[str, Arm], *, threads: int, repeats: int) -> dict[str, Measurement]:
    """Run arms in turn, round after round.

    Returns
    -------
    dict
        Per arm the medians ``forward_ms`` and ``total_ms`` and the extra memory ``peak_mb``.
    """
    clock = time.process_time if threads == 1 else time.perf_counter
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in arms}
    peaks = {}
    for name, arm in arms.items():
        arm.run(clock)  # builds caches, wakes threads
        peaks[name] = _peak_mb(partial(arm.run, clock))
    for _ in range(repeats):
        for name, arm in arms.items():
            times[name].append(arm.run(clock))
    return {
        name: {
            "forward_ms": 1e3 * statistics.median(forward for forward, _ in pairs),
            "total_ms": 1e3 * statistics.median(total for _, total in pairs),
            "peak_mb": peaks[name],
        }
        for name, pairs in times.items()
    }


@cache
def vector_bound() -> float:
    """Return the elements (of B L E N) per second and core at two vector instructions per cycle.

    One group of lanes costs 12 instructions with a scaling instruction (AVX-512), 14 without:
    kernels specification, section 7. The cycle is measured at vector work.
    """
    found = cpp.library()
    if found is None:
        return math.nan
    lanes = {"x86_64_v4": 16, "x86_64_v3": 8}.get(cpp.instruction_set() or "", 4)
    return float(found.seqmamba_clock()) * 2 * lanes / (12 if lanes == 16 else 14)


def _sizes(shape: str) -> tuple[int, int, int, int]:
    if shape in SHAPES:
        return SHAPES[shape]
    parts = shape.split("x")
    if len(parts) != 4 or not all(part.isdigit() and int(part) for part in parts):
        known = ", ".join(SHAPES)
        raise ConfigError(
            f"unknown shape {shape!r}: give BxLxExN, such as 32x96x512x16, or {known}."
        )
    batch, length, width, states = map(int, parts)
    return batch, length, width, states


def _inputs(sizes: tuple[int, int, int, int]) -> dict[str, Tensor]:
    """Random leaves in the ranges of a fresh Mamba block."""
    batch, length, width, states = sizes
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    spectrum = -torch.arange(1.0, states + 1).repeat(width, 1)
    tensors = {
        "u": draw(batch, length, width),
        "delta": 0.1 * draw(batch, length, width),
        "A": spectrum,
        "B": draw(batch, length, states),
        "C": draw(batch, length, states),
        "D": torch.ones(width),
        "z": draw(batch, length, width),
        "delta_bias": draw(width) - 4,
    }
    return {name: tensor.requires_grad_() for name, tensor in tensors.items()}


def _why_not(name: str, sizes: Sequence[int]) -> str | None:
    if name in NAMES:
        reason = backends()[name]
    elif name not in PEERS:
        known = ", ".join((*NAMES, *PEERS))
        raise ConfigError(f"unknown implementation {name!r}. Known: {known}.")
    elif importlib.util.find_spec(name) is None:
        reason = f"package {name} is not installed"
    elif name != "mambapy":
        reason = f"{name} offers no selective scan of its own on the CPU"
    else:
        reason = None
    if reason is None and name in ("reference", "mambapy") and math.prod(sizes) > MAX_ELEMENTS:
        reason = f"keeps every state: more than {MAX_ELEMENTS:.0e} elements"
    if reason is None and name == "mamba_ssm":
        reason = "serves CUDA tensors only"
    return reason


def _scan(name: str) -> Scan:
    if name == "mambapy":
        return _mambapy
    return lambda tensors: selective_scan(**tensors, delta_softplus=True, backend=name)  # type: ignore[call-overload]  # by name


def _mambapy(tensors: Mapping[str, Tensor]) -> Tensor:
    """Discretise in torch, scan with mambapy's parallel scan, read out and gate."""
    from mambapy.pscan import pscan  # an optional package

    u, B, C = tensors["u"], tensors["B"].unsqueeze(2), tensors["C"].unsqueeze(-1)
    step = functional.softplus(tensors["delta"] + tensors["delta_bias"])
    decay = torch.exp(step.unsqueeze(-1) * tensors["A"])  # (B, L, E, N)
    states: Tensor = pscan(decay, (step * u).unsqueeze(-1) * B)  # (B, L, E, N)
    y = (states @ C).squeeze(-1) + tensors["D"] * u  # (B, L, E)
    return y * functional.silu(tensors["z"])


def _peak_mb(run: Callable[[], object]) -> float | None:
    """Return the extra resident memory at the highest point, or None where nothing tells it."""
    reset = Path("/proc/self/clear_refs")
    try:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # freed memory that is still held would hide new needs
        reset.write_text("5", encoding="ascii")
        before = _kilobytes("VmRSS")
        run()
        return max(_kilobytes("VmHWM") - before, 0) / 1024
    except (OSError, AttributeError, TypeError):
        return None


def _kilobytes(field: str) -> int:
    with Path("/proc/self/status").open(encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field))
