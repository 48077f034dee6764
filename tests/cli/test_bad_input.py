"""Bad tables and models on the command line: one sentence, its exit code, nothing overwritten.

Source of the cases: reliability specification, section 5; issue 2, "Bad input".
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from seqmamba.tasks import TASKS

pytestmark = pytest.mark.skipif("forecast" not in TASKS, reason="needs the task forecast")

QUICK = ("--h", "4", "--input-size", "8", "--d-model", "8", "--max-epochs", "1")
SMALL = ("--random-state", "0", "--val-size", "0.3", "--min-history", "2")
HEADER = "unique_id,ds,y"


def rows(n: int = 60, step_hours: float = 1.0, name: str = "a") -> list[str]:
    start = datetime(2024, 1, 1)
    hours = [start + timedelta(hours=step_hours * i) for i in range(n)]
    return [f"{name},{t:%Y-%m-%d %H:%M:%S},{i % 7}.5" for i, t in enumerate(hours)]


def text(lines: list[str], header: str = HEADER) -> bytes:
    return "\n".join([header, *lines, ""]).encode()


GOOD = rows()
BAD: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", "empty"),
    "header only": (text([]), "no rows"),
    "one row": (text(GOOD[:1]), "two different stamps"),
    "too few rows": (text(GOOD[:5]), "rows"),
    "duplicate stamps": (text([*GOOD, GOOD[5]]), "2024-01-01"),
    "mixed frequencies": (text(GOOD + rows(60, 24.0, "b")), "another period"),
    "text in numbers": (text([*GOOD[:40], "a,2024-01-02 16:00:00,high", *GOOD[41:]]), "high"),
    "unknown columns": (text(GOOD, "store,date,sales"), "id_col='store'"),
    "one column": (text([line.replace(",", "|;|") for line in GOOD], "a|;|b|;|c"), ""),
    "too many fields": (text([*GOOD[:10], GOOD[10] + ",9,9", *GOOD[11:]]), "11"),
    "infinity": (text([*GOOD[:40], "a,2024-01-02 16:00:00,inf", *GOOD[41:]]), "inf"),
    "UTF-16": ("\ufeff".encode("utf-16-le") + text(GOOD).decode().encode("utf-16-le"), "UTF-16"),
    "Latin-1": (
        text([line.replace("a,", "\xe9,") for line in GOOD]).decode().encode("latin-1"),
        "",
    ),
    "NUL bytes": (text(GOOD).replace(b"a,2024-01-01 03", b"\x00,2024-01-01 03"), "NUL"),
    "unclosed quote": (text(GOOD).replace(b"a,2024-01-01 03", b'"a,2024-01-01 03'), "quote"),
    "repeated column": (text(GOOD, "unique_id,ds,ds"), "ds"),
    "compressed without saying so": (b"\x1f\x8b\x08\x00" + b"\x00" * 60, ""),
    "binary": (bytes(range(256)) * 8, ""),
}
ACCEPTED: dict[str, bytes] = {
    "BOM": b"\xef\xbb\xbf" + text(GOOD),
    "CRLF": text(GOOD).replace(b"\n", b"\r\n"),
    "semicolon": text(GOOD).replace(b",", b";"),
    "tab": text(GOOD).replace(b",", b"\t"),
    "null words": text([*GOOD[:40], "a,2024-01-02 16:00:00,NA", *GOOD[41:]]),
    "unsorted": text(GOOD[::-1]),
    "extra column": text([f"{line},x" for line in GOOD], f"{HEADER},note"),
}


@pytest.fixture(scope="module")
def forecaster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from seqmamba.cli.main import run

    folder = tmp_path_factory.mktemp("forecaster")
    (folder / "good.csv").write_bytes(text(GOOD))
    words = ("-q", "forecast", "fit", str(folder / "good.csv"), "--out", str(folder / "run"))
    assert run([*words, *QUICK, *SMALL]) == 0
    return folder


@pytest.mark.parametrize(("content", "word"), BAD.values(), ids=BAD)
def test_bad_table_is_one_sentence(
    content: bytes, word: str, command: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "bad.csv").write_bytes(content)

    ended = command("-q", "forecast", "fit", "bad.csv", "--out", "run", *QUICK, *SMALL)

    assert ended.code == 65, ended.err
    assert ended.err.count("\n") == 1
    assert word in ended.err
    assert not (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize("content", ACCEPTED.values(), ids=ACCEPTED)
def test_odd_but_clear_table_is_read(
    content: bytes, command: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "odd.csv").write_bytes(content)

    ended = command("-q", "forecast", "fit", "odd.csv", "--out", "run", *QUICK, *SMALL)

    assert ended.code == 0, ended.err


def test_former_run_survives_bad_data(command: Any, forecaster: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_bytes(b"")
    before = (forecaster / "run" / "model.safetensors").read_bytes()

    ended = command("forecast", "fit", "bad.csv", "--out", forecaster / "run", "--force", *QUICK)

    assert ended.code == 65
    assert (forecaster / "run" / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("damage", ["flip", "cut", "tail", "text"])
def test_damaged_model_is_refused(
    damage: str, command: Any, forecaster: Path, tmp_path: Path
) -> None:
    content = (forecaster / "run" / "model.safetensors").read_bytes()
    flipped = bytearray(content)
    flipped[-9] ^= 4
    damaged = {
        "flip": bytes(flipped), "cut": content[:-40], "tail": content + b"x", "text": b"model",
    }  # fmt: skip
    (tmp_path / "m.safetensors").write_bytes(damaged[damage])

    ended = command("forecast", "predict", forecaster / "good.csv", "--model", "m.safetensors")

    assert ended.code == 65
    assert ended.out == ""
    assert ended.err.count("\n") == 1


def test_model_of_another_task_is_refused(command: Any, forecaster: Path, model: Path) -> None:
    ended = command("forecast", "predict", forecaster / "good.csv", "--model", model)

    assert ended.code == 65
    assert "'regress'" in ended.err


def test_unknown_series_is_forecast_by_its_own_history(
    command: Any, forecaster: Path, tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_bytes(text(rows(name="new")))

    ended = command("forecast", "predict", "new.csv", "--model", forecaster / "run")

    assert ended.code == 0
    assert [line.split(",")[0] for line in ended.out.splitlines()[1:]] == ["new"] * 4
