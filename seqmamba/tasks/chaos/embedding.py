"""Delay embedding: a lag by mutual information, a dimension by Cao or by false neighbours."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.signal import medfilt
from scipy.spatial import KDTree

from seqmamba.reports import new_figure

__all__ = [
    "EmbeddingReport",
    "cao",
    "choose",
    "embedding_report",
    "false_neighbours",
    "first_minimum",
    "mutual_information",
    "suggest",
]

Array = NDArray[np.float64]

MAX_DIM = 10
ROWS, ASKED = 4_000, 1_000  # rows of a neighbour search, and those whose neighbours are sought


@dataclass(frozen=True)
class EmbeddingReport:
    """What was found, and the curves behind it.

    Parameters
    ----------
    delay_lag, delay_dim : int
        Suggested, before the guard of a model's context.
    information : DataFrame
        channel, lag, mutual information (nats).
    dimension : DataFrame
        channel, dim, ``e1``, ``e2`` (Cao), false neighbours (share).
    lags, dims : dict of str to int
        Per channel.
    is_noise : bool
        ``e2`` is 1 at every dimension: the series looks random.
    """

    delay_lag: int
    delay_dim: int
    information: pl.DataFrame
    dimension: pl.DataFrame
    lags: dict[str, int] = field(default_factory=dict)
    dims: dict[str, int] = field(default_factory=dict)
    is_noise: bool = False

    def table(self) -> pl.DataFrame:
        """Return the suggestion per channel: channel, lag, dim."""
        rows = [
            {"channel": c, "delay_lag": self.lags[c], "delay_dim": self.dims[c]} for c in self.lags
        ]
        median = {"channel": "all", "delay_lag": self.delay_lag, "delay_dim": self.delay_dim}
        return pl.DataFrame([*rows, median])

    def figure(self) -> Any:
        """Draw mutual information by lag and Cao's E1 by dimension; dots mark what was chosen."""
        figure, axes = new_figure(1, 2, size=(8, 3.2))
        curves = [
            (self.information, "lag", "information", self.lags),
            (self.dimension, "dim", "e1", self.dims),
        ]
        for axis, (table, x, y, chosen) in zip(axes[0], curves, strict=True):
            for channel, at in chosen.items():
                rows = table.filter(pl.col("channel") == channel)
                (line,) = axis.plot(rows[x], rows[y], lw=1.1, label=channel)
                axis.plot(at, rows[y][at - 1], "o", color=line.get_color())
            axis.set_xlabel({"lag": "lag in rows", "dim": "dimension"}[x])
        axes[0, 0].set_ylabel("mutual information in nats")
        axes[0, 1].set_ylabel("Cao's E1")
        axes[0, 0].legend(fontsize=8)
        return figure


def mutual_information(x: Array, max_lag: int = 100) -> Array:
    """Return the average mutual information of ``x`` (n,) and itself, lags 1 to max_lag, nats.

    Ranks in ``ceil(n^(1/3))`` bins of equal frequency.
    """
    n = len(x)
    bins = int(np.ceil(n ** (1 / 3)))
    ranks = np.argsort(np.argsort(x, kind="stable"), kind="stable") * bins // n
    found = []
    for lag in range(1, min(max_lag, n - 2) + 1):
        joint = np.bincount(ranks[:-lag] * bins + ranks[lag:], minlength=bins * bins)
        p = joint.reshape(bins, bins) / (n - lag)
        independent = p.sum(axis=1, keepdims=True) * p.sum(axis=0, keepdims=True)
        seen = p > 0
        found.append(float((p[seen] * np.log(p[seen] / independent[seen])).sum()))
    return np.array(found)


def first_minimum(information: Array, x: Array) -> int:
    """Return the lag of the first minimum, else the first with autocorrelation below 1 / e."""
    smooth = medfilt(information, 3) if len(information) >= 3 else information
    falls = np.diff(smooth)
    for lag in range(1, len(falls)):
        if falls[lag - 1] < 0 and falls[lag] >= 0:
            return lag + 1
    centred = x - x.mean()
    power = float(centred @ centred)
    for lag in range(1, len(information) + 1):
        if float(centred[:-lag] @ centred[lag:]) < power / np.e:
            return lag
    return len(information)


def cao(x: Array, lag: int, max_dim: int = MAX_DIM) -> tuple[Array, Array]:
    """Return Cao's E1 and E2 for dimensions 1 to max_dim.

    E1 comes to rest at 1 where the dimension suffices; E2 is 1 at all dimensions for noise.
    Source: Cao, Physica D 110 (1997) 43.
    """
    growth, ahead = [], []
    for m in range(1, max_dim + 2):
        distance, gap = _neighbours(x, m, lag)
        growth.append(float(np.mean(np.maximum(distance, gap) / distance)))
        ahead.append(float(np.mean(gap)))
    e, e_star = np.array(growth), np.array(ahead)
    return e[1:] / e[:-1], e_star[1:] / e_star[:-1]


