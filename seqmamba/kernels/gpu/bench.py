"""Time, memory and share of the hardware's bound of the scan on a CUDA device.

All arms of a shape run in turn, round after round, timed by events of the device; medians are
compared. The bounds are those of the kernels specification, section 7, with the memory rate of a
device copy and the exponentials per second measured on the spot.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from seqmamba.errors import BackendError
from seqmamba.kernels import ScanArguments, scan_pair, selective_scan
from seqmamba.kernels.dispatch import backends

__all__ = ["SHAPES", "bench_scan_on_gpu", "position_cost"]

SHAPES: tuple[tuple[int, int, int, int], ...] = (  # B, L, E, N
    *[(64, 1024, 1024, 16), (128, 7, 512, 16), (32, 96, 512, 16), (32, 200, 128, 16)],
    *[(16, 1000, 256, 16), (1, 10000, 1024, 16)],
)
ARMS = ("cuda", "triton", "mamba_ssm", "torch")
EXPONENTIALS_PER_CLOCK = 16  # of a multiprocessor; 128 multiply-adds beside them
COPY_BYTES = 1 << 28


def bench_scan_on_gpu(
    *,
    shapes: Sequence[tuple[int, int, int, int]] = SHAPES,
    against: Sequence[str] = ARMS,
    dtype: torch.dtype = torch.float32,
    both_directions: bool = False,
    repeats: int = 20,
) -> list[dict[str, Any]]:
    """Measure the scan, forward and backward, on the current CUDA device.

    Parameters
    ----------
    shapes : sequence of (B, L, E, N)
    against : sequence of str
        Back-ends; one that cannot run gives a row with its reason.
    dtype : torch.dtype
        Of inputs and outputs.
    both_directions : bool
        Run two scans, one of them reversed, as a bidirectional layer does.
    repeats : int
        Rounds; medians are reported.

    Returns
    -------
    list of dict
        One row per shape and arm: ``forward_ms``, ``total_ms`` (forward and backward), ``peak_mb``
        (extra memory of both), ``bound`` (share of the bound that both passes reach), ``ratio``
        (total time over that of the first arm that ran), ``note``.

    Raises
    ------
    BackendError
        There is no CUDA device.
    """
    if not torch.cuda.is_available():
        raise BackendError("the GPU bench needs a CUDA device; none is visible.")
    rates = _memory_rate(), _exponential_rate()
    return [
        row
        for shape in shapes
        for row in _bench_shape(shape, against, dtype, both_directions, repeats, rates)
    ]


def position_cost(
    states: int, bytes_per_value: int, memory_rate: float, exponential_rate: float
) -> tuple[float, float]:
    """Return the least seconds that a token of a channel takes, forward and backward.

    The greatest of three: memory traffic (u, delta, z, out; seven rows and the checkpoints of 32
    tokens backward), one exponential per state and three more, five and fifteen multiply-adds per
    state at eight times the rate of exponentials.

    Parameters
    ----------
    states : int
    bytes_per_value : int
        Of inputs and outputs.
    memory_rate, exponential_rate : float
        Bytes and exponentials per second.

    Examples
    --------
    >>> forward, backward = position_cost(16, 4, 4.3e12, 4.2e12)
    >>> f"{forward:.1e} {backward:.1e}"
    '4.5e-12 7.1e-12'
    """
    exponentials = (states + 3) / exponential_rate
    multiply_adds = states / (8 * exponential_rate)
    checkpoints = 4 * states / 32
    forward = max(4 * bytes_per_value / memory_rate, exponentials, 5 * multiply_adds)
    backward = max(
        (7 * bytes_per_value + checkpoints) / memory_rate, exponentials, 15 * multiply_adds
    )
    return forward, backward


def _bench_shape(
    shape: tuple[int, int, int, int],
    names: Sequence[str],
    dtype: torch.dtype,
    both: bool,
    repeats: int,
    rates: tuple[float, float],
) -> list[dict[str, Any]]:
    batch, length, width, states = shape
    known = backends()
    reasons = {name: known.get(name, "unknown back-end") for name in names}
    inputs = _inputs(shape, dtype)
    arms = {name: _arm(name, inputs, both) for name in names if reasons[name] is None}
    peaks = {name: _peak_mb(run) for name, run in arms.items()}  # compiles and warms up, too
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in arms}
    for _ in range(repeats):
        for name, run in arms.items():
            times[name].append(run())
    cost = sum(position_cost(states, dtype.itemsize, *rates)) * batch * length * width * (1 + both)
    totals = {name: statistics.median(total for _, total in pairs) for name, pairs in times.items()}
    rows = []
    for name in names:
        row: dict[str, Any] = {"shape": "x".join(map(str, shape)), "arm": name}
        if name in totals:
            row |= {
                "forward_ms": statistics.median(forward for forward, _ in times[name]),
                "total_ms": totals[name],
                "peak_mb": peaks[name],
                "bound": 1e3 * cost / totals[name],
                "ratio": totals[name] / next(iter(totals.values())),
            }
        rows.append({**row, "note": reasons[name]})
    return rows


def _arm(name: str, inputs: Mapping[str, Tensor], both: bool) -> Callable[[], tuple[float, float]]:
    """Return a function that gives the milliseconds of forward, and of forward and backward."""
    given: Any = {**inputs, "delta_softplus": True}
    forward: ScanArguments = given
    reversed_: ScanArguments = {**forward, "reverse": True}

    def run() -> tuple[float, float]:
        start, middle, end = _events(3)
        start.record()
        if both:
            one, two = scan_pair(forward, reversed_, backend=name)
            out = one + two
        else:
            out = selective_scan(**given, backend=name)
        middle.record()
        torch.autograd.grad(out, list(inputs.values()), torch.ones_like(out))
        end.record()
        end.synchronize()
        return start.elapsed_time(middle), start.elapsed_time(end)

    return run


def _inputs(shape: tuple[int, int, int, int], dtype: torch.dtype) -> dict[str, Tensor]:
    """Random leaves in the ranges of a fresh Mamba block."""
    batch, length, width, states = shape
    random = torch.Generator("cuda").manual_seed(0)

    def draw(*size: int) -> Tensor:
        return torch.randn(size, generator=random, device="cuda")

    tensors = {
        "u": draw(batch, length, width).to(dtype),
        "delta": (0.1 * draw(batch, length, width)).to(dtype),
        "A": -torch.arange(1.0, states + 1, device="cuda").repeat(width, 1),
        "B": draw(batch, length, states).to(dtype),
        "C": draw(batch, length, states).to(dtype),
        "D": torch.ones(width, device="cuda"),
        "z": draw(batch, length, width).to(dtype),
        "delta_bias": draw(width) - 4,
    }
    return {name: tensor.requires_grad_() for name, tensor in tensors.items()}


def _peak_mb(run: Callable[[], object]) -> float:
    run()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def _memory_rate() -> float:
    """Return bytes per second of a copy on the device, read and written."""
    source = torch.empty(COPY_BYTES, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * COPY_BYTES / (1e-3 * _milliseconds(lambda: target.copy_(source)))


def _exponential_rate() -> float:
    """Return exponentials per second at the highest clock that the device names."""
    found = torch.cuda.get_device_properties(torch.cuda.current_device())
    clock_hz = 1e3 * float(getattr(found, "clock_rate", 1.98e6))  # older torch does not say: H200
    return EXPONENTIALS_PER_CLOCK * found.multi_processor_count * clock_hz


def _milliseconds(run: Callable[[], object]) -> float:
    times: list[float] = []
    for _ in range(10):
        start, end = _events(2)
        start.record()
        run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


def _events(count: int) -> list[Any]:
    return [torch.cuda.Event(enable_timing=True) for _ in range(count)]  # type: ignore[no-untyped-call]  # torch leaves it so
