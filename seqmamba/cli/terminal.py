"""What goes to standard error: notes, warnings, log lines and the one line of an error."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TextIO

import click

from seqmamba.errors import InterruptedWarning, SeqmambaWarning

__all__ = ["Session", "finishing", "listening", "note", "printable"]

_LEVELS = {0: logging.ERROR, 1: logging.WARNING, 2: logging.DEBUG}


@dataclass
class Session:
    """The options that stand before the command."""

    debug: bool = False
    verbosity: int = 1  # 0 quiet, 1 progress, 2 debug

    def set_verbosity(self, verbosity: int) -> None:
        """Let log records of that level and warnings through from now on."""
        self.verbosity = verbosity
        logging.getLogger("seqmamba").setLevel(_LEVELS[verbosity])


def printable(text: str) -> str:
    r"""Return text on one line, with control and formatting characters escaped.

    Identifiers of users end up on terminals; none may move the cursor or hide text.

    Examples
    --------
    >>> printable("id \x1b[31m\nnext")
    'id \\x1b[31m next'
    """
    flat = " ".join(text.split("\n"))
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in flat)


def note(text: str) -> None:
    """Write one line of information to standard error."""
    click.echo(f"seqmamba: {printable(text)}", err=True)


@contextmanager
def listening(session: Session) -> Iterator[None]:
    """Send warnings and log records to standard error, as far as the session wants them."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("seqmamba: %(levelname)s: %(message)s"))
    ours = logging.getLogger("seqmamba")
    former = ours.level
    ours.addHandler(handler)
    session.set_verbosity(session.verbosity)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", SeqmambaWarning)  # a note each time, never an error
            warnings.simplefilter("error", InterruptedWarning)  # ends the command, see below
            warnings.showwarning = partial(_show_warning, session)
            yield
    finally:
        ours.removeHandler(handler)
        ours.setLevel(former)


@contextmanager
def finishing() -> Iterator[None]:
    """Let a command go on after interrupted training, to keep what was learnt.

    Other commands end where they are: half a benchmark or backtest is none.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always", InterruptedWarning)
        yield


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _show_warning(
    session: Session,
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    ours = issubclass(category, SeqmambaWarning)
    if session.verbosity == 0 or not (ours or session.debug or session.verbosity == 2):
        return  # what other packages will deprecate is no news for users
    click.echo(f"seqmamba: {'note' if ours else filename}: {printable(str(message))}", err=True)


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
