"""One declaration per hyper-parameter: default, range, help, option and search range.

An estimator is a dataclass whose fields are made by :func:`param`. The command line, the
documentation, the sweep and the checks read the same declaration.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

from seqmamba.errors import ConfigError

__all__ = ["Choice", "IntRange", "LogUniform", "Param", "Search", "Uniform", "check_params"]
__all__ += ["nearest", "param", "params_of"]

Group = Literal["data", "model", "training"]


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    values: tuple[Any, ...]

    def __init__(self, *values: Any) -> None:
        object.__setattr__(self, "values", values)


@dataclass(frozen=True)
class Uniform:
    """A float drawn uniformly from [low, high]."""

    low: float
    high: float


@dataclass(frozen=True)
class LogUniform:
    """A positive float whose logarithm is uniform on [log low, log high]."""

    low: float
    high: float


@dataclass(frozen=True)
class IntRange:
    """An integer from low to high, both included."""

    low: int
    high: int


Search = Choice | Uniform | LogUniform | IntRange


@dataclass(frozen=True)
class Param:
    """What is known of one hyper-parameter."""

    name: str
    default: Any
    annotation: Any
    help: str
    low: float | None
    high: float | None
    search: Search | None
    group: Group


def param(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    search: Search | None = None,
    group: Group = "model",
) -> Any:
    """Declare a hyper-parameter of an estimator.

    Parameters
    ----------
    default : number, str, tuple, bool or None
        Immutable. ``"auto"`` is resolved in ``fit`` and stored under ``name_``.
    help : str
        One line, lower case, no full stop; names the unit.
    low, high : float or None
        Inclusive bounds, checked in ``fit`` for numbers only.
    search : Choice, Uniform, LogUniform, IntRange or None
        Range of the automatic sweep; None keeps the parameter fixed.
    group : {"data", "model", "training"}
        Heading under which the command line lists the option; training parameters are
        keyword-only.

    Returns
    -------
    dataclasses.Field
        To stand on the right of an annotated class attribute.
    """
    if not isinstance(default, int | float | str | tuple | None | bool):
        raise TypeError(f"the default of a parameter must be immutable, got {default!r}")
    metadata = {"help": help, "low": low, "high": high, "search": search, "group": group}
    return dataclasses.field(default=default, metadata=metadata, kw_only=group == "training")


def params_of(estimator: Any) -> dict[str, Param]:
    """Return the declared parameters of an estimator or its class, in order of declaration."""
    cls = estimator if isinstance(estimator, type) else type(estimator)
    hints = typing.get_type_hints(cls)
    return {
        field.name: Param(
            name=field.name,
            default=None if field.default is dataclasses.MISSING else field.default,
            annotation=hints[field.name],
            **field.metadata,
        )
        for field in dataclasses.fields(cls)
        if field.metadata
    }


def check_params(estimator: Any) -> None:
    """Raise :class:`ConfigError` for the first parameter with a wrong type or range."""
    for name, declared in params_of(estimator).items():
        _check_value(f"{type(estimator).__name__}.{name}", getattr(estimator, name), declared)


def nearest(name: str, known: typing.Iterable[str]) -> str:
    """Return a hint ' Did you mean ...?' for an unknown name, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def _check_value(label: str, value: Any, declared: Param) -> None:
    if not _accepts(declared.annotation, value):
        raise ConfigError(_type_message(label, value, declared.annotation))
    if isinstance(value, bool) or not isinstance(value, Real):
        return
    number = float(value)
    below = declared.low is not None and not number >= declared.low  # "not >=" also catches NaN
    above = declared.high is not None and not number <= declared.high
    if below or above:
        low = "-inf" if declared.low is None else f"{declared.low:g}"
        high = "inf" if declared.high is None else f"{declared.high:g}"
        raise ConfigError(f"{label} must lie in [{low}, {high}], got {value!r}")


def _accepts(annotation: Any, value: Any) -> bool:
    """Say whether a value fits an annotation; integers pass as floats, NumPy scalars as numbers."""
    origin = typing.get_origin(annotation)
    if annotation is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_accepts(option, value) for option in typing.get_args(annotation))
    if origin is Literal:
        return any(type(value) is type(a) and value == a for a in typing.get_args(annotation))
    if annotation in (None, type(None)):
        return value is None
    if annotation is bool:
        return isinstance(value, bool)
    if annotation is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    if annotation is float:
        return isinstance(value, Real) and not isinstance(value, bool)
    if origin in (tuple, list):
        return isinstance(value, tuple | list) and _accepts_items(annotation, value)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping)
    return not isinstance(annotation, type) or isinstance(value, annotation)


def _accepts_items(annotation: Any, values: Sequence[Any]) -> bool:
    """Say whether the items of a tuple or list fit; ``tuple[int, int]`` also fixes their number."""
    kinds = typing.get_args(annotation)
    if typing.get_origin(annotation) is tuple and Ellipsis not in kinds:
        return len(kinds) == len(values) and all(map(_accepts, kinds, values))
    return all(_accepts(kinds[0], value) for value in values)


def _type_message(label: str, value: Any, annotation: Any) -> str:
    options = _literals(annotation)
    if options and isinstance(value, str):
        listed = ", ".join(repr(option) for option in options)
        hint = nearest(value, [o for o in options if isinstance(o, str)])
        return f"{label} must be one of {listed}; got {value!r}.{hint}"
    return f"{label} must be {_spell(annotation)}, got {value!r}"


def _literals(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) is Literal:
        return list(typing.get_args(annotation))
    return [v for option in typing.get_args(annotation) for v in _literals(option)]


def _spell(annotation: Any) -> str:
    """Write an annotation as a user would say it."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return " or ".join(_spell(option) for option in typing.get_args(annotation))
    if typing.get_origin(annotation) is Literal:
        return " or ".join(repr(v) for v in typing.get_args(annotation))
    if annotation in (None, type(None)):
        return "None"
    if typing.get_origin(annotation) in (tuple, list):
        return str(annotation)
    return getattr(annotation, "__name__", str(annotation)).split(".")[-1]
