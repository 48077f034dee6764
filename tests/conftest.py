"""Shared by all tests: tolerances, the folder of real data, one thread."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

TOLERANCES = {  # architecture specification, section 20
    torch.float64: {"rtol": 1e-10, "atol": 1e-10},
    torch.float32: {"rtol": 1e-5, "atol": 1e-5},
    torch.bfloat16: {"rtol": 2e-2, "atol": 2e-2},
}


@pytest.fixture
def tolerance() -> dict[str, float]:
    """Tolerance of float32 results."""
    return TOLERANCES[torch.float32]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real data sets; skips where it is absent."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("SEQMAMBA_DATA", root.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set SEQMAMBA_DATA")
    return folder


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Run with one thread, so that results do not depend on the machine."""
    former = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(former)
