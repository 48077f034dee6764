"""A model file gives back what was written, and says so when it cannot."""

import json
import os
import platform
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from seqmamba.errors import CorruptModelError, ModelFileError
from seqmamba.storage import SCHEMA, model_file, read_header, read_model, write_model

HEADER = {"task": "mil", "config": {"d_model": 8}}


@pytest.mark.parametrize(
    "dtype",
    [
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
        *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    ],
    ids=str,
)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (4, 5)], ids=str)
def test_tensors_come_back_bit_for_bit(
    tmp_path: Path, dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    tensor = (torch.arange(60).reshape(3, 20).T[: max(1, sum(shape))] * 1.7).to(dtype)
    tensor = tensor.flatten()[: int(np.prod(shape))].reshape(shape)

    write_model(tmp_path / "m", {"x": tensor, "one": torch.ones(1)}, HEADER)
    found, _ = read_model(tmp_path / "m")

    assert found["x"].dtype == dtype
    assert torch.equal(found["x"], tensor)


def test_views_arrays_and_gradients_are_stored(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.randn(4, 3))
    array = np.arange(12.0).reshape(3, 4).T

    write_model(tmp_path / "m", {"view": weight.T[::2], "array": array}, HEADER)
    found, _ = read_model(tmp_path / "m")

    assert torch.equal(found["view"], weight.detach().T[::2])
    assert torch.equal(found["array"], torch.from_numpy(array.copy()))
    assert not found["view"].requires_grad


def test_the_header_comes_back(tmp_path: Path) -> None:
    header = {
        "task": "recommend",
        "config": {"ids": ["é", "\u2028", '"', "\\"], "none": None, "nested": [[1], {"a": True}]},
        "sklearn_params": {"h": np.int64(3), "level": (80, 90), "w": np.arange(3)},
    }

    write_model(tmp_path / "m", {}, header)
    found = read_header(tmp_path / "m")

    assert found["config"] == header["config"]
    assert found["sklearn_params"] == {"h": 3, "level": [80, 90], "w": [0, 1, 2]}
    assert (found["format"], found["schema"], found["task"]) == ("seqmamba", SCHEMA, "recommend")
    assert set(found["versions"]) == {"seqmamba", "python", "torch", "numpy"}


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    tensors = {"b": torch.ones(3), "a": torch.zeros(2, dtype=torch.float64)}

    write_model(tmp_path / "one", tensors, HEADER)
    write_model(tmp_path / "two", dict(reversed(tensors.items())), HEADER)

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_other_readers_of_the_format_can_read_it(model_file: Path) -> None:
    ours, _ = read_model(model_file)

    theirs = load_file(model_file)

    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[name], ours[name]) for name in ours)


def test_the_directory_of_a_run_can_be_named(model_file: Path) -> None:
    assert read_header(model_file.parent) == read_header(model_file)


@pytest.mark.parametrize(
    ("tensors", "header", "message"),
    [
        ({"é": torch.ones(1)}, HEADER, "cannot be named 'é'"),
        ({"__metadata__": torch.ones(1)}, HEADER, "cannot be named"),
        ({"x": torch.ones(1, dtype=torch.complex64)}, HEADER, "dtype torch.complex64"),
        ({"x": [1.0]}, HEADER, "is a list, not a tensor"),
        ({"x": np.array(["a"])}, HEADER, "dtype <U1"),
        ({}, {"task": "mil", "schema": 1}, r"\['schema'\] are written by the library"),
        ({}, {"task": "mil", "summary": {"mse": float("nan")}}, "'summary' cannot be stored"),
        ({}, {"task": "mil", "config": {"f": print}}, "'config' cannot be stored"),
        ({}, {"task": 3}, "'task' must be printable ASCII"),
        ({}, {"task": "mil", "config": "x" * 2**24}, "at most 16777216"),
        ({}, {"task": "mil", "config": [str(i) for i in range(600_000)]}, "too many entries"),
    ],
)
def test_what_cannot_be_stored_is_refused(
    tmp_path: Path, tensors: dict[str, torch.Tensor], header: dict[str, object], message: str
) -> None:
    with pytest.raises(ModelFileError, match=message):
        write_model(tmp_path / "m", tensors, header)

    assert os.listdir(tmp_path) == []


