"""The command line in this process, on the task of another package."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from seqmamba.cli.main import run

QUICK = ("--d-model", "8", "--max-epochs", "2", "--learning-rate", "0.02", "--random-state", "0")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Run ``seqmamba`` with words in an empty working directory."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> Ended:
        capsys.readouterr()
        code = run([str(word) for word in words])
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="module")
def tables(third_party: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ``train.csv`` and ``test.csv`` of the task ``regress``."""
    from seqmamba_regress.data import simulate

    folder = tmp_path_factory.mktemp("tables")
    for name, table in zip(("train", "test"), simulate(0), strict=True):
        table.write_csv(folder / f"{name}.csv")
    return folder


@pytest.fixture(scope="module")
def model(tables: Path) -> Path:
    """Return the folder of a fitted run."""
    out = tables / "run"
    assert run(["-q", "regress", "fit", str(tables / "train.csv"), "--out", str(out), *QUICK]) == 0
    return out
