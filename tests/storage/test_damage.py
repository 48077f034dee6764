"""Damage is always noticed, and crafted files are refused cheaply."""

import io
import json
import pickle
import random
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seqmamba.errors import CorruptModelError
from seqmamba.storage import read_model


def flips(content: bytes, low: int, high: int, count: int) -> Iterator[bytes]:
    """Yield copies with one flipped bit between two offsets."""
    rng = random.Random(low)
    for _ in range(count):
        damaged = bytearray(content)
        damaged[rng.randrange(low, high)] ^= 1 << rng.randrange(8)
        yield bytes(damaged)


def truncations(content: bytes, count: int) -> Iterator[bytes]:
    rng = random.Random(1)
    for _ in range(count):
        yield content[: rng.randrange(len(content))]


def tails(content: bytes, count: int) -> Iterator[bytes]:
    rng = random.Random(2)
    for _ in range(count):
        yield content + rng.randbytes(rng.randint(1, 64))


def swaps(content: bytes, count: int) -> Iterator[bytes]:
    """Yield copies with two different blocks of 16 bytes exchanged."""
    rng = random.Random(3)
    while count:
        one, two = sorted(rng.sample(range(len(content) // 16), 2))
        first, second = content[one * 16 :][:16], content[two * 16 :][:16]
        if first == second:
            continue
        damaged = bytearray(content)
        damaged[one * 16 : one * 16 + 16], damaged[two * 16 : two * 16 + 16] = second, first
        count -= 1
        yield bytes(damaged)


Damage = Callable[[bytes, int, int], Iterator[bytes]]
DAMAGES: dict[str, tuple[int, Damage]] = {
    "flips in the header": (1000, lambda content, start, n: flips(content, 0, start, n)),
    "flips in the data": (1000, lambda content, start, n: flips(content, start, len(content), n)),
    "truncations": (200, lambda content, start, n: truncations(content, n)),
    "tails": (100, lambda content, start, n: tails(content, n)),
    "swaps": (50, lambda content, start, n: swaps(content, n)),
}


@pytest.mark.parametrize("share", [0.2, pytest.param(1.0, marks=pytest.mark.slow)])
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_is_noticed(model_file: Path, damage: str, share: float) -> None:
    content = model_file.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    count, make = DAMAGES[damage]

    for damaged in make(content, start, int(share * count)):
        model_file.write_bytes(damaged)
        with pytest.raises(CorruptModelError, match="not a sound model file"):
            read_model(model_file)


@pytest.mark.slow
def test_every_single_bit_of_the_header_counts(model_file: Path) -> None:
    content = model_file.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")

    for bit in range(8 * start):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        model_file.write_bytes(damaged)
        with pytest.raises(CorruptModelError):
            read_model(model_file)


def _tensor(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def _file(head: Any, payload: bytes = bytes(8)) -> bytes:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return len(text).to_bytes(8, "little") + text + payload


MIB = 2**20
TWO = {"a": _tensor(), "b": _tensor(offsets=(8, 16))}
HOSTILE: dict[str, bytes | Callable[[], bytes]] = {
    "empty": b"",
    "one byte": b"\0",
    "length only": (2).to_bytes(8, "little"),
    "length zero": bytes(8) + b"{}",
    "length 2**63": (2**63).to_bytes(8, "little") + b"{}" + bytes(20),
    "length 2**64 - 1": b"\xff" * 8 + b"{}" + bytes(20),
    "length beyond the file": (100).to_bytes(8, "little") + b"{}" + bytes(20),
    "header of 17 MiB": lambda: _file(b" " * (17 * MIB) + b"{}"),
    "not JSON": _file(b"hello, world"),
    "list": _file([]),
    "number": _file(b"12"),
    "string": _file(b'"x"'),
    "null": _file(b"null"),
    "NaN": _file(b'{"a": NaN}'),
    "Infinity": _file(b'{"a": {"dtype":"F32","shape":[Infinity],"data_offsets":[0,8]}}'),
    "UTF-16": _file(json.dumps({"a": _tensor()}).encode("utf-16")),
    "Latin-1": _file(b'{"\xe9": 1}'),
    "NUL in the header": _file(b'{"a": 1}\0'),
    "two objects": _file(b"{}{}"),
    "unclosed": _file(b'{"a": {'),
    "unclosed string": _file(b'{"a'),
    "depth 33": _file(b"[" * 33 + b"]" * 33),
    "depth 100000": _file(b"[" * 100_000 + b"]" * 100_000),
    "16 MiB of brackets": lambda: _file(b"[" * (16 * MIB)),
    "16 MiB of braces": lambda: _file(b'{"a":' * (3 * MIB)),
    "16 MiB of commas": lambda: _file(b"[" + b"1," * (8 * MIB - 4) + b"1]"),
    "16 MiB of escaped quotes": lambda: _file(b'["' + b'\\"' * (8 * MIB - 4)),
    "16 MiB of backslashes": lambda: _file(b'["' + b"\\" * (16 * MIB - 4)),
    "integer of 15 million digits": lambda: _file(b'{"a": 1' + b"0" * 15_000_000 + b"}"),
    "100001 tensors": lambda: _file({str(i): _tensor("F32", [0], [0, 0]) for i in range(100_001)}),
    "duplicate tensor": _file(b'{"a": %b, "a": %b}' % ((json.dumps(_tensor()).encode(),) * 2)),
    "duplicate field": _file(
        b'{"a": {"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    ),
    "duplicate metadata": _file(b'{"__metadata__": {"a": "b", "a": "c"}}', b""),
    "metadata list": _file({"__metadata__": []}, b""),
    "metadata numbers": _file({"__metadata__": {"format": 1}}, b""),
    "metadata null": _file({"__metadata__": None}, b""),
    "tensor is a list": _file({"a": []}),
    "tensor is null": _file({"a": None}),
    "no dtype": _file({"a": {"shape": [2], "data_offsets": [0, 8]}}),
    "extra field": _file({"a": {**_tensor(), "code": "import os"}}),
    "unknown dtype": _file({"a": _tensor("F128")}),
    "object dtype": _file({"a": _tensor("O")}),
    "dtype number": _file({"a": _tensor(32)}),
    "dtype list": _file({"a": _tensor(["F32"])}),
    "negative shape": _file({"a": _tensor(shape=[-2, -1])}),
    "float shape": _file({"a": _tensor(shape=[2.0])}),
    "boolean shape": _file({"a": _tensor("F64", shape=[True])}),
    "string shape": _file({"a": _tensor(shape="2")}),
    "shape of 2**63": _file({"a": _tensor(shape=[2**63])}),
    "product 2**64": _file({"a": _tensor(shape=[2**32, 2**32], offsets=[0, 0])}, b""),
    "zero hides 2**80": _file({"a": _tensor(shape=[0, 2**40, 2**40], offsets=[0, 0])}, b""),
    "rank 1000": _file({"a": _tensor(shape=[1] * 999 + [2])}),
    "shape smaller than bytes": _file({"a": _tensor(shape=[1])}),
    "shape larger than bytes": _file({"a": _tensor(shape=[3])}),
    "one offset": _file({"a": _tensor(offsets=[8])}),
    "three offsets": _file({"a": _tensor(offsets=[0, 4, 8])}),
    "reversed offsets": _file({"a": _tensor(offsets=[8, 0])}),
    "negative offset": _file({"a": _tensor(offsets=[-8, 0])}),
    "offset beyond the file": _file({"a": _tensor(offsets=[8, 16])}),
    "hole": _file({"a": _tensor(), "b": _tensor(offsets=[12, 20])}, bytes(20)),
    "overlap": _file({"a": _tensor(), "b": _tensor(offsets=[4, 12])}, bytes(12)),
    "same place twice": _file({"a": _tensor(), "b": _tensor()}),
    "bytes left over": _file({"a": _tensor()}, bytes(9)),
    "bytes missing": _file(TWO, bytes(15)),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_crafted_header_is_refused_cheaply(tmp_path: Path, case: str) -> None:
    made = HOSTILE[case]
    path = tmp_path / "model.safetensors"
    path.write_bytes(made if isinstance(made, bytes) else made())
    del made
    started = time.process_time()
    tracemalloc.start()

    try:
        with pytest.raises(CorruptModelError, match="not a sound model file"):
            read_model(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak <= 64 * MIB
    assert time.process_time() - started <= 1.0 * TRACING


TRACING = 4  # tracing allocations slows Python down by about this factor

CALLABLES = {
    "system": ("os", "system", "touch {canary}"),
    "popen": ("os", "popen", "touch {canary}"),
    "run": ("subprocess", "getoutput", "touch {canary}"),
    "eval": ("builtins", "eval", "open('{canary}', 'w')"),
    "exec": ("builtins", "exec", "open('{canary}', 'w')"),
    "open": ("io", "FileIO", "{canary}", "w"),
    "mkdir": ("os", "mkdir", "{canary}"),
    "write_text": ("pathlib", "Path.touch", "{canary}"),
    "import": ("importlib", "import_module", "antigravity"),
    "runpy": ("runpy", "run_path", "{canary}"),
    "code": ("code", "interact", "{canary}"),
    "load": ("torch", "load", "{canary}"),
}


def _malicious(name: str, canary: Path, form: str) -> bytes:
    module, function, *arguments = CALLABLES[name]
    words = "".join(f"V{word.format(canary=canary)}\n" for word in arguments)
    attack = f"c{module}\n{function}\n({words}tR.".encode()  # protocol 0: call it on loading
    if form == "raw":
        return attack
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", attack)
        archive.writestr("archive/version", "3\n")
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["raw", "zip"])
@pytest.mark.parametrize("name", CALLABLES)
def test_a_malicious_pickle_runs_nothing(tmp_path: Path, name: str, form: str) -> None:
    canary = tmp_path / "canary"
    path = tmp_path / "model.safetensors"
    path.write_bytes(_malicious(name, canary, form))

    with pytest.raises(CorruptModelError):
        read_model(path)

    assert not canary.exists()


def test_the_malicious_pickles_would_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    pickle.loads(_malicious("mkdir", canary, "raw"))

    assert canary.exists()