def test_files_of_schema_1_load_for_ever() -> None:
    stored = Path(__file__).parent / "files" / "schema-1.safetensors"

    tensors, header = read_model(stored)

    assert torch.equal(tensors["net.weight"], torch.arange(6.0).reshape(2, 3) / 4)
    assert tensors["state.counts"].tolist() == [3, 1, 2]
    assert tensors["state.scale"].item() == 0.1
    assert header["schema"] == 1
    assert header["config"] == {"class": "SMambaForecaster", "d_model": 2, "level": [80, 90]}
    assert header["preprocessing"] == {"classes": ["é", "b"], "missing": None}


def test_a_newer_schema_is_refused_with_both_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as later:
        later.setattr(model_file, "SCHEMA", SCHEMA + 1)
        write_model(tmp_path / "m", {"x": torch.ones(1)}, HEADER)

    with pytest.raises(ModelFileError, match=f"schema {SCHEMA + 1}.* up to {SCHEMA}.*Update"):
        read_model(tmp_path / "m")


def test_a_file_of_another_library_is_not_called_damaged(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"x": torch.ones(1)}, tmp_path / "m")

    with pytest.raises(ModelFileError, match="not written by seqmamba") as caught:
        read_model(tmp_path / "m")
    assert not isinstance(caught.value, CorruptModelError)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no model file .*absent\.safetensors"):
        read_model(tmp_path / "absent.safetensors")


def test_a_file_beyond_memory_is_refused_before_it_is_read(
    model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqmamba.storage.model_file._available_memory", lambda: 2000)

    with pytest.raises(ModelFileError, match=r"needs \d+ bytes of memory; 2000 are available"):
        read_model(model_file)


def test_unverified_reading_is_possible_only_on_request(model_file: Path) -> None:
    content = bytearray(model_file.read_bytes())
    content[-1] ^= 1
    model_file.write_bytes(content)

    tensors, _ = read_model(model_file, verify=False)

    assert len(tensors) == 4
    with pytest.raises(CorruptModelError, match="digest"):
        read_model(model_file)


def test_the_file_names_no_user_host_or_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = {"USER": "planteduser", "HOSTNAME": "plantedhost", "SECRET_TOKEN": "plantedtoken"}
    for name, value in planted.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "plantedfolder"
    folder.mkdir()

    write_model(folder / "m", {"x": torch.ones(1)}, HEADER)
    content = (folder / "m").read_bytes().decode("latin-1")

    private = [*planted.values(), "plantedfolder", str(Path.home()), platform.node() + '"']
    assert [word for word in private if word in content] == []


@pytest.mark.parametrize("saves", [30, pytest.param(500, marks=pytest.mark.slow)])
def test_readers_during_writes_see_a_whole_file(tmp_path: Path, saves: int) -> None:
    path = tmp_path / "m"
    write_model(path, {"x": torch.zeros(1000)}, HEADER)
    done = threading.Event()
    seen: list[bool] = []

    def read() -> None:
        while not done.is_set():
            x = read_model(path)[0]["x"]
            seen.append(bool((x == x[0]).all()))

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(saves):
        write_model(path, {"x": torch.full((1000,), float(number))}, HEADER)
    done.set()
    for reader in readers:
        reader.join()

    assert len(seen) > saves / 4
    assert all(seen)


def test_reading_a_header_loads_no_torch(model_file: Path) -> None:
    program = (
        "import json, sys; from seqmamba.storage import read_header; "
        f"read_header({str(model_file)!r}); print(json.dumps('torch' in sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(done.stdout) is False
