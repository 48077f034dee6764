"""Every error keeps its place in the tree, its exit code and its message."""

import pickle

import pytest

from seqmamba import errors
from seqmamba.errors import CheckpointError, DataError, SeqmambaError

TREE = [
    (errors.ConfigError, ValueError, 2),
    (errors.DataError, ValueError, 65),
    (errors.MissingPackageError, ImportError, 69),
    (errors.BackendError, RuntimeError, 69),
    (errors.TrainingError, RuntimeError, 1),
    (errors.TrainingDivergedError, errors.TrainingError, 1),
    (errors.ModelFileError, ValueError, 65),
    (errors.CorruptModelError, errors.ModelFileError, 65),
    (errors.ResumeMismatchError, ValueError, 2),
    (errors.CheckpointError, OSError, 74),
    (errors.DirectoryInUseError, OSError, 74),
]


@pytest.mark.parametrize(("error", "parent", "code"), TREE, ids=lambda part: str(part))
def test_each_error_has_its_parent_and_exit_code(
    error: type[SeqmambaError], parent: type[Exception], code: int
) -> None:
    assert issubclass(error, SeqmambaError)
    assert issubclass(error, parent)
    assert error.exit_code == code
    assert str(error("value, place, cure.")) == "value, place, cure."


def test_the_table_above_is_complete() -> None:
    listed = {error.__name__ for error, _, _ in TREE}
    others = {"SeqmambaError", "SeqmambaWarning", "InterruptedWarning"}

    assert listed | others == set(errors.__all__)


def test_a_data_error_keeps_its_place() -> None:
    error = DataError("column 'y' holds 'x'.", column="y", where="row 3", value="x")

    assert (error.column, error.where, error.value) == ("y", "row 3", "x")


@pytest.mark.parametrize("error", [error for error, _, _ in TREE], ids=lambda error: error.__name__)
def test_errors_cross_process_borders(error: type[SeqmambaError]) -> None:
    copy = pickle.loads(pickle.dumps(error("message")))

    assert type(copy) is error
    assert str(copy) == "message"


def test_a_data_error_crosses_process_borders_whole() -> None:
    error = DataError("message", column="y", where="row 3", value=1.5)

    copy = pickle.loads(pickle.dumps(error))

    assert (copy.column, copy.where, copy.value) == ("y", "row 3", 1.5)


def test_an_errno_does_not_change_the_message() -> None:
    error = CheckpointError("cannot write m: No space left (errno 28).")
    error.errno = 28

    assert str(error) == "cannot write m: No space left (errno 28)."
