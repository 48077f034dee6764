"""Words become what the type hint asks for, or an error that spells it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pytest

from seqmamba.cli.task.values import parse, spell

CASES: list[tuple[Any, str, Any]] = [
    (int, "3", 3),
    (float, "1e-3", 1e-3),
    (int | float, "3", 3),
    (float | int | None, "0.2", 0.2),
    (int | None, "none", None),
    (float | Literal["auto"], "auto", "auto"),
    (float | Literal["auto"], "0.1", 0.1),
    (Literal["a", "b"] | None, "b", "b"),
    (str, "none", "none"),
    (str | None, "none", None),
    (tuple[int, ...], "80,90", (80, 90)),
    (tuple[int, ...], "80", (80,)),
    (Sequence[float] | None, "0.1, 0.5", (0.1, 0.5)),
    (tuple[str, ...] | None, "load,temp", ("load", "temp")),
    (tuple[str, ...] | None, "load", ("load",)),
    (str | tuple[str, ...], "load", "load"),
    (str | tuple[str, ...], "load,temp", ("load", "temp")),
    (bool | int, "true", True),
    (bool | int, "3", 3),
    (Mapping[str, Any] | None, "n_windows=5,method=error", {"n_windows": 5, "method": "error"}),
    (Any, "text", "text"),
]


@pytest.mark.parametrize(("hint", "text", "value"), CASES, ids=[f"{h}-{t}" for h, t, _ in CASES])
def test_text_becomes_the_value(hint: Any, text: str, value: Any) -> None:
    found = parse(hint, text)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("hint", "text", "spelled"),
    [
        (int, "3.5", "INT"),
        (Literal["a", "b"], "c", "a|b"),
        (tuple[int, ...], "1,x", "INT,…"),
        (Mapping[str, int], "novalue", "KEY=VALUE,…"),
        (float | None, "much", "FLOAT|none"),
    ],
)
def test_error_spells_what_fits(hint: Any, text: str, spelled: str) -> None:
    with pytest.raises(ValueError, match="is not") as error:
        parse(hint, text)

    assert str(error.value) == f"{text!r} is not {spelled}"


def test_none_is_spelled_once() -> None:
    assert spell(Literal["auto", "none"] | None) == "auto|none"
