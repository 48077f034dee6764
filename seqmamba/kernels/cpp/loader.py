"""Find and load the library of compiled CPU kernels, with ctypes: no Python, no torch inside it."""

import ctypes
import sys
from functools import cache
from pathlib import Path

import seqmamba.kernels
from seqmamba.errors import BackendError

__all__ = ["VERSION", "call", "find_library", "instruction_set", "library", "why_not"]

VERSION = 1  # of the interface, seqmamba_version() of the library

_SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")
_MANY = ("scan_forward", "scan_backward", "conv_forward", "conv_backward")
_ONE = ("scan_step", "conv_step")


def find_library() -> tuple[ctypes.CDLL | None, str | None]:
    """Look into every folder of ``seqmamba.kernels``; return the library, or why there is none."""
    names = sorted({"seqmamba_cpp.so", f"seqmamba_cpp{_SUFFIX}"})  # CMake modules are .so on macOS
    files = [Path(folder) / name for folder in seqmamba.kernels.__path__ for name in names]
    reason = "the compiled library seqmamba_cpp was not built; install with a C++ compiler"
    for file in filter(Path.is_file, files):
        try:
            return _load(file), None
        except (OSError, AttributeError, BackendError) as error:
            reason = f"{file} cannot be used on this machine: {error}"
    return None, reason


_search = cache(find_library)


def _load(file: Path) -> ctypes.CDLL:
    found = ctypes.CDLL(str(file))
    version = int(found.seqmamba_version())
    if version != VERSION:
        raise BackendError(f"its interface has version {version}, expected {VERSION}; rebuild it")
    for name in _MANY:
        function = getattr(found, f"seqmamba_{name}")
        function.argtypes = (ctypes.c_char_p, ctypes.c_int64, ctypes.c_int)
    for name in _ONE:
        getattr(found, f"seqmamba_{name}").argtypes = (ctypes.c_char_p, ctypes.c_int)
    found.seqmamba_isa.restype = ctypes.c_char_p
    found.seqmamba_clock.restype = ctypes.c_double
    return found


def library() -> ctypes.CDLL | None:
    """Return the compiled kernels, or None if they were not built for this machine."""
    return _search()[0]


def instruction_set() -> str | None:
    """Return the name of the instruction set in use, such as ``x86_64_v4``."""
    found = library()
    return None if found is None else bytes(found.seqmamba_isa()).decode()


def why_not() -> str | None:
    """Return why the compiled kernels cannot be used here at all, or None."""
    return _search()[1]


def call(name: str, *arguments: bytes | int) -> None:
    """Call an exported function.

    Raises
    ------
    BackendError
        There is no library.
    MemoryError
        The kernels could not get memory for their scratch arrays.
    """
    found, reason = _search()
    if found is None:
        raise BackendError(f"backend 'cpp' cannot be used: {reason}.")
    if getattr(found, f"seqmamba_{name}")(*arguments):
        raise MemoryError(f"{name} could not get memory for its scratch arrays")
