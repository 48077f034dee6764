"""The model file: tensors, a header of JSON strings, and a digest over both; no code inside."""

import hashlib
import io
import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from seqmamba import __version__
from seqmamba.errors import CorruptModelError, ModelFileError
from seqmamba.storage.atomic import write_atomic
from seqmamba.storage.layout import (
    ITEM_SIZES,
    STRINGS_KEY,
    Layout,
    TensorEntry,
    encode_layout,
    parse_json,
    read_layout,
)

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SCHEMA", "read_header", "read_model", "write_model"]

FORMAT = "seqmamba"
SCHEMA = 1  # grows when older versions of this package could misread the file
FILE_NAME = "model.safetensors"  # inside the directory of a run
PLAIN = ("format", "task", "sha256")  # strings as they are; all other header entries are JSON
RESERVED = ("format", "schema", "versions", "sha256")
MEMORY_SHARE = 0.8

_DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}


def write_model(
    path: str | os.PathLike[str],
    tensors: "Mapping[str, Tensor | NDArray[Any]]",
    header: Mapping[str, Any],
) -> None:
    """Write a model file; equal content gives equal bytes.

    Parameters
    ----------
    path : path
        By custom ``*.safetensors``; replaced in one step (:func:`write_atomic`).
    tensors : mapping of name to tensor or array
        Any device and layout; names are ASCII. The dtypes are those of ``ITEM_SIZES``.
    header : mapping
        ``task`` is a string, every other value is JSON (numbers, strings, lists, mappings with
        string keys, None); NumPy values and tuples become numbers and lists, non-finite floats
        are refused (write None).
        ``format, schema, versions, sha256`` are added here.

    Raises
    ------
    ModelFileError
        A name, a dtype or a header value cannot be stored.
    CheckpointError
        The file could not be written; the former one is intact.
    """
    blocks = {name: _block(name, value) for name, value in tensors.items()}
    # Wide types first, as the safetensors library does: every tensor starts aligned.
    order = sorted(blocks, key=lambda name: (-ITEM_SIZES[blocks[name][0]], name))
    ends = list(accumulate(blocks[name][2].nbytes for name in order))
    entries = {
        name: TensorEntry(blocks[name][0], blocks[name][1], end - blocks[name][2].nbytes, end)
        for name, end in zip(order, ends, strict=True)
    }
    strings = _encode_header(header)
    data = {name: block[2].data for name, block in blocks.items()}
    strings["sha256"] = _digest(entries, data, strings)
    head = encode_layout(Layout(entries, strings, 0))
    try:  # what is written today must be readable tomorrow
        read_layout(io.BytesIO(head), len(head) + sum(block.nbytes for block in data.values()))
        _decode_header(strings)
    except CorruptModelError as error:
        message = f"{os.fspath(path)} cannot be stored: {error}. Store large values as tensors."
        raise ModelFileError(message) from error

    def write(file: BinaryIO) -> None:
        file.write(head)
        for name in order:
            file.write(data[name])

    write_atomic(path, write)


def read_model(
    path: str | os.PathLike[str], *, verify: bool = True
) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    """Read a model file; no code of the file is ever run.

    Parameters
    ----------
    path : path
        The file, or the directory of a run that holds ``model.safetensors``.
    verify : bool, default True
        Compare the digest; False only for files that are checked otherwise.

    Returns
    -------
    tensors : dict of name to CPU tensor
    header : dict
        What :func:`write_model` was given, and ``format, schema, versions, sha256``.

    Raises
    ------
    CorruptModelError
        Damaged, truncated, or crafted.
    ModelFileError
        Not ours, of a newer schema, or larger than 80 % of the available memory.
    FileNotFoundError
        There is no such file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load  # loads torch

    with _opened(path) as (file, layout):
        _check_memory(layout)
        file.seek(0)
        content = file.read(layout.start + layout.payload)
        if verify:
            _verify(layout, memoryview(content))
        header = _decode_header(layout.strings)
        try:
            return load(content), header
        except SafetensorError as error:
            raise CorruptModelError(f"safetensors refuses it ({error})") from error


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the header alone, without torch and without the digest over the tensors.

    Raises
    ------
    ModelFileError, FileNotFoundError
        As :func:`read_model`.
    """
    with _opened(path) as (_, layout):
        return _decode_header(layout.strings)


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[BinaryIO, Layout]]:
    """Open a file and read its layout; errors leave with the path and a cure."""
    place = Path(path) / FILE_NAME if Path(path).is_dir() else Path(path)
    try:
        file = open(place, "rb")  # noqa: SIM115  # closed by the with below
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no model file {place}.") from None
    with file:
        try:
            yield file, read_layout(file, os.fstat(file.fileno()).st_size)
        except CorruptModelError as error:
            message = f"{place} is not a sound model file: {error}. Copy or save it again."
            raise CorruptModelError(message) from error
        except ModelFileError as error:
            raise ModelFileError(f"{place} cannot be used: {error}.") from error


