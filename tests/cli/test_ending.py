"""Every error has one line and one exit code (architecture specification, 15 and 17)."""

import signal

import click
import pytest

from seqmamba import errors
from seqmamba.cli.ending import Terminated, end

CODES: list[tuple[BaseException, int]] = [
    (errors.ConfigError("wrong"), 2),
    (errors.ResumeMismatchError("wrong"), 2),
    (click.UsageError("wrong"), 2),
    (errors.DataError("wrong", column="y"), 65),
    (errors.ModelFileError("wrong"), 65),
    (errors.CorruptModelError("wrong"), 65),
    (FileNotFoundError("wrong"), 66),
    (PermissionError("wrong"), 66),
    (errors.MissingPackageError("wrong"), 69),
    (errors.BackendError("wrong"), 69),
    (KeyError("wrong"), 70),
    (RuntimeError("wrong"), 70),
    (OSError("wrong"), 74),
    (errors.CheckpointError("wrong"), 74),
    (errors.DirectoryInUseError("wrong"), 74),
    (errors.TrainingError("wrong"), 1),
    (errors.TrainingDivergedError("wrong"), 1),
    (MemoryError("wrong"), 1),
    (RuntimeError("can't allocate memory: wrong"), 1),
]


@pytest.mark.parametrize(("error", "code"), CODES, ids=[type(e).__name__ for e, _ in CODES])
def test_error_ends_with_its_code_and_one_line(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert end(error, debug=False) == code

    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("seqmamba: error: ")
    assert "wrong" in said


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (KeyboardInterrupt(), signal.SIGINT),
        (click.Abort(), signal.SIGINT),
        (Terminated(), signal.SIGTERM),
        (errors.InterruptedWarning("half an epoch", signal.SIGTERM), signal.SIGTERM),
    ],
)
def test_signals_end_with_128_and_their_number(error: BaseException, number: int) -> None:
    assert end(error, debug=False) == 128 + number


def test_debug_prints_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise errors.DataError("no column 'ds'")
    except errors.DataError as error:
        end(error, debug=True)

    assert "Traceback" in capsys.readouterr().err


def test_every_error_class_is_tried() -> None:
    classes = {getattr(errors, name) for name in errors.__all__}
    tried = {type(error) for error, _ in CODES}

    kinds = {errors.SeqmambaError, errors.SeqmambaWarning, errors.InterruptedWarning}
    assert classes - tried == kinds
