"""What the signature and the docstring of an estimator method say about its keywords."""

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Unpack

__all__ = ["Keyword", "data_is_optional", "keywords", "summary", "takes_data"]

UNUSED = ("Not used", "Ignored")  # what docstrings say of y where a table holds the targets
INNER = {"self", "callbacks"}  # keywords that are no matter of the shell
FILES = {"y": "labels", "eval_set": "eval", "val_df": "eval", "checkpoint": "checkpoint"}
FILES |= {"resume": "resume", "path": "path"}


@dataclass(frozen=True)
class Keyword:
    """One keyword of a method.

    Parameters
    ----------
    file_option : str or None
        Name of the option if the keyword takes a table or a path: ``futr`` for ``futr_df``.
    """

    name: str
    annotation: Any
    default: Any
    required: bool
    help: str
    file_option: str | None


def keywords(method: Callable[..., Any], *, skip_data: bool = True) -> dict[str, Keyword]:
    """Return the keywords of a method by name, by default behind the first, which is the data."""
    hints = _hints(method)
    help_of = _described(method)
    first = int(skip_data and takes_data(method))
    names = [p for p in _named(method)[first:] if p.name not in INNER]
    named = {
        p.name: Keyword(
            name=p.name,
            annotation=hints.get(p.name, Any),
            default=None if p.default is p.empty else p.default,
            required=p.default is p.empty,
            help=_first_sentence(help_of.get(p.name, "")),
            file_option=_file_option(p.name),
        )
        for p in names
        if not help_of.get(p.name, "").startswith(UNUSED) and not _takes_code(hints.get(p.name))
    }
    return named | _unpacked(hints)


def takes_data(method: Callable[..., Any]) -> bool:
    """Say whether a method has a first argument for the data; a simulator has none."""
    first = _named(method)[:1]
    return bool(first) and first[0].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD


def data_is_optional(method: Callable[..., Any]) -> bool:
    """Say whether the first argument, which takes the data, may be left out."""
    first = _named(method)[:1]
    return bool(first) and first[0].default is not inspect.Parameter.empty


def summary(method: Callable[..., Any]) -> str:
    """Return the first line of a docstring."""
    return (inspect.getdoc(method) or "").partition("\n")[0].rstrip(".")


def _named(method: Callable[..., Any]) -> list[inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = inspect.signature(method).parameters.values()
    return [p for p in found if p.kind in kinds and p.name != "self"]


def _hints(owner: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(owner)
    except NameError:  # a hint that only type checkers can see
        return {}


def _unpacked(hints: Mapping[str, Any]) -> dict[str, Keyword]:
    """Return the keywords that a method takes as a typed dictionary: ``**name: Unpack[...]``."""
    groups = [
        typing.get_args(hint)[0] for hint in hints.values() if typing.get_origin(hint) is Unpack
    ]
    return {
        name: Keyword(name, hint, None, False, _first_sentence(_described(group)[name]), None)
        for group in groups
        for name, hint in _hints(group).items()
    }


def _takes_code(annotation: Any) -> bool:
    """Say whether a function is asked for, which no shell can spell."""
    kinds = (annotation, *typing.get_args(annotation))
    return any(typing.get_origin(kind) is Callable for kind in kinds)


def _file_option(name: str) -> str | None:
    if name.endswith("_df") and name not in FILES:
        return name.removesuffix("_df").replace("_", "-")
    return FILES.get(name)


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.;])\s", text, maxsplit=1)[0].rstrip(".;").replace("``", "")


def _described(method: Callable[..., Any]) -> dict[str, str]:
    """Read the help of keywords from the parameter section of a numpydoc docstring."""
    text = inspect.getdoc(method) or ""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-{3,}$|\Z)", text, re.M | re.S)
    found: dict[str, str] = {}
    names: list[str] = []
    for line in section[1].splitlines() if section else []:
        if line and not line.startswith(" "):
            names = [name.strip(" *") for name in line.partition(" :")[0].split(",")]
            found |= dict.fromkeys(names, "")
        else:
            found |= {name: f"{found[name]} {line.strip()}".strip() for name in names}
    return found
