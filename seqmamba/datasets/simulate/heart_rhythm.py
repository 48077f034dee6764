"""When a simulated heart beats: rhythms, conduction to the ventricles, ectopic beats."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rhythm", "draw_rhythm"]

Floats = NDArray[np.float64]
SHARES = {"SR": 0.40, "AF": 0.14, "SB": 0.13, "STACH": 0.13, "AVB1": 0.10, "AVB2": 0.10}
RATES = {"SR": (61, 99), "AF": (55, 140), "SB": (38, 59), "STACH": (101, 150)}


@dataclass(frozen=True)
class Rhythm:
    """Beats of one recording.

    Parameters
    ----------
    name : str
        "SR", "AF", "SB", "STACH", "AVB1" or "AVB2".
    rate : float
        Beats per minute.
    beats : array (b,)
        Seconds of the R waves; the first may lie before the recording.
    kinds : tuple of str
        "N", "V" (ventricular ectopic) or "A" (atrial ectopic) per beat.
    intervals : array (b,)
        Seconds since the beat before.
    atria : array (p,)
        Seconds of the P waves.
    of_ectopic : array (p,) of bool
        P waves of atrial ectopic beats.
    ectopy : frozenset of str
        "PVC", "PAC".
    """

    name: str
    rate: float
    beats: Floats
    kinds: tuple[str, ...]
    intervals: Floats
    atria: Floats
    of_ectopic: NDArray[np.bool_]
    ectopy: frozenset[str]


def draw_rhythm(random: np.random.Generator, seconds: float, difficulty: float) -> Rhythm:
    """Draw a rhythm and its ectopic beats for a recording of some seconds."""
    name = str(random.choice(list(SHARES), p=list(SHARES.values())))
    low, high = RATES.get(name, RATES["SR"])
    rate = float(random.uniform(low, high))
    intervals = _intervals(random, name, 60 / rate, seconds, difficulty)
    ectopy = {"PVC"} if random.random() < 0.16 else set()
    if random.random() < 0.16 and name != "AF":
        ectopy.add("PAC")
    kinds = ["N"] * len(intervals)
    for label in sorted(ectopy):
        _insert_ectopic(random, intervals, kinds, label, seconds)
    beats = np.cumsum(intervals) - intervals[0] - random.uniform(0, intervals[0])
    if name == "AVB2":
        beats, kinds, atria = _wenckebach(random, beats, kinds)
    else:
        delay = random.uniform(0.21, 0.30) if name == "AVB1" else random.uniform(0.12, 0.195)
        conducted = np.array([kind != "V" for kind in kinds])
        atria = beats[conducted] - min(delay, 0.45 * 60 / rate)
    premature = np.array([kind == "A" for kind in kinds])
    of_ectopic = np.isin(np.arange(len(atria)), _atrial_rows(beats, premature, atria))
    return Rhythm(
        name=name,
        rate=rate,
        beats=beats,
        kinds=tuple(kinds),
        intervals=np.diff(beats, prepend=beats[0] - intervals[0]),
        atria=np.empty(0) if name == "AF" else atria,
        of_ectopic=np.empty(0, dtype=bool) if name == "AF" else of_ectopic,
        ectopy=_seen(beats, kinds, seconds),
    )


def _seen(beats: Floats, kinds: list[str], seconds: float) -> frozenset[str]:
    """Return the ectopy that the recording shows; a blocked or an outer beat is no label."""
    shown = {kind for time, kind in zip(beats, kinds, strict=True) if 0.1 < time < seconds - 0.1}
    return frozenset(label for label, kind in (("PVC", "V"), ("PAC", "A")) if kind in shown)


def _intervals(
    random: np.random.Generator, name: str, mean: float, seconds: float, difficulty: float
) -> Floats:
    """Return more intervals than fit into the recording."""
    count = int(seconds / mean * 1.8) + 8
    if name == "AF":
        spread = random.uniform(0.08 + 0.08 * (1 - difficulty), 0.24)
        return mean * np.exp(random.normal(0, spread, count))
    breathing = 0.03
    if random.random() < 0.15 * difficulty:  # respiratory arrhythmia, which is no disease
        breathing = random.uniform(0.08, 0.14)
    time = np.arange(count) * mean
    swing = breathing * np.sin(2 * np.pi * (0.25 * time + random.random()))
    return np.asarray(mean * (1 + swing + random.normal(0, 0.012, count)))


def _insert_ectopic(
    random: np.random.Generator,
    intervals: Floats,
    kinds: list[str],
    label: str,
    seconds: float,
) -> None:
    """Make beats premature; a ventricular one is followed by a full compensatory pause."""
    probability = random.uniform(0.04, 0.16)
    inside = np.flatnonzero(np.cumsum(intervals) < seconds - intervals.mean())[2:]
    free = [k for k in inside if kinds[k] == "N" and kinds[k - 1] == "N"]
    if not free:
        return
    chosen = [k for k in free if random.random() < probability] or [int(random.choice(free))]
    for k in chosen:
        if kinds[k - 1] != "N":  # never two in a row
            continue
        usual = intervals[k]
        intervals[k] = usual * random.uniform(0.58, 0.80)
        if label == "PVC":
            kinds[k] = "V"
            intervals[k + 1] = 2 * usual - intervals[k]
        else:
            kinds[k] = "A"


def _wenckebach(
    random: np.random.Generator, atria: Floats, kinds: list[str]
) -> tuple[Floats, list[str], Floats]:
    """Delay each conducted beat more than the last, and drop the last of every cycle."""
    beats, kept = [], []
    cycle, place = int(random.integers(4, 8)), int(random.integers(0, 3))
    first, growth = random.uniform(0.13, 0.20), random.uniform(0.02, 0.06)
    for time, kind in zip(atria, kinds, strict=True):
        if kind == "V":
            beats.append(time + 0.1)
            kept.append(kind)
            continue
        place += 1
        if place >= cycle:
            place = 0
            continue
        beats.append(time + first + growth * place)
        kept.append(kind)
    sinus = np.array([kind != "V" for kind in kinds])
    order = np.argsort(beats)
    return np.array(beats)[order], [kept[k] for k in order], atria[sinus]


def _atrial_rows(beats: Floats, premature: NDArray[np.bool_], atria: Floats) -> NDArray[np.int64]:
    """Return the P waves that belong to premature atrial beats: the last before each."""
    rows = np.searchsorted(atria, beats[premature]) - 1
    return rows[rows >= 0]
