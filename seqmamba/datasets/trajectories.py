"""Reader of trajectories: equally sampled segments of one or several orbits, all channels.

Gaps, missing rows and jumps end a segment; nothing is filled in.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seqmamba import frames
from seqmamba.errors import DataError, SeqmambaWarning
from seqmamba.frames import Like

__all__ = ["Trajectories", "read_trajectories"]

Array = NDArray[np.float64]
Shape = Literal["table", "array", "arrays"]

EVEN = 0.01  # relative deviation of a time step that still counts as even
JUMP = 6.0  # times the 99 % quantile of surprise; single orbits of ten systems stay below 5.3
LEAST = 100  # moments without which nothing can be said
SURPRISE = 0.25  # standard deviations, the least that counts as a leap


@dataclass(frozen=True)
class Trajectories:
    """Segments of equally sampled orbits.

    Parameters
    ----------
    segments : list of array (n_i, V)
        No missing value.
    names : tuple of str
        Channels.
    ids : list of str
        Orbit that each segment belongs to.
    ends : list of float
        Time of the last row of each segment; row numbers where there is no time column.
    dt : float or None
        Time between rows, from the time column.
    like : Like
        Where the table came from.
    shape : {"table", "array", "arrays"}
        What the user passed, and gets back.
    notes : dict of str to int
        Rows dropped, gaps, jumps.
    """

    segments: list[Array]
    names: tuple[str, ...]
    ids: list[str]
    ends: list[float]
    dt: float | None
    like: Like
    shape: Shape
    notes: dict[str, int] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """Rows of all segments."""
        return sum(len(segment) for segment in self.segments)

    def values(self) -> Array:
        """Return all rows, segment after segment: (n, V)."""
        return np.concatenate(self.segments)

    def last_of_each(self) -> "Trajectories":
        """Keep the newest segment of every orbit, in the order of the orbits."""
        newest = {name: i for i, name in enumerate(self.ids)}
        return self.chosen(list(newest.values()))

    def chosen(self, rows: Sequence[int]) -> "Trajectories":
        """Keep some segments."""
        return replace(
            self,
            segments=[self.segments[i] for i in rows],
            ids=[self.ids[i] for i in rows],
            ends=[self.ends[i] for i in rows],
        )


def read_trajectories(
    source: Any, *, id_col: str = "unique_id", time_col: str = "ds", split_jumps: bool = True
) -> Trajectories:
    """Read orbits from a table, an array or several arrays.

    Parameters
    ----------
    source : table, path, array (n,) or (n, V), array (M, n, V), or sequence of arrays
        Of a table, every column besides the two named ones is a channel. An ``.npz`` file of one
        system may hold ``train``.
    id_col, time_col : str
        Columns that are used if they are there: orbit, and time (numbers or time stamps).
    split_jumps : bool
        Cut where the state leaps as no flow does, with a warning: orbits glued together.

    Raises
    ------
    DataError
        Uneven sampling, a repeated time, infinite values, text, or no complete row: names column,
        row and cure.

    Examples
    --------
    >>> read_trajectories(np.zeros((5, 2))).names
    ('x0', 'x1')
    """
    parts, names, like, shape, dt = _parts(source, id_col, time_col)
    notes = {"missing rows": 0, "gaps": 0, "jumps": 0}
    segments: list[Array] = []
    ids: list[str] = []
    ends: list[float] = []
    for label, values, ticks in parts:
        _refuse_infinite(values, names, label)
        for piece in _pieces(values, ticks, notes, split_jumps):
            segments.append(values[piece])
            ids.append(label)
            ends.append(float(piece.stop - 1) if dt is None else float(ticks[piece.stop - 1]))
    if not segments:
        raise DataError("no row is complete: every one misses a value. Fill or drop channels.")
    if notes["jumps"]:
        warnings.warn(
            f"the state leaps {notes['jumps']} time(s) as no flow does: cut there, as if orbits "
            f"were glued together. Pass {id_col} or a list of arrays to say where they end.",
            SeqmambaWarning,
            stacklevel=3,
        )
    return Trajectories(segments, names, ids, ends, dt, like, shape, notes)


_Part = tuple[str, Array, Array]  # orbit, values (n, V), time in units of dt or row numbers


def _parts(
    source: Any, id_col: str, time_col: str
) -> tuple[list[_Part], tuple[str, ...], Like, Shape, float | None]:
    """Return orbits as arrays, with the time of each row."""
    if isinstance(source, np.ndarray) and not source.size:
        raise DataError(f"the array of shape {source.shape} has no rows. Pass an orbit.")
    several = isinstance(source, list | tuple) and len(source) > 0 and np.ndim(source[0]) > 0
    if several or (isinstance(source, np.ndarray) and source.ndim == 3):
        arrays = [np.asarray(x, np.float64) for x in source]
        arrays = [x[:, None] if x.ndim == 1 else x for x in arrays]
        widths = {x.shape[1] if x.ndim == 2 else -1 for x in arrays}
        if len(widths) != 1 or -1 in widths:
            shapes = ", ".join(str(x.shape) for x in arrays[:4])
            raise DataError(f"the arrays must all be (rows, channels) alike; got {shapes}.")
        names = tuple(f"x{i}" for i in range(widths.pop()))
        rows = [(str(i), x, np.arange(len(x), dtype=float)) for i, x in enumerate(arrays)]
        return rows, names, Like("numpy"), "arrays", None
    table, like = frames.read(source, text_columns=[id_col])
    keys = [name for name in (id_col, time_col) if name in table.columns]
    names = tuple(name for name in table.columns if name not in keys)
    if not names:
        raise DataError(f"the table has no channel besides {', '.join(keys)}. Add a column.")
    shape: Shape = "array" if like.library == "numpy" else "table"
    wide = table.with_columns(frames.numeric(table, name) for name in names)
    has_time = time_col in table.columns
    groups = _groups(wide, id_col)
    spaced = [(label, *_timed(part, names, time_col, label)) for label, part in groups]
    dt = _spacing([t for _, _, t in spaced], time_col) if has_time else None
    if dt is None:
        return spaced, names, like, shape, None
    checked = [(label, x, _even(t, dt, label, time_col)) for label, x, t in spaced]
    return checked, names, like, shape, dt


def _groups(table: pl.DataFrame, id_col: str) -> list[tuple[str, pl.DataFrame]]:
    if id_col not in table.columns:
        return [("0", table)]
    found = table.partition_by(id_col, as_dict=True, maintain_order=True)
    return sorted((str(key[0]), part) for key, part in found.items())


def _timed(
    table: pl.DataFrame, names: tuple[str, ...], time_col: str, label: str
) -> tuple[Array, Array]:
    """Return channels and time of one orbit, in the order of time."""
    if time_col not in table.columns:
        return _matrix(table, names), np.arange(table.height, dtype=float)
    stamps = frames.times(table, time_col)
    if stamps.dtype.is_temporal():
        stamps = stamps.cast(pl.Datetime("us")).cast(pl.Int64) / 1e6  # seconds
    seconds = stamps.cast(pl.Float64).to_numpy()
    order = np.argsort(seconds, kind="stable")
    return _matrix(table, names)[order], seconds[order]


def _matrix(table: pl.DataFrame, names: tuple[str, ...]) -> Array:
    columns = [table[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in names]
    return np.stack(columns, axis=1)


def _spacing(times: list[Array], time_col: str) -> float:
    steps = np.concatenate([np.diff(t) for t in times])
    if not len(steps):
        raise DataError(f"column {time_col!r} has one row; a trajectory needs several.")
    if (steps <= 0).any():
        raise DataError(
            f"column {time_col!r} repeats a time. Name the orbits in a column of their own, or "
            "drop the repeated rows.",
            column=time_col,
        )
    return float(np.median(steps))


def _even(t: Array, dt: float, label: str, time_col: str) -> Array:
    """Check that every step is a whole number of usual ones."""
    steps: Array = np.diff(t) / dt
    off: NDArray[np.bool_] = np.abs(steps - np.round(steps)) > EVEN
    off |= np.round(steps) < 1
    if off.any():
        row = int(off.argmax())
        raise DataError(
            f"column {time_col!r} is not evenly spaced: rows {row + 1} and {row + 2} of orbit "
            f"{label} are {steps[row] * dt:g} apart, usual are {dt:g}. Resample the data.",
            column=time_col,
            where=f"orbit {label}, row {row + 1}",
            value=float(steps[row] * dt),
        )
    return t


def _pieces(values: Array, times: Array, notes: dict[str, int], split_jumps: bool) -> list[slice]:
    """Return the runs of rows without a gap, a missing value or a jump."""
    whole: NDArray[np.bool_] = np.asarray(np.isfinite(values).all(axis=1))
    notes["missing rows"] += int((~whole).sum())
    steps = np.diff(times)
    usual = float(np.median(steps)) if len(steps) else 1.0
    gap: NDArray[np.bool_] = np.asarray(steps > 1.5 * usual)
    notes["gaps"] += int(gap.sum())
    leap = _leaps(values) if split_jumps else np.zeros(len(gap), bool)
    notes["jumps"] += int((leap & ~gap).sum())
    cut = np.concatenate([[True], gap | leap | (whole[1:] != whole[:-1])])
    starts = np.flatnonzero(cut)
    stops = np.append(starts[1:], len(values))
    return [slice(int(a), int(b)) for a, b in zip(starts, stops, strict=True) if whole[a]]


def _leaps(values: Array) -> NDArray[np.bool_]:
    """Mark steps that no similar moment of the orbit takes: there, two orbits were glued.

    A moment is a row and the one before; its surprise is how far its step is from those of the most
    similar moments, at best.
    """
    from scipy.spatial import KDTree  # heavy, and only fit needs it

    none: NDArray[np.bool_] = np.zeros(max(len(values) - 1, 0), bool)
    whole = values[np.isfinite(values).all(axis=1)]
    if len(whole) < LEAST:
        return none
    spread = whole.std(axis=0)
    if not (spread > 0).any():
        return none
    scaled = values[:, spread > 0] / spread[spread > 0]
    step = np.diff(scaled, axis=0)
    moments = np.concatenate([scaled[1:-1], scaled[:-2]], axis=1)
    real = np.flatnonzero(np.isfinite(moments).all(axis=1) & np.isfinite(step[1:]).all(axis=1))
    if len(real) < LEAST:
        return none
    known = real[np.linspace(0, len(real) - 1, min(len(real), 4_000)).astype(int)]
    near = known[KDTree(moments[known]).query(moments[real], k=5)[1]]
    off = np.linalg.norm(step[1:][real, None] - step[1:][near], axis=2)
    off[near == real[:, None]] = np.inf  # itself
    surprise = off.min(axis=1) / np.sqrt(scaled.shape[1])
    leap = (surprise > JUMP * np.quantile(surprise, 0.99)) & (surprise > SURPRISE)
    none[real[leap] + 1] = True
    return none


def _refuse_infinite(values: Array, names: tuple[str, ...], label: str) -> None:
    rows, columns = np.nonzero(np.isinf(values))
    if len(rows):
        name = names[int(columns[0])]
        raise DataError(
            f"column {name!r} of orbit {label} is infinite in row {int(rows[0]) + 1}. "
            "Fill or drop it.",
            column=name,
        )
