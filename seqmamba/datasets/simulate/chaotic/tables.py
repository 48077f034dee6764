"""Orbits as tables, for the shell and for demonstrations."""

import numpy as np
import polars as pl

from seqmamba.datasets.simulate.chaotic.orbits import orbits
from seqmamba.datasets.simulate.chaotic.systems import get_system

__all__ = ["lorenz_demo", "orbit_table"]


def orbit_table(
    system: str, n_steps: int, *, n: int = 1, dt: float | None = None, seed: int = 0
) -> pl.DataFrame:
    """Return orbits as a long table: ``unique_id`` if several, ``ds``, and the channels."""
    found = get_system(system)
    values = orbits(system, n_steps, n=n, dt=dt, seed=seed)
    times = np.arange(n_steps) * (found.dt if dt is None else dt)
    channels = values.reshape(-1, values.shape[2])
    table = {"ds": np.tile(times, n)}
    table |= {name: channels[:, i] for i, name in enumerate(found.channels)}
    if n == 1:
        return pl.DataFrame(table)
    ids = np.repeat([f"orbit{i}" for i in range(n)], n_steps)
    return pl.DataFrame({"unique_id": ids, **table})


def lorenz_demo(seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the x of a Lorenz orbit under 1 % noise, cut in two: fit on the first."""
    table = orbit_table("lorenz63", 2_200, seed=seed)
    return table[:1_500], table[1_500:]
