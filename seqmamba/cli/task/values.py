"""Text of an option or a recipe, turned into the value that a type hint asks for."""

import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
import yaml

__all__ = ["Value", "is_flag", "parse", "spell"]

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:  # not generic before click 8.4
    _ParamType = click.ParamType

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_ORDER = (type(None), Literal, bool, int, float, tuple, Mapping, str)  # the narrowest first


class Value(_ParamType):
    """The type of an option whose parameter has a type hint."""

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation
        self.name = spell(annotation)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return the spelling of the hint; words of a choice keep their case."""
        return self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse a word of the command line; other values pass unchanged."""
        if not isinstance(value, str):
            return value
        try:
            return parse(self.annotation, value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def parse(annotation: Any, text: str) -> Any:
    """Return the value that a text means under a type hint.

    Sequences are separated by commas, mappings are ``key=value`` pairs separated by commas, and
    ``none`` is None where the hint allows it.

    Raises
    ------
    ValueError
        No member of the hint fits.

    Examples
    --------
    >>> parse(tuple[int, ...] | None, "80,90")
    (80, 90)
    >>> parse(float | Literal["auto"], "auto")
    'auto'
    """
    options = sorted(_options(annotation), key=_rank)
    if str in options and "," not in text:  # one name stays a name
        options = [option for option in options if _kind(option) is not tuple]
    for option in options:
        try:
            return _parse_one(option, text)
        except ValueError:
            continue
    raise ValueError(f"{text!r} is not {spell(annotation)}")


def spell(annotation: Any) -> str:
    """Write a type hint as the help shows it.

    Examples
    --------
    >>> spell(Literal["mask", "error"] | None)
    'mask|error|none'
    """
    words = [_spell_one(option) for option in sorted(_options(annotation), key=_kept)]
    return "|".join(dict.fromkeys("|".join(words).split("|")))


def is_flag(annotation: Any) -> bool:
    """Say whether a hint is plain bool, which becomes ``--x/--no-x``."""
    return annotation is bool


def _options(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [member for a in typing.get_args(annotation) for member in _options(a)]
    return [type(None) if annotation is None else annotation]


def _kind(option: Any) -> Any:
    """Return the member of ``_ORDER`` that tells how to parse."""
    origin = typing.get_origin(option) or option
    if origin is Literal or origin in (type(None), bool, int, float, str):
        return origin
    if isinstance(origin, type) and origin is not Path:
        if issubclass(origin, Mapping):
            return Mapping
        if issubclass(origin, Sequence):
            return tuple
    return str


def _rank(option: Any) -> int:
    return _ORDER.index(_kind(option))


def _kept(option: Any) -> bool:
    return option is type(None)  # none comes last, the others keep their order


def _parse_one(option: Any, text: str) -> Any:
    kind, word = _kind(option), text.strip().lower()
    if kind is type(None):
        return _expect(word == "none", None)
    if kind is Literal:
        found = [v for v in typing.get_args(option) if str(v) == text]
        return _expect(len(found) == 1, *found[:1])
    if kind is bool:
        return _expect(word in _TRUE + _FALSE, word in _TRUE)
    if kind in (int, float):
        return kind(text)
    if kind is tuple:
        return _parse_sequence(option, text)
    if kind is Mapping:
        return _parse_mapping(text)
    return text


def _parse_sequence(option: Any, text: str) -> tuple[Any, ...]:
    members = [a for a in typing.get_args(option) if a is not Ellipsis] or [str]
    words = [word.strip() for word in text.split(",")] if text else []
    return tuple(parse(members[0], word) for word in words)


def _parse_mapping(text: str) -> dict[str, Any]:
    pairs = [pair.partition("=") for pair in text.split(",")]
    _expect(all(key and sign for key, sign, _ in pairs), None)
    return {key.strip(): yaml.safe_load(value) for key, _, value in pairs}


def _expect(fits: bool, value: Any = None) -> Any:
    if not fits:
        raise ValueError
    return value


def _spell_one(option: Any) -> str:
    kind = _kind(option)
    if kind is Literal:
        return "|".join(str(v) for v in typing.get_args(option))
    if kind is tuple:
        members = [a for a in typing.get_args(option) if a is not Ellipsis] or [str]
        return f"{spell(members[0])},…"
    names = {type(None): "none", bool: "true|false", int: "INT", float: "FLOAT", str: "TEXT"}
    return "KEY=VALUE,…" if kind is Mapping else names[kind]
