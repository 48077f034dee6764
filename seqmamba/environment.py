"""What this installation has: versions, devices, kernel back-ends; and what a model file says."""

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from seqmamba import __version__, storage

__all__ = ["info"]

PACKAGES = ("torch", "numpy", "pandas", "polars", "scikit-learn", "optuna", "safetensors", "click")
OPTIONAL = {"matplotlib": "plots", "tensorboard": "logs", "mamba-ssm": "gpu"}


def info(model: str | Path | None = None) -> dict[str, dict[str, Any]]:
    """Return facts about this installation, or the header of a model file.

    Parameters
    ----------
    model : path or None
        Model file, or the folder of a run. Neither torch nor the tensors are loaded for it.

    Returns
    -------
    dict of dict
        ``versions, devices, backends, tasks``, or the entries of the header.

    Raises
    ------
    ModelFileError, FileNotFoundError
        The file is damaged, not ours, or not there.

    Examples
    --------
    >>> sorted(info())
    ['backends', 'devices', 'tasks', 'versions']
    """
    if model is not None:
        return _header(model)
    from seqmamba.tasks import TASKS  # late: tasks may be broken extensions

    return {
        "versions": _versions(),
        "devices": _devices(),
        "backends": _backends(),
        "tasks": dict.fromkeys(TASKS, "in the registry"),
    }


def _header(model: str | Path) -> dict[str, dict[str, Any]]:
    header = storage.read_header(model)
    plain = {k: v for k, v in header.items() if not isinstance(v, dict)}
    return {"file": plain, **{k: v for k, v in header.items() if isinstance(v, dict)}}


def _versions() -> dict[str, Any]:
    found = {"seqmamba": __version__, "python": platform.python_version(), "system": sys.platform}
    for name in PACKAGES:
        found[name] = _version(name) or "not installed"
    for name, extra in OPTIONAL.items():
        found[name] = _version(name) or f'not installed; pip install "seqmamba[{extra}]"'
    return found


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _devices() -> dict[str, Any]:
    import torch  # seconds; not needed for the header of a model

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found: dict[str, Any] = {"cpu": f"{cores} cores, {torch.get_num_threads()} threads"}
    for index in range(torch.cuda.device_count()):
        found[f"cuda:{index}"] = torch.cuda.get_device_name(index)
    if torch.backends.mps.is_available():
        found["mps"] = "available"
    return found


def _backends() -> dict[str, Any]:
    from seqmamba.kernels import backends  # loads torch

    return {name: "available" if why is None else why for name, why in backends().items()}
