"""Where shipped material lies, and file names made from words that users chose."""

import hashlib
import re
from pathlib import Path

__all__ = ["file_name", "share"]

PACKAGE = Path(__file__).resolve().parent.parent
LONGEST = 120  # bytes; leaves room for suffixes under the usual limit of 255
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")  # device names of Windows


def share(kind: str, name: str) -> Path:
    """Return the path of a shipped file; the same call works in a wheel and in a clone.

    Parameters
    ----------
    kind : {"datasets", "tasks", "sweeps", "cuda"}
        Name of the root folder that holds the file.
    name : str
        Path inside that folder, ``""`` for the folder itself.

    Examples
    --------
    >>> share("datasets", "etth1.yaml").name
    'etth1.yaml'
    """
    packed = PACKAGE / "_share" / kind / name
    return packed if packed.exists() else PACKAGE.parent / kind / name


def file_name(identifier: str) -> str:
    r"""Return a file name for any identifier: no separators, no control characters, no devices.

    Letters, digits, ``_``, ``-`` and inner dots stay; every other byte becomes ``%XX``. Names
    that grow too long keep their beginning and end in a digest. Different identifiers get
    different names (on disks that tell upper from lower case).

    Examples
    --------
    >>> file_name("../../etc/passwd")
    '%2E%2E%2F%2E%2E%2Fetc%2Fpasswd'
    >>> file_name("store_7.2024")
    'store_7.2024'
    """
    name = "".join(_escape(byte) for byte in identifier.encode("utf-8", "surrogatepass"))
    if name.startswith(".") or ".." in name or name.endswith("."):
        name = name.replace(".", "%2E")
    if RESERVED.fullmatch(name) or not name:
        name = f"%{ord(name[0]):02X}{name[1:]}" if name else "%"
    if len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{name[: LONGEST - 18].rstrip('.')}%-{digest}"


def _escape(byte: int) -> str:
    letter = chr(byte)
    return letter if byte < 128 and (letter.isalnum() or letter in "._-") else f"%{byte:02X}"
