"""Files that must never be half written, damaged unnoticed, or able to run code.

A model is one safetensors file: tensors, a header of JSON strings, and a digest over both.
"""

from seqmamba.storage.atomic import write_atomic
from seqmamba.storage.lock import lock_directory
from seqmamba.storage.model_file import SCHEMA, read_header, read_model, write_model
from seqmamba.storage.names import file_name, share

__all__ = [
    "SCHEMA",
    "file_name",
    "lock_directory",
    "read_header",
    "read_model",
    "share",
    "write_atomic",
    "write_model",
]
