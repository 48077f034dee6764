"""Measure the scan kernels and keep the figures: python kernels/bench/scan.py [arm ...].

Writes ``kernels/bench/results/scan-<instruction set>.json`` with machine, versions and commit. The
arms stand beside the compiled kernels: back-ends and peers of ``seqmamba bench scan``.
"""

import json
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from seqmamba.kernels import cpp
from seqmamba.kernels.bench import bench_scan

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Run the benchmark with one thread and write its rows."""
    against = tuple(sys.argv[1:]) or ("torch", "reference")
    rows = bench_scan(against=against)
    found = {"machine": _machine(), "versions": _versions(), "commit": _commit(), "rows": rows}
    folder = ROOT / "kernels" / "bench" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"scan-{cpp.instruction_set() or 'torch'}.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(path.relative_to(ROOT))


def _machine() -> dict[str, Any]:
    return {
        "processor": _processor(),
        "instruction_set": cpp.instruction_set(),
        "threads": torch.get_num_threads(),
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


if __name__ == "__main__":
    main()
