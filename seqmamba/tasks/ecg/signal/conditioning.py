"""Steps on arrays (leads, T): gaps, rate, band, length."""

from fractions import Fraction
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["FilterName", "band", "fill_gaps", "resample"]

Floats = NDArray[np.floating[Any]]
FilterName = Literal["bandpass", "highpass", "none"]
LONGEST_GAP_S = 0.2  # that is bridged by a line
LOW_HZ, HIGH_HZ, ORDER = 0.5, 45.0, 3


def fill_gaps(signal: Floats, fs: float) -> tuple[Floats, float]:
    """Bridge short gaps by a line and set longer ones to zero.

    Returns
    -------
    signal : array (leads, T)
        Without NaN.
    share : float
        Share of samples that were not recorded.
    """
    lost = ~np.isfinite(signal)
    if not lost.any():
        return signal, 0.0
    filled = np.array(signal, dtype=np.float64)
    time = np.arange(signal.shape[1])
    for row, holes in enumerate(lost):
        if holes.all():
            filled[row] = 0.0
        elif holes.any():
            filled[row, holes] = np.interp(time[holes], time[~holes], filled[row, ~holes])
            filled[row, _long(holes, LONGEST_GAP_S * fs)] = 0.0
    return filled.astype(signal.dtype), float(lost.mean())


def resample(signal: Floats, fs: float, wanted: float) -> Floats:
    """Change the rate by a rational factor, with a polyphase filter."""
    if fs == wanted:
        return signal
    from scipy.signal import resample_poly  # slow to import

    ratio = Fraction(wanted / fs).limit_denominator(1000)
    # A constant in front of and behind the record: zero there would ring at both ends.
    level = np.median(signal, axis=-1, keepdims=True)
    out = resample_poly(signal - level, ratio.numerator, ratio.denominator, axis=-1) + level
    return np.asarray(out, dtype=signal.dtype)


def band(signal: Floats, fs: float, name: FilterName, notch: float | None = None) -> Floats:
    """Filter forwards and backwards, without delay; short records are padded as far as they can."""
    if name == "none" and notch is None:
        return signal
    from scipy.signal import sosfiltfilt  # slow to import

    out = np.asarray(signal, dtype=np.float64)
    for sections in _sections(fs, name, notch):
        padding = min(3 * (2 * len(sections) + 1), signal.shape[-1] - 1)
        out = sosfiltfilt(sections, out, axis=-1, padlen=padding)
    return np.asarray(out, dtype=signal.dtype)


@cache
def _sections(fs: float, name: FilterName, notch: float | None) -> list[NDArray[np.float64]]:
    """Design the filters; a design takes longer than filtering a record."""
    from scipy.signal import butter, iirnotch, tf2sos  # slow to import

    found = []
    if name == "bandpass":
        corners = [LOW_HZ, min(HIGH_HZ, 0.45 * fs)]
        found.append(butter(ORDER, corners, "bandpass", fs=fs, output="sos"))
    elif name == "highpass":
        found.append(butter(ORDER, LOW_HZ, "highpass", fs=fs, output="sos"))
    if notch is not None and notch < 0.49 * fs:
        found.append(tf2sos(*iirnotch(notch, 30.0, fs=fs)))
    return found


def _long(holes: NDArray[np.bool_], longest: float) -> NDArray[np.bool_]:
    """Return the holes that are longer than some samples."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], holes.astype(np.int8), [0]])))
    out = np.zeros(len(holes), dtype=bool)
    for start, stop in edges.reshape(-1, 2):
        out[start:stop] = stop - start > longest
    return out
