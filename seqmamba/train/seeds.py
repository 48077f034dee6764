"""Independent random streams from one seed, and the global generators left as found."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch

__all__ = ["draw_seed", "order_generator", "stream"]

Stream = Literal["initialisation", "dropout"]
_STREAMS: dict[str, int] = {"initialisation": 0, "order": 1, "dropout": 2}


def draw_seed(random_state: int | None) -> int:
    """Return the seed itself, or a fresh one from the system."""
    if random_state is not None:
        return int(random_state)
    return int(np.random.SeedSequence().generate_state(1)[0])


def order_generator(seed: int, epoch: int) -> np.random.Generator:
    """Return the generator of one epoch's order: a resumed run needs no stored permutation."""
    return np.random.default_rng([seed, _STREAMS["order"], epoch])


@contextmanager
def stream(seed: int, name: Stream) -> Iterator[None]:
    """Run torch's global generators on one stream of a seed; restore them at the end."""
    started = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]  # torch's
    devices = list(range(torch.cuda.device_count())) if started else []
    with torch.random.fork_rng(devices):
        entropy = np.random.SeedSequence([seed, _STREAMS[name]]).generate_state(1, np.uint64)[0]
        torch.manual_seed(int(entropy) >> 1)  # torch takes seeds below 2**63 on every device
        yield
