"""One recording in millivolts, and the units that recordings come in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqmamba.errors import DataError

__all__ = ["Failure", "Record", "millivolts", "per_millivolt"]

_PER_MILLIVOLT = {"mv": 1.0, "uv": 1e3, "µv": 1e3, "μv": 1e3, "nv": 1e6, "v": 1e-3}


@dataclass(frozen=True)
class Record:
    """One recording.

    Parameters
    ----------
    name : str
    signal : array (leads, T)
        Millivolts; NaN = not recorded.
    fs : float
        Samples per second.
    leads : tuple of str
        As the source names them.
    diagnoses : tuple of str
        Codes in the header; labels to learn from, never an input.
    facts : mapping of str to str
        ``age`` and ``sex``, where the header has them.
    """

    name: str
    signal: NDArray[np.floating[Any]]
    fs: float
    leads: tuple[str, ...]
    diagnoses: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.signal.ndim != 2 or len(self.leads) != len(self.signal):
            raise DataError(
                f"record {self.name}: {len(self.leads)} lead names for a signal of shape "
                f"{self.signal.shape}; expected (leads, samples).",
                where=self.name,
            )
        if not (np.isfinite(self.fs) and self.fs > 0):
            raise DataError(
                f"record {self.name}: the rate is {self.fs} Hz, which is no rate. "
                "Pass fs, in samples per second.",
                where=self.name,
                value=self.fs,
            )

    @property
    def seconds(self) -> float:
        """Length."""
        return float(self.signal.shape[1]) / self.fs


@dataclass(frozen=True)
class Failure:
    """A record that could not be read, and why."""

    name: str
    reason: str


def per_millivolt(unit: str | float, where: str = "units") -> float:
    """Return how many of a unit make a millivolt.

    Parameters
    ----------
    unit : str or float
        ``mV, uV, µV, nV, V`` in any case, or the gain of raw values, per millivolt.
    where : str
        For the message.

    Raises
    ------
    DataError
        The unit is none of voltage.

    Examples
    --------
    >>> per_millivolt("uV")
    1000.0
    """
    if isinstance(unit, int | float) and not isinstance(unit, bool) and unit > 0:
        return float(unit)
    found = _PER_MILLIVOLT.get(str(unit).strip().lower())
    if found is None:
        raise DataError(
            f"{where}: {unit!r} is no unit of voltage. Known: mV, uV, nV, V, or a gain per mV.",
            value=unit,
        )
    return found


def millivolts(values: NDArray[Any], unit: str | float, where: str = "units") -> NDArray[Any]:
    """Return values of a unit in millivolts, as floats."""
    gain = per_millivolt(unit, where)
    floats = values if values.dtype.kind == "f" else values.astype(np.float32)
    return floats if gain == 1 else floats / np.asarray(gain, dtype=floats.dtype)
