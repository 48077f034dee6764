"""The 26 scored classes of PhysioNet/CinC 2021, by SNOMED CT code.

Source: ECG specification, 5.1; order of the official weight matrix. Equivalent codes are one
class.
"""

__all__ = ["SCORED", "class_of_code"]

SCORED: dict[str, tuple[str, ...]] = {
    "AF": ("164889003",),
    "AFL": ("164890007",),
    "BBB": ("6374002",),
    "Brady": ("426627000",),
    "LBBB": ("733534002", "164909002"),
    "RBBB": ("713427006", "59118001"),
    "IAVB": ("270492004",),
    "IRBBB": ("713426002",),
    "LAD": ("39732003",),
    "LAnFB": ("445118002",),
    "LPR": ("164947007",),
    "LQRSV": ("251146004",),
    "LQT": ("111975006",),
    "NSIVCB": ("698252002",),
    "NSR": ("426783006",),
    "PAC": ("284470004", "63593006"),
    "PR": ("10370003",),
    "PRWP": ("365413008",),
    "PVC": ("427172004", "17338001"),
    "QAb": ("164917005",),
    "RAD": ("47665007",),
    "SA": ("427393009",),
    "SB": ("426177001",),
    "STach": ("427084000",),
    "TAb": ("164934002",),
    "TInv": ("59931005",),
}
_CLASSES = {code: name for name, codes in SCORED.items() for code in codes}


def class_of_code(code: str) -> str:
    """Return the class of a scored code, else the code itself.

    Examples
    --------
    >>> class_of_code("59118001"), class_of_code("67741000119109")
    ('RBBB', '67741000119109')
    """
    return _CLASSES.get(code.strip(), code.strip())