def _block(name: str, value: Any) -> tuple[str, tuple[int, ...], NDArray[np.uint8]]:
    """Return dtype, shape and bytes of a tensor or array."""
    if not name.isascii() or not name.isprintable() or name == STRINGS_KEY:
        raise ModelFileError(f"a tensor cannot be named {name!r}; use printable ASCII.")
    if not isinstance(value, np.ndarray) and not hasattr(value, "detach"):
        raise ModelFileError(f"{name!r} is a {type(value).__name__}, not a tensor or an array.")
    dtype = _DTYPES.get(str(value.dtype).removeprefix("torch."))
    if dtype is None:
        raise ModelFileError(f"tensor {name!r} has dtype {value.dtype}; known: {list(_DTYPES)}.")
    shape = tuple(int(size) for size in value.shape)
    if isinstance(value, np.ndarray):
        return dtype, shape, np.ascontiguousarray(value).reshape(-1).view(np.uint8)
    flat = value.detach().cpu().contiguous().reshape(-1)
    if dtype == "BF16":  # unknown to NumPy: pass its bits as integers
        from torch import int16  # already loaded: the value is a tensor

        flat = flat.view(int16)
    return dtype, shape, flat.numpy().view(np.uint8)


def _digest(
    entries: Mapping[str, TensorEntry],
    data: Mapping[str, memoryview],
    strings: Mapping[str, str],
) -> str:
    """Hash name, dtype, shape and bytes of each tensor in sorted order, then the header.

    This rule never changes: it tells damage from a newer schema.
    """
    digest = hashlib.sha256()
    for name in sorted(entries):
        entry = entries[name]
        digest.update(_canonical([name, entry.dtype, list(entry.shape)]))
        digest.update(data[name])
    digest.update(_canonical({key: strings[key] for key in strings if key != "sha256"}))
    return digest.hexdigest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def _verify(layout: Layout, content: memoryview) -> None:
    if not {"sha256", "format"} & set(layout.strings):
        raise ModelFileError("it was not written by seqmamba (no digest)")
    data = {
        name: content[layout.start + entry.begin : layout.start + entry.end]
        for name, entry in layout.tensors.items()
    }
    if _digest(layout.tensors, data, layout.strings) != layout.strings.get("sha256"):
        raise CorruptModelError("the digest does not fit the content")


def _encode_header(header: Mapping[str, Any]) -> dict[str, str]:
    taken = [key for key in header if key in RESERVED]
    if taken:
        raise ModelFileError(f"the header entries {taken} are written by the library.")
    full = {**header, "format": FORMAT, "schema": SCHEMA, "versions": _versions()}
    return {key: _encode_entry(key, value) for key, value in full.items()}


def _encode_entry(key: str, value: Any) -> str:
    if key in PLAIN:
        if not (isinstance(value, str) and value.isascii() and value.isprintable()):
            raise ModelFileError(f"header entry {key!r} must be printable ASCII, got {value!r}.")
        return value
    try:
        return json.dumps(value, default=_plain, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelFileError(f"header entry {key!r} cannot be stored: {error}.") from error


def _plain(value: Any) -> Any:
    """Turn a NumPy scalar or array into what JSON knows."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} {value!r} is not JSON")


def _decode_header(strings: Mapping[str, str]) -> dict[str, Any]:
    if strings.get("format") != FORMAT:
        raise ModelFileError("it was not written by seqmamba (no format entry)")
    header: dict[str, Any] = {
        key: text if key in PLAIN else parse_json(text.encode("utf-8", "surrogatepass"))
        for key, text in strings.items()
    }
    schema = header.get("schema")
    if type(schema) is not int or schema < 1:
        raise CorruptModelError(f"the schema is {schema!r}, not a positive integer")
    if schema > SCHEMA:
        message = f"it has schema {schema}; this version reads up to {SCHEMA}. Update seqmamba"
        raise ModelFileError(message)
    return header


def _versions() -> dict[str, str]:
    found = {"seqmamba": __version__, "python": platform.python_version()}
    for package in ("torch", "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # built into the interpreter's own tree
            found[package] = "unknown"
    return found


def _check_memory(layout: Layout) -> None:
    available = _available_memory()
    needed = 2 * layout.payload  # the bytes of the file and the tensors made of them
    if available is not None and needed > MEMORY_SHARE * available:
        raise ModelFileError(
            f"it needs {needed} bytes of memory; {available} are available, of which "
            f"{MEMORY_SHARE:.0%} may be used"
        )


def _available_memory() -> int | None:
    """Return free memory in bytes, or None where the system does not tell."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:  # not Linux
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows
        return None
