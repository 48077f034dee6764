"""Twelve-lead recordings of a simulated heart: beats as Gaussians of a vector in the chest.

Source: ECG specification, section 8. Eight leads come from the vector by the Dower matrix, the
four others by Einthoven's and Goldberger's sums, so that III = II - I before noise.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqmamba.datasets.simulate.heart_rhythm import Rhythm, draw_rhythm
from seqmamba.datasets.simulate.heart_waves import LEADS, draw_noise, draw_shape, leads_of

__all__ = ["CLASSES", "LEADS", "Recordings", "ecg", "ecg_demo", "make_ecg"]

CLASSES = ("AF", "SB", "STACH", "AVB1", "AVB2", "RBBB", "LBBB", "PVC", "PAC", "STE", "TINV")
QUANTUM = 0.005  # millivolts
Floats = NDArray[np.float64]


class Recordings(NamedTuple):
    """What :func:`make_ecg` returns.

    Parameters
    ----------
    x : array (n, 12, T)
        Millivolts.
    y : array (n, 11)
        0 or 1 in the order of ``CLASSES``.
    meta : list of dict
        ``beats`` (seconds), ``kinds`` ("N", "V", "A"), ``rhythm``, ``rate`` and the severities.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    meta: list[dict[str, Any]]


def ecg(
    n: int = 300, *, fs: float = 100, seconds: float = 10, seed: int = 0, difficulty: float = 1.0
) -> tuple[NDArray[np.float32], pd.DataFrame]:
    """Return recordings (n, 12, T) in millivolts and their labels, a table of 11 columns.

    Parameters
    ----------
    n : int
    fs, seconds : float
    seed : int
    difficulty : float in [0, 1]
        0 is clean: full severities, little noise, no confounders.

    Examples
    --------
    >>> x, y = ecg(n=2, seed=0)
    >>> x.shape, y.shape
    ((2, 12, 1000), (2, 11))
    """
    made = make_ecg(n, fs=fs, seconds=seconds, seed=seed, difficulty=difficulty)
    return made.x, pd.DataFrame(made.y, columns=list(CLASSES))


def make_ecg(
    n: int, *, fs: float = 100, seconds: float = 10, seed: int = 0, difficulty: float = 1.0
) -> Recordings:
    """Return recordings, labels, and what is known of every beat."""
    signals, labels, meta = [], [], []
    for row in range(n):
        random = np.random.default_rng([seed, row])
        signal, found, facts = _record(random, fs, seconds, difficulty)
        signals.append(signal)
        labels.append([int(name in found) for name in CLASSES])
        meta.append(facts)
    length = round(fs * seconds)
    x = np.array(signals, dtype=np.float32).reshape(n, len(LEADS), length)
    return Recordings(x, np.array(labels, dtype=np.int64).reshape(n, len(CLASSES)), meta)


def ecg_demo(seed: int = 0) -> tuple[Any, Any]:
    """Return (x, y) to learn from and (x, y) to score on."""
    x, y = ecg(n=150, seed=seed)
    return (x[:110], y[:110]), (x[110:], y[110:])


def _record(
    random: np.random.Generator, fs: float, seconds: float, difficulty: float
) -> tuple[Floats, set[str], dict[str, Any]]:
    rhythm = draw_rhythm(random, seconds, difficulty)
    shape = draw_shape(random, difficulty)
    time = np.arange(round(fs * seconds)) / fs
    vector = shape.vector(time, rhythm, random)
    signal = leads_of(vector) + draw_noise(random, time, difficulty)
    signal *= random.uniform(0.7, 1.35)
    if random.random() < 0.08 * difficulty:
        signal[random.integers(len(LEADS))] = 0
    found = {rhythm.name, *shape.labels, *rhythm.ectopy} & set(CLASSES)
    return np.round(signal / QUANTUM) * QUANTUM, found, _facts(rhythm, shape.severity)


def _facts(rhythm: Rhythm, severity: dict[str, float]) -> dict[str, Any]:
    return {
        "beats": rhythm.beats,
        "kinds": rhythm.kinds,
        "rhythm": rhythm.name,
        "rate": rhythm.rate,
        **severity,
    }
