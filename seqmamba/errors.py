"""The exception tree: every error names the value, the place and the cure.

Each class carries the exit code that the command line ends with.
"""

from typing import ClassVar

__all__ = [
    "BackendError",
    "CheckpointError",
    "ConfigError",
    "CorruptModelError",
    "DataError",
    "DirectoryInUseError",
    "InterruptedWarning",
    "MissingPackageError",
    "ModelFileError",
    "ResumeMismatchError",
    "SeqmambaError",
    "SeqmambaWarning",
    "TrainingDivergedError",
    "TrainingError",
]


class SeqmambaError(Exception):
    """Base of all errors that seqmamba raises on purpose."""

    exit_code: ClassVar[int] = 70


class SeqmambaWarning(UserWarning):
    """Something was understood in a way that the user should know of."""


class InterruptedWarning(SeqmambaWarning):
    """A signal ended training; the best weights so far are kept.

    Parameters
    ----------
    message : str
    signal : int
        Number of the signal.
    """

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal


class ConfigError(SeqmambaError, ValueError):
    """A parameter, an option or a recipe is wrong."""

    exit_code = 2


class DataError(SeqmambaError, ValueError):
    """The data are at fault.

    Parameters
    ----------
    message : str
        What is wrong, where, what was expected, what to do.
    column : str or None
        Name of the column at fault.
    where : str or None
        File, row, series or record at fault.
    value : object
        The offending value.
    """

    exit_code = 65

    def __init__(
        self,
        message: str,
        *,
        column: str | None = None,
        where: str | None = None,
        value: object = None,
    ) -> None:
        super().__init__(message)
        self.column = column
        self.where = where
        self.value = value


class MissingPackageError(SeqmambaError, ImportError):
    """An optional package is not installed; the message names the extra."""

    exit_code = 69


class BackendError(SeqmambaError, RuntimeError):
    """The kernel back-end that was asked for cannot serve."""

    exit_code = 69


class TrainingError(SeqmambaError, RuntimeError):
    """Training could not go on."""

    exit_code = 1


class TrainingDivergedError(TrainingError):
    """The loss stayed non-finite after every retry with a smaller learning rate."""


class ModelFileError(SeqmambaError, ValueError):
    """A model file cannot be used: wrong task, newer schema, not a model file."""

    exit_code = 65


class CorruptModelError(ModelFileError):
    """A model file is damaged: digest, header or size do not fit."""


class ResumeMismatchError(SeqmambaError, ValueError):
    """A checkpoint belongs to another configuration or other data."""

    exit_code = 2


class CheckpointError(SeqmambaError, OSError):
    """A file could not be written; the former file is intact."""

    exit_code = 74


class DirectoryInUseError(SeqmambaError, OSError):
    """Another process writes into the same directory."""

    exit_code = 74