def false_neighbours(
    x: Array, lag: int, max_dim: int = MAX_DIM, ratio: float = 15.0, size: float = 2.0
) -> Array:
    """Return the share of false nearest neighbours for dimensions 1 to max_dim.

    Source: Kennel et al., Phys. Rev. A 45 (1992) 3403.
    """
    spread = x.std()
    shares = []
    for m in range(1, max_dim + 1):
        distance, gap = _neighbours(x, m, lag)
        is_false = gap > ratio * distance
        is_false |= np.hypot(distance, gap) > size * spread
        shares.append(float(is_false.mean()))
    return np.array(shares)


def choose(e1: Array) -> int:
    """Return the first dimension at which E1 is above 0.9 and moves by less than 0.05."""
    for m in range(len(e1) - 1):
        if e1[m] > 0.9 and abs(e1[m + 1] - e1[m]) < 0.05:
            return m + 1
    return len(e1)


def embedding_report(
    x: Array, names: tuple[str, ...] = (), *, max_lag: int = 100, method: str = "cao"
) -> EmbeddingReport:
    """Suggest lag and dimension of a delay embedding, with the curves that say why.

    Parameters
    ----------
    x : array (n,) or (n, V)
        Of one orbit, equally sampled.
    names : tuple of str
        Channels; empty = x0, x1, ...
    max_lag : int
    method : {"cao", "fnn"}

    Returns
    -------
    EmbeddingReport
        The suggestion is the median over the channels.

    Examples
    --------
    >>> wave = np.sin(np.arange(2_000) * 0.1)
    >>> embedding_report(wave).delay_dim
    2
    """
    values = np.asarray(x, np.float64).reshape(len(x), -1)
    names = names or tuple(f"x{i}" for i in range(values.shape[1]))
    found = [_channel(column, max_lag, method) for column in values.T]
    lags = {name: one.lag for name, one in zip(names, found, strict=True)}
    dims = {name: one.dim for name, one in zip(names, found, strict=True)}
    information = [
        (name, i + 1, float(v))
        for name, one in zip(names, found, strict=True)
        for i, v in enumerate(one.information)
    ]
    dimension = [
        (name, i + 1, float(a), float(b), float(c))
        for name, one in zip(names, found, strict=True)
        for i, (a, b, c) in enumerate(zip(one.e1, one.e2, one.false, strict=True))
    ]
    return EmbeddingReport(
        delay_lag=int(np.median(list(lags.values()))),
        delay_dim=int(np.median(list(dims.values()))),
        information=pl.DataFrame(information, ["channel", "lag", "information"], orient="row"),
        dimension=pl.DataFrame(dimension, ["channel", "dim", "e1", "e2", "false"], orient="row"),
        lags=lags,
        dims=dims,
        is_noise=all(bool((np.abs(one.e2 - 1) < 0.1).all()) for one in found),
    )


@dataclass(frozen=True)
class _Channel:
    """Curves of one channel."""

    lag: int
    dim: int
    information: Array
    e1: Array
    e2: Array
    false: Array


def _channel(x: Array, max_lag: int, method: str) -> _Channel:
    information = mutual_information(x, max_lag)
    lag = first_minimum(information, x)
    max_dim = max(min(MAX_DIM, (len(x) - 20) // (2 * lag) - 1), 2)
    e1, e2 = cao(x, lag, max_dim)
    false = false_neighbours(x, lag, max_dim)
    few = np.flatnonzero(false < 0.01)
    fnn = int(few[0]) + 1 if len(few) else max_dim
    return _Channel(lag, choose(e1) if method == "cao" else fnn, information, e1, e2, false)


def suggest(x: Array, max_lag: int = 100) -> tuple[int, int]:
    """Return dimension (Cao) and lag alone, medians over the channels of ``x`` (n, V)."""
    lags, dims = [], []
    for column in x.T:
        lags.append(first_minimum(mutual_information(column, max_lag), column))
        max_dim = max(min(MAX_DIM, (len(x) - 20) // (2 * lags[-1]) - 1), 2)
        dims.append(choose(cao(column, lags[-1], max_dim)[0]))
    return int(np.median(dims)), int(np.median(lags))


def _neighbours(x: Array, m: int, lag: int) -> tuple[Array, Array]:
    """Return distances to nearest neighbours, and those of the next delayed values.

    Pairs closer in time than a window, and equal states, are left out.
    """
    n = min(len(x) - m * lag, ROWS)
    y = np.stack([x[i * lag : i * lag + n] for i in range(m)], axis=1)
    asked = np.unique(np.linspace(0, n - 1, min(n, ASKED)).astype(int))
    theiler = m * lag
    distance, index = KDTree(y).query(y[asked], k=min(2 * theiler + 2, n), p=np.inf)
    apart = (np.abs(index - asked[:, None]) > theiler) & (distance > 0)
    first, rows = apart.argmax(axis=1), np.arange(len(asked))
    real = apart.any(axis=1)
    nearest = index[rows, first]
    gap = np.abs(x[m * lag + asked] - x[m * lag + nearest])
    return distance[rows, first][real], gap[real]
