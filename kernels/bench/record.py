"""Keep the rows of a benchmark with machine, versions and commit under ``results/``."""

import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from seqmamba.kernels import cpp

__all__ = ["record"]

ROOT = Path(__file__).resolve().parents[2]


def record(name: str, rows: list[dict[str, Any]]) -> None:
    """Write ``results/<name>-<instruction set>.json`` and print where."""
    found = {"machine": _machine(), "versions": _versions(), "commit": _commit(), "rows": rows}
    folder = ROOT / "kernels" / "bench" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{cpp.instruction_set() or 'torch'}.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(path.relative_to(ROOT))


def _machine() -> dict[str, Any]:
    return {
        "processor": _processor(),
        "instruction_set": cpp.instruction_set(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],  # above the number of cores: busy
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    names = ("torch", "numpy")
    return {"python": platform.python_version(), **{n: metadata.version(n) for n in names}}


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.check_output(command, cwd=ROOT, text=True).strip()
