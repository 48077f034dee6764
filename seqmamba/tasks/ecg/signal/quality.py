"""How good a recording is, and how fast its heart beats."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqmamba.datasets.records.record import Record
from seqmamba.tasks.ecg.signal.conditioning import fill_gaps
from seqmamba.tasks.ecg.signal.leads import STANDARD, arrange
from seqmamba.tasks.ecg.signal.rhythm import find_beats

__all__ = ["Quality", "quality_of"]

Floats = NDArray[np.floating[Any]]
MAINS_HZ = (50.0, 60.0)
MOST_CLIPPED, MOST_MAINS, MOST_DRIFT_MV = 0.01, 0.1, 0.5


@dataclass(frozen=True)
class Quality:
    """Facts about one recording.

    Parameters
    ----------
    heart_rate : float
        Beats per minute by the median interval; NaN with fewer than three beats.
    clipped : float
        Share of samples at the largest or smallest value of their lead, in runs of three or more.
    mains : float
        Share of the power within 1 Hz of 50 or 60 Hz; NaN at rates below 125 Hz.
    drift : float
        Standard deviation of the baseline below 0.5 Hz, millivolts, of the worst lead.
    flags : tuple of str
    """

    heart_rate: float
    clipped: float
    mains: float
    drift: float
    flags: tuple[str, ...]


def quality_of(record: Record) -> Quality:
    """Measure a recording as it came, before any filter."""
    signal, present, _ = arrange(record.signal, record.leads, STANDARD)
    signal = fill_gaps(signal[present], record.fs)[0].astype(np.float64)
    clipped, mains = _clipped(signal), _mains(signal, record.fs)
    drift = _drift(signal, record.fs)
    beats = find_beats(signal, record.fs)
    rate = 60 / float(np.median(np.diff(beats))) if len(beats) > 2 else float("nan")
    flags = []
    if clipped > MOST_CLIPPED:
        flags.append(f"{clipped:.1%} of the samples are clipped")
    if mains > MOST_MAINS:
        flags.append(f"{mains:.0%} of the power is mains hum")
    if drift > MOST_DRIFT_MV:
        flags.append(f"baseline drifts by {drift:.2g} mV")
    if _is_reversed(signal, present):
        flags.append("arm electrodes may be exchanged: I is negative, V5 and V6 are upright")
    return Quality(rate, clipped, mains, drift, tuple(flags))


def _clipped(signal: Floats) -> float:
    """Return the share of samples that stay at an extreme for at least three samples."""
    extreme = (signal == signal.max(1, keepdims=True)) | (signal == signal.min(1, keepdims=True))
    if signal.shape[1] < 3:
        return 0.0
    runs = extreme[:, :-2] & extreme[:, 1:-1] & extreme[:, 2:]
    return float(runs.mean())


def _mains(signal: Floats, fs: float) -> float:
    if fs < 2 * MAINS_HZ[1] + 5:
        return float("nan")
    power = np.square(np.abs(np.fft.rfft(signal - signal.mean(1, keepdims=True), axis=1))).sum(0)
    rate = np.fft.rfftfreq(signal.shape[1], 1 / fs)
    near = np.any([np.abs(rate - mains) < 1 for mains in MAINS_HZ], axis=0)
    return float(power[near].sum() / max(power.sum(), 1e-12))


def _drift(signal: Floats, fs: float) -> float:
    from scipy.ndimage import uniform_filter1d  # slow to import

    width = min(max(1, round(2 * fs)), signal.shape[1])
    baseline = uniform_filter1d(signal, width, axis=1, mode="nearest")
    return float(baseline.std(1).max())


def _is_reversed(signal: Floats, present: NDArray[np.bool_]) -> bool:
    names = [name for name, there in zip(STANDARD, present, strict=True) if there]
    if not {"I", "V5", "V6"} <= set(names):
        return False
    centred = signal - np.median(signal, axis=1, keepdims=True)
    upright = np.abs(centred.max(1)) - np.abs(centred.min(1))
    one, five, six = (upright[names.index(name)] for name in ("I", "V5", "V6"))
    return bool(one < 0 and five > 0 and six > 0)
