"""One recording becomes what the network reads: the same steps in fit and predict."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seqmamba.datasets.records.record import Record
from seqmamba.errors import DataError
from seqmamba.tasks.ecg.signal.conditioning import FilterName, band, fill_gaps, resample
from seqmamba.tasks.ecg.signal.leads import arrange
from seqmamba.tasks.ecg.signal.rhythm import rhythm_of

__all__ = ["Prepared", "Preprocessing", "ScaleName"]

ScaleName = Literal["record", "lead", "mv"]
SHORTEST_S = 2.0
MOST_LOST = 0.5
LARGE_MV, SMALL_MV, HUGE_MV = 20.0, 0.005, 50.0
TINY = 1e-6


@dataclass(frozen=True)
class Prepared:
    """A recording as the network reads it.

    Parameters
    ----------
    name : str
    signal : array (T, leads) float32
        At the model's rate; zero where a lead is missing.
    present : array (leads,) of bool
    level : float
        Logarithm of the record's standard deviation in millivolts.
    rhythm : array (3,)
        As :func:`seqmamba.tasks.ecg.signal.rhythm.rhythm_of`.
    scale : array (leads,)
        Millivolts of one unit of ``signal``.
    flags : tuple of str
    """

    name: str
    signal: NDArray[np.float32]
    present: NDArray[np.bool_]
    level: float
    rhythm: NDArray[np.float64]
    scale: NDArray[np.float64]
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Preprocessing:
    """The steps of the ECG specification, section 4.

    Parameters
    ----------
    fs : float
        Rate of the model.
    leads : tuple of str
    filter : {"bandpass", "highpass", "none"}
    notch : float or None
        Mains frequency to take out, hertz.
    scale : {"record", "lead", "mv"}
        Unit of the signal: the record's standard deviation over all leads, each lead's own, or the
        millivolt.
    min_leads : int
    """

    fs: float
    leads: tuple[str, ...]
    filter: FilterName = "bandpass"
    notch: float | None = None
    scale: ScaleName = "record"
    min_leads: int = 1

    def __call__(self, record: Record) -> Prepared:
        """Prepare one recording.

        Raises
        ------
        DataError
            Too short, too much lost, or too few leads.
        """
        self._check_length(record)
        signal, present, flags = arrange(record.signal, record.leads, self.leads)
        if present.sum() < self.min_leads:
            have = ", ".join(record.leads) or "none"
            raise DataError(
                f"record {record.name}: {present.sum()} usable leads of {', '.join(self.leads)}, "
                f"at least {self.min_leads} needed. Its channels: {have}.",
                where=record.name,
            )
        signal, lost = fill_gaps(signal, record.fs)
        if lost > MOST_LOST:
            raise DataError(
                f"record {record.name}: {lost:.0%} of its samples are missing, at most "
                f"{MOST_LOST:.0%} can be. Leave it out.",
                where=record.name,
            )
        if lost:
            flags.append(f"{lost:.1%} of the samples were missing")
        signal = resample(signal, record.fs, self.fs)
        signal = band(signal, self.fs, self.filter, self.notch)
        signal = np.where(present[:, None], signal - np.median(signal, -1, keepdims=True), 0.0)
        flags += _amplitude_flags(signal[present])
        return self._scaled(record.name, signal, present, flags)

    def _scaled(
        self, name: str, signal: NDArray[Any], present: NDArray[np.bool_], flags: list[str]
    ) -> Prepared:
        whole = max(float(signal[present].std(dtype=np.float64)), TINY)
        scale = np.full(len(signal), whole if self.scale == "record" else 1.0)
        if self.scale == "lead":
            scale = np.where(present, np.maximum(signal.std(-1, dtype=np.float64), TINY), 1.0)
        return Prepared(
            name=name,
            signal=np.ascontiguousarray((signal / scale[:, None]).T, dtype=np.float32),
            present=present,
            level=float(np.log(whole)),
            rhythm=rhythm_of(signal[present], self.fs),
            scale=scale,
            flags=tuple(flags),
        )

    def _check_length(self, record: Record) -> None:
        if record.seconds < SHORTEST_S:
            raise DataError(
                f"record {record.name} lasts {record.seconds:.2f} s at {record.fs:g} Hz, at least "
                f"{SHORTEST_S:g} s are needed. Is the rate right?",
                where=record.name,
                value=record.seconds,
            )


def _amplitude_flags(signal: NDArray[Any]) -> list[str]:
    """Say where the unit can hardly be the millivolt."""
    size = float(np.median(np.abs(signal)))
    largest = float(np.abs(signal).max())
    if size > LARGE_MV or largest > HUGE_MV:
        return [f"amplitude of {largest:.0f} mV: is the unit right?"]
    if size < SMALL_MV and largest < 10 * SMALL_MV:
        return [f"amplitude of {largest:.2g} mV: is the unit right?"]
    return []
