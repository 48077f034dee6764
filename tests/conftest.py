"""Shared by all tests: tolerances, the folder of real data, one thread."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from seqmamba import tasks

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


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Run with one thread, so that results do not depend on the machine."""
    former = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(former)


@pytest.fixture(scope="module")
def third_party(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Install the task ``regress`` of another package; gives its folder for ``PYTHONPATH``."""
    site = tmp_path_factory.mktemp("site")
    information = site / "seqmamba_regress-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Name: seqmamba-regress\nVersion: 1.0\n")
    entry = "[seqmamba.tasks]\nregress = seqmamba_regress:TASK\n"
    (information / "entry_points.txt").write_text(entry)
    package = Path(__file__).parent / "third_party" / "seqmamba_regress"
    shutil.copytree(package, site / "seqmamba_regress")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        patch.setattr(tasks.TASKS, "_paths", vars(type(tasks.TASKS)())["_paths"])
        yield site
