"""MATLAB struct files of one record each, as in CPSC 2018: ``ECG.data``, ``sex``, ``age``."""

from pathlib import Path
from typing import Any

import numpy as np

from seqmamba.datasets.records.record import Record
from seqmamba.errors import DataError

__all__ = ["read_matlab"]

RATE = 500.0  # of the CPSC 2018 files, which do not state it
STANDARD = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def read_matlab(path: str | Path, fs: float | None = None) -> Record:
    """Read a struct file; its twelve leads are in millivolts, in standard order.

    Raises
    ------
    DataError
        The file is damaged, or holds no struct with a field ``data`` of 12 leads.
    """
    from scipy.io import loadmat  # slow to import

    path = Path(path)
    try:
        content = loadmat(path, simplify_cells=True)
    except Exception as error:  # scipy raises what the damaged bytes lead it into
        raise DataError(f"{path.name} is no readable MATLAB file ({error}).") from error
    structs = [v for v in content.values() if isinstance(v, dict) and "data" in v]
    if not structs:
        raise DataError(
            f"{path.name} has no struct with a field 'data'. A .mat file of WFDB needs its .hea "
            "file beside it.",
            where=path.name,
        )
    found = structs[0]
    signal = np.atleast_2d(np.asarray(found["data"], dtype=np.float32))
    if len(signal) != len(STANDARD):
        raise DataError(
            f"{path.name}: 'data' has shape {signal.shape}; expected 12 leads in standard order.",
            where=path.name,
        )
    rate = fs if fs is not None else RATE
    return Record(path.stem, signal, rate, STANDARD, facts=_facts(found))


def _facts(struct: dict[str, Any]) -> dict[str, str]:
    return {key: str(struct[key]) for key in ("age", "sex") if key in struct}
