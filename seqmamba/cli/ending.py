"""How a run ends: one line on standard error and the exit code of its kind."""

import os
import signal
import sys
import traceback

import click

from seqmamba.cli.terminal import printable
from seqmamba.errors import InterruptedWarning, SeqmambaError

__all__ = ["Terminated", "end", "signal_code"]

FAILED, USAGE, NO_INPUT, BUG, NOT_WRITTEN = 1, 2, 66, 70, 74


class Terminated(BaseException):
    """SIGTERM arrived outside training."""


def signal_code(number: int) -> int:
    """Return the exit code of a run that a signal ended: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + number


def end(error: BaseException, *, debug: bool) -> int:
    """Say what ended the run, in one line, and return its exit code."""
    code, text = _verdict(error)
    if debug and not isinstance(error, click.ClickException | click.Abort):
        traceback.print_exception(error)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return code
    if isinstance(error, BrokenPipeError):  # the reader of a pipe has left: nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code
    click.echo(f"seqmamba: error: {printable(text)}", err=True)
    return code


def _verdict(error: BaseException) -> tuple[int, str]:
    text = str(error) or type(error).__name__
    if isinstance(error, click.Abort | KeyboardInterrupt | InterruptedWarning):
        return signal_code(_signal_of(error)), "interrupted."
    if isinstance(error, Terminated):
        return signal_code(signal.SIGTERM), "terminated."
    if isinstance(error, click.ClickException):
        return USAGE, error.format_message()
    if isinstance(error, SeqmambaError):
        return error.exit_code, text
    if _is_out_of_memory(error):
        return FAILED, f"out of memory: {text} Lower batch_size or the size of the model."
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        return NO_INPUT, text
    if isinstance(error, OSError):
        return NOT_WRITTEN, text
    return BUG, f"a bug in seqmamba: {type(error).__name__}: {text} Traceback: --debug."


def _signal_of(error: BaseException) -> int:
    """Return the signal that interrupted training, or Ctrl-C; click wraps both."""
    cause = error.__cause__ if isinstance(error, click.Abort) else error
    return int(getattr(cause, "signal", signal.SIGINT))


def _is_out_of_memory(error: BaseException) -> bool:
    """Know torch's error by its name: importing torch to end a run would be absurd."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
