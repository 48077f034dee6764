"""Facts of the data that a network is built from: embedding, patches, windows, the clock."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seqmamba.datasets.samples import Info
from seqmamba.datasets.trajectories import Trajectories
from seqmamba.errors import ConfigError, DataError
from seqmamba.metrics.chaos import lyapunov_rosenstein
from seqmamba.tasks.chaos.embedding import suggest
from seqmamba.tasks.chaos.windows import WindowShape

__all__ = ["describe", "estimated_lyapunov_time", "refuse_short", "window_shape"]

Array = NDArray[np.float64]
Auto = Literal["auto"]

USUAL_PATCH = 5
ENOUGH = 500  # rows from which a Lyapunov exponent is estimated
RECENT = 4_000  # rows that the estimates read


def describe(
    found: Trajectories,
    scaled: Sequence[Array],
    *,
    input_size: int,
    patch: int | Auto,
    delay_dim: int | Auto,
    delay_lag: int | Auto,
) -> Info:
    """Return the facts of training data.

    Raises
    ------
    ConfigError
        The context does not hold two patches.
    """
    rows = _patch(input_size, patch)
    dim, lag = embedding(max(scaled, key=len), input_size, delay_dim, delay_lag)
    lengths = [len(s) for s in scaled]
    extra: dict[str, Any] = {
        "delay_dim": dim,
        "delay_lag": lag,
        "patch": rows,
        "kept": scaled[0].shape[1],
        "dt": found.dt,
        "orbits": len(set(found.ids)),
        "segments": len(scaled),
        "rows": found.n_rows,
        **found.notes,
    }
    return Info(
        channels=len(found.names),
        length=(min(lengths), max(lengths)),
        n_outputs=scaled[0].shape[1],
        feature_names=found.names,
        extra=extra,
    )


def window_shape(info: Info, input_size: int, *, is_released: bool) -> WindowShape:
    """Return the rows of a window; those of the context that fill no patch are left out."""
    extra, patch = info.extra, int(info.extra["patch"])
    lead = (int(extra["delay_dim"]) - 1) * int(extra["delay_lag"])
    context = input_size - input_size % patch
    return WindowShape(lead, context, patch, ahead=0 if is_released else patch)


def embedding(
    x: Array, input_size: int, delay_dim: int | Auto, delay_lag: int | Auto
) -> tuple[int, int]:
    """Return dimension and lag; ``(m - 1) lag < T0 / 2``, or else the lag shrinks."""
    if delay_dim == "auto" or delay_lag == "auto":
        longest = max(min(100, 4 * input_size, len(x) // 20), 2)
        found = suggest(x[-RECENT:], longest)
        delay_dim = found[0] if delay_dim == "auto" else delay_dim
        delay_lag = found[1] if delay_lag == "auto" else delay_lag
    room = max((input_size - 1) // 2, 1)
    dim = min(delay_dim, room + 1)
    return (1, 1) if dim == 1 else (dim, max(min(delay_lag, room // (dim - 1)), 1))


def refuse_short(found: Trajectories, input_size: int, shape: WindowShape | None = None) -> None:
    """Check that training and validation both have windows; without a shape, that one context fits.

    Raises
    ------
    DataError
        Says how many rows there are and how many it takes.
    """
    longest = max(len(s) for s in found.segments)
    if shape is None:
        needed, why = input_size + 1, f"a context alone takes input_size={input_size}"
    else:
        needed = 2 * (shape.lead + shape.context) + shape.patch
        why = f"input_size={input_size} with {shape.lead} delayed rows needs {needed}, for training"
        why += " and validation"
    if longest < needed:
        raise DataError(
            f"the longest run of rows without a gap has {longest}; {why}. Pass more rows, or a "
            "smaller input_size.",
            value=longest,
        )


def estimated_lyapunov_time(x: Array, dt: float, input_size: int) -> float:
    """Return the time over which errors grow by e; ``dt`` where no growth is found.

    Parameters
    ----------
    x : array (n, V)
        Scaled.
    """
    if len(x) < ENOUGH:
        return dt
    recent = x[-RECENT:]
    # fewer than three channels cannot be the whole state of a chaotic flow
    dim, lag = (1, 1) if x.shape[1] > 2 else embedding(recent, input_size, "auto", "auto")
    exponent = lyapunov_rosenstein(recent, dt=dt, delays=dim, lag=lag)
    return 1.0 / exponent if exponent > 0 else dt


def _patch(input_size: int, patch: int | Auto) -> int:
    if patch == "auto":
        return max(min(USUAL_PATCH, input_size // 4), 1)
    if input_size < 2 * patch:
        raise ConfigError(
            f"input_size={input_size} must hold two patches of {patch} rows: in training, one is "
            "forecast from the other."
        )
    return patch
