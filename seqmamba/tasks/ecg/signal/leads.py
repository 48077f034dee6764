"""Leads by name: order, aliases, signs, and limb leads derived from others."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqmamba.errors import DataError
from seqmamba.params import nearest

__all__ = ["STANDARD", "arrange", "parse_leads"]

Floats = NDArray[np.floating[Any]]
STANDARD = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
FLAT_MV = 1e-6  # a lead that varies less is not connected
ALIASES = {"mli": "i", "mlii": "ii", "mliii": "iii", "di": "i", "dii": "ii", "diii": "iii"}
DERIVED = {  # (I, II) weights; which two of I, II, III exist is settled before
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}
_PLACE = {name.lower(): k for k, name in enumerate(STANDARD)}


def parse_leads(leads: str | Sequence[str]) -> tuple[str, ...]:
    """Return lead names in standard spelling.

    Parameters
    ----------
    leads : str or sequence of str
        ``"12"``, a name, names separated by commas, or a sequence of names.

    Examples
    --------
    >>> parse_leads("i,MLII,v5")
    ('I', 'II', 'V5')
    """
    if leads == "12":
        return STANDARD
    names = leads.split(",") if isinstance(leads, str) else list(leads)
    found = []
    for name in names:
        place, sign = _identify(name)
        if place is None or sign < 0:
            hint = nearest(name.strip(), STANDARD)
            raise DataError(f"no lead {name!r}. Known: {', '.join(STANDARD)}.{hint}", value=name)
        found.append(STANDARD[place])
    return tuple(found)


def arrange(
    signal: Floats, names: Sequence[str], wanted: Sequence[str]
) -> tuple[Floats, NDArray[np.bool_], list[str]]:
    """Put channels into the order of the wanted leads.

    Parameters
    ----------
    signal : array (channels, T)
        Millivolts; NaN = not recorded.
    names : sequence of str
        Of the channels, in any order and case; ``MLII`` is II, ``-aVR`` is turned over, others
        are ignored.
    wanted : sequence of str
        In standard spelling.

    Returns
    -------
    leads : array (len(wanted), T)
        Zero where a lead is missing.
    present : array (len(wanted),) of bool
    flags : list of str
        What was missing, flat, or understood by guess.
    """
    found: dict[str, Floats] = {}
    flags: list[str] = []
    places = [_identify(name) for name in names]
    if all(place is None for place, _ in places):
        places = _guessed(names, flags)
    for channel, (place, sign) in enumerate(places):
        if place is None or STANDARD[place] in found:
            continue
        if _is_flat(signal[channel]):
            flags.append(f"lead {STANDARD[place]} is flat")
            continue
        found[STANDARD[place]] = signal[channel] if sign > 0 else -signal[channel]
    _derive(found, wanted)
    present = np.array([name in found for name in wanted])
    missing = [name for name in wanted if name not in found]
    if missing:
        flags.append(f"missing: {', '.join(missing)}")
    empty = np.zeros_like(signal[0] if len(signal) else signal.reshape(-1))
    return np.stack([found.get(name, empty) for name in wanted]), present, flags


def _identify(name: str) -> tuple[int | None, int]:
    """Return the place of a lead in the standard order, and its sign."""
    text = re.sub(r"^(lead|ecg|ekg)[\s_:]*(?=\w)", "", name.strip().lower())
    sign = -1 if text.startswith("-") else 1
    text = re.sub(r"[\s_]", "", text.lstrip("+-"))
    return _PLACE.get(ALIASES.get(text, text)), sign


def _guessed(names: Sequence[str], flags: list[str]) -> list[tuple[int | None, int]]:
    """Take the first channel called ECG for lead II, and say so."""
    called = [k for k, name in enumerate(names) if re.match(r"(ecg|ekg)\b", name.strip().lower())]
    if called:
        flags.append(f"lead names unknown; {names[called[0]]!r} is read as II")
    return [(1 if k in called[:1] else None, 1) for k in range(len(names))]


def _is_flat(values: Floats) -> bool:
    known = values[np.isfinite(values)]
    return bool(len(known) == 0 or float(known.std(dtype=np.float64)) < FLAT_MV)


def _derive(found: dict[str, Floats], wanted: Sequence[str]) -> None:
    """Compute missing limb leads from two of I, II, III."""
    limbs = [name for name in ("I", "II", "III") if name in found]
    if len(limbs) < 2:
        return
    one = found["I"] if "I" in found else found["II"] - found["III"]
    two = found["II"] if "II" in found else found["I"] + found["III"]
    derived = {"I": one, "II": two, "III": two - one}
    derived |= {name: a * one + b * two for name, (a, b) in DERIVED.items()}
    for name in wanted:
        if name in derived:
            found.setdefault(name, derived[name])
