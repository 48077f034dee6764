"""Names that users chose cannot disturb the terminal (reliability specification, S4)."""

import logging
import warnings

import pytest

from seqmamba.cli.ending import end
from seqmamba.cli.terminal import Session, listening, note, printable
from seqmamba.errors import DataError, SeqmambaWarning

EVIL = ["\x1b[2J", "\x1b]0;title\x07", "a\rb", "a\x08b", "\u202egpj.exe", "\x9b31m"]


@pytest.mark.parametrize("text", EVIL)
def test_control_characters_are_escaped(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    note(f"id {text}")
    end(DataError(f"id {text}"), debug=False)
    with listening(Session()):
        logging.getLogger("seqmamba.test").warning("id %s", text)
        warnings.warn(f"id {text}", SeqmambaWarning, stacklevel=1)

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)


def test_printable_text_stays() -> None:
    assert printable("größe 温度 ± 3") == "größe 温度 ± 3"


def test_quiet_session_drops_notes_of_the_library(capsys: pytest.CaptureFixture[str]) -> None:
    session = Session()
    with listening(session):
        session.set_verbosity(0)
        warnings.warn("rows were dropped", SeqmambaWarning, stacklevel=1)
        logging.getLogger("seqmamba.test").warning("slow disk")

    assert capsys.readouterr().err == ""


def test_deprecations_of_others_are_shown_to_developers_only(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for verbosity in (1, 2):
        session = Session()
        with listening(session):
            session.set_verbosity(verbosity)
            warnings.simplefilter("always")
            warnings.warn("old", DeprecationWarning, stacklevel=1)

    assert capsys.readouterr().err.count("old") == 1
