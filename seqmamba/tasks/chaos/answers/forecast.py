"""Forecasts in the units, the library and the shape of the data that came in."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba.datasets.trajectories import Trajectories
from seqmamba.errors import ConfigError, DataError
from seqmamba.frames import Like, write
from seqmamba.tasks.chaos.orbits import OrbitReader
from seqmamba.tasks.chaos.reading import check_channels, ordered

__all__ = ["contexts_of", "filled", "forecast"]

Array = NDArray[np.float64]


def forecast(model: OrbitReader, X: Any, h: int) -> Any:
    """Return the rows behind the last of each orbit."""
    if h < 1:
        raise ConfigError(f"h must be at least 1 row, got {h!r}.")
    found, contexts = contexts_of(model, X)
    path = model._roll(model.net_, contexts, h).path
    return _answer(model, found, model._scale.invert(path))


def contexts_of(model: OrbitReader, X: Any) -> tuple[Trajectories, Array]:
    """Return orbits and their scaled contexts (n, lead + context, kept)."""
    names = model.info_.feature_names
    if X is None:
        library, shape, has_time = cast(tuple[str, Any, bool], tuple(model.source_))
        found = Trajectories(
            [model.context_],
            names,
            ["0"],
            [model.context_end_],
            model.dt_ if has_time else None,
            Like(library),
            "array" if shape == "arrays" else shape,
        )
    else:
        found = model._orbits(X).last_of_each()
        check_channels(names, found)
        if found.dt is not None and model.source_[2]:
            _check_spacing(found.dt, model.dt_, model.time_col)
    segments = [model._scale.apply(s) for s in ordered(found, names)]
    return found, filled(segments, model)


def filled(segments: Sequence[Array], model: OrbitReader) -> Array:
    """Stack the newest rows of contexts; delayed rows that are not there repeat the first.

    Raises
    ------
    DataError
        A context is shorter than a patch.
    """
    shape = model._shape
    lead = shape.lead
    shortest = min(len(s) for s in segments)
    if shortest < shape.patch:
        raise DataError(
            f"a context of {shortest} rows is shorter than one patch of {shape.patch}; the model "
            f"was fitted on input_size={model.input_size}. Pass at least {shape.patch} rows, "
            f"better {lead + shape.context}.",
            value=shortest,
        )
    rows = min(shortest, lead + shape.context)
    rows = max(rows - rows % shape.patch if rows < shape.context else rows, shape.patch)
    newest = np.stack([s[-rows:] for s in segments])
    missing = lead + min(shape.context, rows) - rows
    return np.concatenate([np.repeat(newest[:, :1], max(missing, 0), axis=1), newest], axis=1)


def _check_spacing(found: float, fitted: float, column: str) -> None:
    if abs(found / fitted - 1) > 0.01:
        raise DataError(
            f"rows are {found:g} apart by column {column!r}; the model was fitted on rows "
            f"{fitted:g} apart. Resample them.",
            column=column,
            value=found,
        )


def _answer(model: OrbitReader, found: Trajectories, path: Array) -> Any:
    if found.shape == "array":
        return path[0]
    if found.shape == "arrays":
        return path
    n, h, _ = path.shape
    columns: dict[str, Any] = {}
    if len(set(found.ids)) > 1:
        columns[model.id_col] = np.repeat(found.ids, h)
    columns["step"] = np.tile(np.arange(1, h + 1), n)
    if found.dt is not None:
        steps = np.arange(1, h + 1) * found.dt
        columns[model.time_col] = np.concatenate([end + steps for end in found.ends])
    flat = path.reshape(n * h, -1)
    columns |= {name: flat[:, i] for i, name in enumerate(model.info_.feature_names)}
    return write(pl.DataFrame(columns), found.like)
