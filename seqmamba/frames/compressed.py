"""Compressed files, unpacked under a limit: a small file may claim to be a large one."""

from pathlib import Path

import pyarrow as pa

from seqmamba.errors import DataError

__all__ = ["CODECS", "unpack"]

CODECS = {".gz": "gzip", ".zst": "zstd"}
MAX_RATIO = 100
ALWAYS_ALLOWED = 64 * 2**20  # bytes; below this size no ratio is suspicious
MAX_BYTES = 16 * 2**30
_BLOCK = 4 * 2**20


def unpack(path: Path) -> bytes:
    """Return the content of a ``.gz`` or ``.zst`` file.

    Raises
    ------
    DataError
        Damaged, or more than 100 times (and 64 MiB) larger than the file, or above 16 GiB.
    """
    limit = min(MAX_BYTES, max(ALWAYS_ALLOWED, MAX_RATIO * path.stat().st_size))
    parts: list[bytes] = []
    size = 0
    try:
        with pa.input_stream(str(path), compression=CODECS[path.suffix.lower()]) as stream:
            while part := stream.read(_BLOCK):
                parts.append(part)
                size += len(part)
                if size > limit:
                    message = f"{path} unpacks to more than {limit} bytes. Unpack it yourself"
                    raise DataError(f"{message} if you trust it.", where=str(path), value=size)
    except (OSError, pa.ArrowInvalid) as error:
        message = f"{path} is damaged or not {CODECS[path.suffix.lower()]} data: {error}."
        raise DataError(message, where=str(path)) from error
    return b"".join(parts)
