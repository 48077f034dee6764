"""What stands before the command: help, version, completion, speed."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CALL = "from seqmamba.cli.main import main; main()"
HEAVY = ("torch", "sklearn", "pandas", "polars", "optuna", "matplotlib")


def seqmamba(*words: str, path: Path | None = None, **environment: str) -> Any:
    paths = [str(ROOT), *([] if path is None else [str(path)])]
    places = {"PYTHONPATH": os.pathsep.join(paths), **environment}
    command = [sys.executable, "-c", CALL, *words]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **places})


def test_task_of_another_package_appears_in_the_help(third_party: Path) -> None:
    ended = seqmamba("--help", path=third_party)

    assert ended.returncode == 0
    assert re.search("regress +predict one number per sequence", ended.stdout)


def test_broken_extension_leaves_the_others_usable(tmp_path: Path) -> None:
    information = tmp_path / "broken-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Name: broken\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[seqmamba.tasks]\nbroken = nowhere:TASK\n")

    ended = seqmamba("--help", path=tmp_path)

    assert ended.returncode == 0
    assert "cannot be used: ModuleNotFoundError" in ended.stdout


@pytest.mark.parametrize("statement", ["import seqmamba", "run(['--help'])"])
def test_import_and_help_load_nothing_heavy(statement: str) -> None:
    script = (
        "import sys\n"
        f"{'from seqmamba.cli.main import run' if 'run' in statement else ''}\n{statement}\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)

    assert ended.stdout.splitlines()[-1] == "[]"


def test_words_are_completed() -> None:
    ended = seqmamba(_SEQMAMBA_COMPLETE="bash_complete", COMP_WORDS="seqmamba fore", COMP_CWORD="1")

    assert "forecast" in ended.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_completion_script(shell: str) -> None:
    if shell == "bash" and not Path("/bin/bash").exists():
        pytest.skip("no bash here")
    ended = seqmamba(_SEQMAMBA_COMPLETE=f"{shell}_source")

    assert "_SEQMAMBA_COMPLETE" in ended.stdout


def test_version_is_that_of_the_package(command: Any) -> None:
    import seqmamba as package

    assert command("--version").out == f"seqmamba {package.__version__}\n"


def test_no_command_shows_the_help(command: Any) -> None:
    ended = command()

    assert ended.code == 2
    assert "Commands:" in ended.err


def test_unknown_command_gets_the_nearest(command: Any) -> None:
    ended = command("forcast", "fit")

    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert "Did you mean 'forecast'?" in ended.err


def test_verbose_and_quiet_exclude_each_other(command: Any) -> None:
    assert command("-v", "-q", "info").code == 2
