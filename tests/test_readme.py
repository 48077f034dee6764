"""The README's examples run as printed and end with a number beside a baseline."""

import re
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def _imported(example: str) -> str:
    found = re.search(r"from seqmamba(?:\.\w+)? import (\w+)", example)
    return found.group(1) if found else "none"


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=_imported)
def test_example_runs_as_printed(
    example: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)

    exec(compile(example, README.name, "exec"), {"__name__": "__main__"})

    printed = capsys.readouterr().out
    assert ("skill" in printed or printed.count("HOTA") == 2) == ("evaluate" in example)


def test_examples_are_short() -> None:
    assert EXAMPLES
    assert max(example.count("\n") for example in EXAMPLES) <= 12
