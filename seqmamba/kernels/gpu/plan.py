"""How scans are laid out over a GPU: launches, chunks, checkpoints.

A launch serves up to two scans of equal form, such as the directions of a layer. A program (one
warp or more) owns a block of channels of one group and walks over the tokens of a run. Where there
are too few channels to fill the device, a run is cut into chunks that advance side by side: their
end states from zero, the carry from chunk to chunk by exp(A * sum of delta), then the true run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

from torch import Tensor

from seqmamba.kernels.problem import Conv, Scan

__all__ = ["ScanShape", "ceil_div", "chunk_length", "launches", "scan_shape"]

CHUNK_RANGE = (64, 256)  # tokens; shorter chunks waste a carry, longer ones leave the device idle
PROGRAMS_PER_PROCESSOR = 8  # warps that hide the latency of their loads behind each other

AnyCall = TypeVar("AnyCall", Scan, Conv)


@dataclass(frozen=True, slots=True)
class ScanShape:
    """Sizes of one scan."""

    batch: int
    length: int
    width: int
    states: int
    groups: int
    runs: int

    @property
    def group_width(self) -> int:
        """Channels that share B and C."""
        return self.width // self.groups

    @property
    def is_empty(self) -> bool:
        """Whether there is no state to advance."""
        return self.runs * self.width * self.states == 0

    def blocks(self, channels: int) -> int:
        """Return how many blocks of at most so many channels cover a group."""
        return ceil_div(self.group_width, channels)

    def slots(self, chunk: int, packed: bool) -> int:
        """Return the greatest number of chunks of so many tokens that all runs have."""
        if packed:  # a run that starts at token s has its chunks from s // chunk + run on
            return self.length // chunk + self.runs
        return self.runs * ceil_div(self.length, chunk)


def scan_shape(scan: Scan) -> ScanShape:
    """Return the sizes of a scan."""
    packed = scan.cu_seqlens
    batch, length, width = scan.u.shape
    return ScanShape(
        batch,
        length,
        width,
        states=scan.A.shape[1],
        groups=max((m.shape[2] for m in (scan.B, scan.C) if m.ndim == 4), default=1),
        runs=batch if packed is None else packed.shape[0] - 1,
    )


def chunk_length(shape: ScanShape, programs: int, processors: int, multiple: int) -> int | None:
    """Return the length of the chunks that runs are cut into, or None to leave them whole.

    Parameters
    ----------
    shape : ScanShape
    programs : int
        Programs of the launch without cutting.
    processors : int
        Multiprocessors of the device.
    multiple : int
        The result is a multiple of this (the distance of checkpoints).
    """
    wanted = processors * PROGRAMS_PER_PROCESSOR
    shortest, longest = CHUNK_RANGE
    if 2 * programs > wanted or shape.length < 8 * shortest:
        return None
    length = ceil_div(shape.length * programs, wanted)
    return ceil_div(min(max(length, shortest), longest), multiple) * multiple


def launches(
    calls: Sequence[AnyCall], is_empty: Callable[[AnyCall], bool]
) -> list[tuple[int, ...]]:
    """Return indices of calls that one launch serves: pairs of one form, or single calls."""
    waiting: tuple[int, ...] = ()
    found: list[tuple[int, ...]] = []
    for index, call in enumerate(calls):
        if is_empty(call):
            continue
        if waiting and _form(calls[waiting[0]]) == _form(call):
            found.append((*waiting, index))
            waiting = ()
            continue
        found += [waiting] if waiting else []
        waiting = (index,)
    return [*found, waiting] if waiting else found


def ceil_div(value: int, by: int) -> int:
    """Return ``value / by`` rounded up."""
    return -(-value // by)


def _form(call: Scan | Conv) -> list[object]:
    """Return all that a kernel is compiled or launched for, except the direction."""
    values = [getattr(call, field.name) for field in fields(call) if field.name != "reverse"]
    return [
        (v.shape, v.stride(), v.dtype, v.device) if isinstance(v, Tensor) else v for v in values
    ]
