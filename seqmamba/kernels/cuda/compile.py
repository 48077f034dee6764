"""CUDA source text to running kernels: NVRTC, a cache on disk, the driver's launch.

No nvcc, no header and no compiled extension: the compiler library comes with torch, the driver
with the GPU. A kernel is compiled once per set of constants and architecture.
"""

import ctypes
import hashlib
import os
import struct
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from glob import glob
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from seqmamba.errors import BackendError
from seqmamba.storage.names import share

__all__ = ["cubin", "nvrtc", "pack", "source_folder", "start"]

_UNIX, _WINDOWS = ("libnvrtc.so.{0}", "libnvrtc.so"), ("nvrtc64_{0}0_0.dll",)


def pack(*values: object) -> bytes:
    """Return tensors as addresses, missing ones as 0, integers as they are, 64 bits each."""
    flat = list(_flat(values))
    return struct.pack(f"@{len(flat)}q", *flat)


def start(
    file: str, kernel: str, constants: Mapping[str, int], grid: tuple[int, int], arguments: bytes
) -> None:
    """Launch a kernel on torch's current stream.

    Parameters
    ----------
    file : str
        Source file in ``kernels/cuda``.
    kernel : str
        Its function.
    constants : mapping
        Macros that the source is compiled with.
    grid : tuple (programs, threads)
    arguments : bytes
        The structure that is the kernel's only parameter.

    Raises
    ------
    BackendError
        The source does not compile, or the driver refuses.
    """
    device = torch.cuda.current_device()
    function = _function(device, file, kernel, tuple(sorted(constants.items())))
    block = ctypes.create_string_buffer(arguments, len(arguments))
    parameters = (ctypes.c_void_p * 1)(ctypes.addressof(block))
    stream = ctypes.c_void_p(torch.cuda.current_stream(device).cuda_stream)
    _make_current(device)
    programs, threads = grid
    sizes = (programs, 1, 1, threads, 1, 1, 0)
    _check(_driver().cuLaunchKernel(function, *sizes, stream, parameters, None), kernel)


def cubin(file: str, constants: Iterable[tuple[str, int]], architecture: str) -> bytes:
    """Return the machine code of a source file, compiled or from the cache.

    Parameters
    ----------
    file : str
    constants : iterable of (name, value)
    architecture : str
        Such as "sm_90".

    Raises
    ------
    BackendError
        It does not compile; the message holds the compiler's log.
    """
    options = [f"--gpu-architecture={architecture}", "--std=c++17", f"-I{source_folder()}"]
    options += [f"-D{name}={value}" for name, value in constants]
    kept = _cache_folder() / f"{_key(file, options)}.cubin"
    if kept.is_file():
        return kept.read_bytes()
    code = _compiled(file, options)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(f".{os.getpid()}")
        partial.write_bytes(code)
        os.replace(partial, kept)
    except OSError:  # no place to keep it: compiled again by the next process
        pass
    return code


def source_folder() -> Path:
    """Return the folder of the CUDA sources."""
    packed = share("cuda", "")
    return packed if packed.is_dir() else share("kernels", "cuda")


@cache
def nvrtc() -> ctypes.CDLL | None:
    """Return NVIDIA's compiler library, or None if there is none."""
    major = (torch.version.cuda or "13").split(".")[0]
    names = [name.format(major) for name in (_WINDOWS if sys.platform == "win32" else _UNIX)]
    for file in [*_packaged(names), *names]:
        folder = Path(file).parent if Path(file).is_absolute() else None
        try:
            for part in sorted(folder.glob("*nvrtc-builtins*")) if folder else ():
                ctypes.CDLL(str(part))  # the compiler opens it by its bare name
            return ctypes.CDLL(file)
        except OSError:
            continue
    return None


def _packaged(names: list[str]) -> list[str]:
    """Return compiler libraries that were installed as Python packages."""
    found = find_spec("nvidia")
    folders = list(found.submodule_search_locations or ()) if found else []
    places = [
        f"{folder}/*/{part}/{n}" for folder in folders for part in ("lib", "bin") for n in names
    ]
    return [file for place in places for file in sorted(glob(place))]


def _compiled(file: str, options: list[str]) -> bytes:
    library = nvrtc()
    if library is None:
        raise BackendError("backend 'cuda' needs the library nvrtc, which was not found.")
    program = ctypes.c_void_p()
    source = (source_folder() / file).read_bytes()
    library.nvrtcCreateProgram(ctypes.byref(program), source, file.encode(), 0, None, None)
    encoded = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    failed = library.nvrtcCompileProgram(program, len(options), encoded)
    part = "ProgramLog" if failed else "CUBIN"
    size = ctypes.c_size_t()
    getattr(library, f"nvrtcGet{part}Size")(program, ctypes.byref(size))
    result = ctypes.create_string_buffer(size.value)
    getattr(library, f"nvrtcGet{part}")(program, result)
    library.nvrtcDestroyProgram(ctypes.byref(program))
    if failed:
        raise BackendError(f"{file} does not compile with {options}:\n{result.value.decode()}")
    return result.raw


def _key(file: str, options: list[str]) -> str:
    """Return a name for the machine code: all sources, options and the compiler's version."""
    digest = hashlib.sha256()
    for source in sorted(source_folder().glob("*.cu*")):
        digest.update(source.read_bytes())
    digest.update(" ".join([file, torch.version.cuda or "", *options[:2], *options[3:]]).encode())
    return digest.hexdigest()[:32]


def _cache_folder() -> Path:
    home = os.environ.get("SEQMAMBA_HOME")
    root = Path(home).expanduser() if home else Path.home() / ".cache" / "seqmamba"
    return root / "kernels"


@cache
def _function(
    device: int, file: str, kernel: str, constants: tuple[tuple[str, int], ...]
) -> ctypes.c_void_p:
    """Return a kernel, loaded into the current context of a device."""
    major, minor = torch.cuda.get_device_capability(device)
    code = cubin(file, constants, f"sm_{major}{minor}")
    module, function = ctypes.c_void_p(), ctypes.c_void_p()
    _make_current(device)
    _check(_driver().cuModuleLoadData(ctypes.byref(module), code), file)
    name = kernel.encode()
    _check(_driver().cuModuleGetFunction(ctypes.byref(function), module, name), kernel)
    return function


def _make_current(device: int) -> None:
    """Give this thread torch's context if it has none: a new thread may not have used the GPU."""
    context, handle = ctypes.c_void_p(), ctypes.c_int()
    _check(_driver().cuCtxGetCurrent(ctypes.byref(context)), "the context")
    if not context:
        _check(_driver().cuDeviceGet(ctypes.byref(handle), device), "the device")
        _check(_driver().cuDevicePrimaryCtxRetain(ctypes.byref(context), handle), "the context")
        _check(_driver().cuCtxSetCurrent(context), "the context")


@cache
def _driver() -> ctypes.CDLL:
    return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")


def _check(status: int, what: str) -> None:
    if status:
        text = ctypes.c_char_p()
        _driver().cuGetErrorString(status, ctypes.byref(text))
        reason = text.value.decode() if text.value else f"error {status}"
        raise BackendError(f"backend 'cuda': the driver refused {what}: {reason}.")


def _flat(values: Iterable[object]) -> Iterable[int]:
    for value in values:
        if isinstance(value, Tensor):
            yield value.data_ptr()
        elif isinstance(value, tuple | list):
            yield from _flat(value)
        else:
            yield 0 if value is None else int(value)  # type: ignore[call-overload]  # an int
