"""Fixtures for the storage layer; the faults themselves are in ``faults.py``."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from seqmamba.storage import write_model

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def faults() -> ModuleType:
    """Return the module of faults, which no package holds."""
    spec = importlib.util.spec_from_file_location("storage_faults", HERE / "faults.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def experiment() -> Callable[..., dict[str, Any]]:
    """Run an experiment with dying processes in a small process of its own."""

    def run(name: str, count: int = 0) -> dict[str, Any]:
        root = os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [sys.executable, str(HERE / "faults.py"), name, "--count", str(count)],
            env={**os.environ, "PYTHONPATH": root},
            capture_output=True,
            text=True,
            check=True,
            timeout=600,
        )
        counts: dict[str, Any] = json.loads(done.stdout)
        return counts

    return run


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    """Return a small model file."""
    rng = np.random.default_rng(0)
    tensors: dict[str, NDArray[Any]] = {
        "net.weight": rng.normal(size=(16, 16)).astype(np.float32),
        "net.bias": rng.normal(size=16).astype(np.float32),
        "state.mean": rng.normal(size=8),
        "state.counts": np.arange(8),
    }
    header = {
        "task": "forecast",
        "config": {"class": "SMambaForecaster", "d_model": 16},
        "preprocessing": {"columns": ["unique_id", "ds", "y"], "classes": ["é", "b"]},
        "summary": {"rows": 100, "valid_mse": 0.5},
    }
    path = tmp_path / "model.safetensors"
    write_model(path, tensors, header)
    return path
