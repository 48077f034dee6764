"""The head of a safetensors file, read without trust.

Form: 8 bytes length (little endian), that many bytes of JSON, then the tensors without a gap.
Every limit is checked before anything is allocated that the file asks for.
Source: the safetensors format description (safetensors 0.8, README, section "Format").
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from seqmamba.errors import CorruptModelError

__all__ = ["ITEM_SIZES", "Layout", "TensorEntry", "encode_layout", "parse_json", "read_layout"]

ITEM_SIZES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}
MAX_HEADER_BYTES = 16 * 2**20
MAX_TENSORS = 100_000
MAX_DEPTH = 32
MAX_COMMAS = 1_000_000  # 100 000 tensors of rank 5 need 800 000
MAX_QUOTES = 1_100_000  # 100 000 tensors need 1 000 000; bounds time and memory of the scan
MAX_ELEMENTS = 2**62
STRINGS_KEY = "__metadata__"

# A whole string, or an unclosed one up to the end: linear in time on any input.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+\\?(?:"|\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # one deeper, one higher (int8)


@dataclass(frozen=True)
class TensorEntry:
    """Place and form of one tensor; offsets count from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Layout:
    """All that the head of a file says."""

    tensors: dict[str, TensorEntry]
    strings: dict[str, str]
    start: int  # of the first tensor, from the beginning of the file

    @property
    def payload(self) -> int:
        """Bytes of all tensors."""
        return max((entry.end for entry in self.tensors.values()), default=0)


def encode_layout(layout: Layout) -> bytes:
    """Return length and header as bytes, padded with spaces to a multiple of 8."""
    head: dict[str, Any] = {STRINGS_KEY: dict(sorted(layout.strings.items()))}
    for name, entry in layout.tensors.items():
        head[name] = {
            "dtype": entry.dtype,
            "shape": list(entry.shape),
            "data_offsets": [entry.begin, entry.end],
        }
    text = json.dumps(head, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def read_layout(file: BinaryIO, size: int) -> Layout:
    """Read and check the head of a file.

    Parameters
    ----------
    file : binary file
        Open at its beginning; afterwards it stands at the first tensor.
    size : int
        Bytes of the whole file.

    Raises
    ------
    CorruptModelError
        Anything that the format or the limits above do not allow; one sentence without the path.
    """
    length = int.from_bytes(file.read(8), "little")
    if size < 10 or length < 2 or length > size - 8:
        raise CorruptModelError(f"the header claims {length} bytes in a file of {size}")
    if length > MAX_HEADER_BYTES:
        raise CorruptModelError(f"the header has {length} bytes; at most {MAX_HEADER_BYTES}")
    head = parse_json(file.read(length))
    if not isinstance(head, dict):
        raise CorruptModelError("the header is not a JSON object")
    strings = _strings(head.pop(STRINGS_KEY, {}))
    if len(head) > MAX_TENSORS:
        raise CorruptModelError(f"the header lists {len(head)} tensors; at most {MAX_TENSORS}")
    tensors = {name: _entry(name, fields) for name, fields in head.items()}
    _check_offsets(tensors, size - 8 - length)
    return Layout(tensors, strings, 8 + length)


def parse_json(text: bytes) -> Any:
    """Parse JSON of bounded size and depth, without duplicate keys, NaN or raw non-ASCII.

    Raises
    ------
    CorruptModelError
        One sentence without the path.
    """
    if not text.isascii():  # we write escapes; other letters would cost four times the memory
        raise CorruptModelError("the header holds bytes beyond ASCII")
    quotes = text.count(b'"') - text.count(b'\\"')
    if quotes > MAX_QUOTES or text.count(b"{") > MAX_TENSORS + 1:
        raise CorruptModelError("the header holds too many entries")
    skeleton = _STRING.sub(b"", text)
    brackets = skeleton.translate(None, _NOT_BRACKETS)
    if skeleton.count(b",") > MAX_COMMAS or len(brackets) > MAX_COMMAS:
        raise CorruptModelError("the header holds too many values")
    del skeleton
    steps = np.frombuffer(brackets.translate(_STEPS), np.int8)
    if np.cumsum(steps, dtype=np.int32).max(initial=0) > MAX_DEPTH:
        raise CorruptModelError(f"the header is nested deeper than {MAX_DEPTH}")
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except ValueError as error:
        raise CorruptModelError(f"the header is not JSON ({error})") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise CorruptModelError("the header repeats a key")
    return found


def _no_constant(word: str) -> Any:
    raise CorruptModelError(f"the header holds {word}, which JSON does not know")


def _strings(found: Any) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise CorruptModelError("the metadata are not a mapping of strings")
    return found


def _entry(name: str, fields: Any) -> TensorEntry:
    if not isinstance(fields, dict) or set(fields) != {"dtype", "shape", "data_offsets"}:
        raise CorruptModelError(f"tensor {name[:80]!r} needs dtype, shape and data_offsets")
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEM_SIZES:
        raise CorruptModelError(f"tensor {name[:80]!r} has dtype {str(dtype)[:20]!r}")
    if not _are_sizes(shape) or len(shape) > MAX_DEPTH or not _are_sizes(offsets):
        raise CorruptModelError(f"tensor {name[:80]!r} has a wrong shape or wrong offsets")
    if len(offsets) != 2:
        raise CorruptModelError(f"tensor {name[:80]!r} needs two offsets, got {len(offsets)}")
    if math.prod(max(1, size) for size in shape) > MAX_ELEMENTS:  # a zero elsewhere hides nothing
        raise CorruptModelError(f"tensor {name[:80]!r} has an impossible shape")
    entry = TensorEntry(dtype, tuple(shape), *offsets)
    if entry.end - entry.begin != math.prod(shape) * ITEM_SIZES[dtype]:
        raise CorruptModelError(f"the shape of tensor {name[:80]!r} does not fit its offsets")
    return entry


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(
        type(value) is int and 0 <= value <= MAX_ELEMENTS for value in values
    )


def _check_offsets(tensors: dict[str, TensorEntry], payload: int) -> None:
    """Check that the tensors fill the rest of the file without hole or overlap."""
    position = 0
    for entry in sorted(tensors.values(), key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != position:
            raise CorruptModelError(f"hole or overlap of tensors at byte {entry.begin}")
        position = entry.end
    if position != payload:
        raise CorruptModelError(f"the tensors need {position} bytes, the file has {payload}")
