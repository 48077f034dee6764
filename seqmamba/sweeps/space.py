"""The ranges that a sweep draws from: from the estimator's declarations or from YAML."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

import optuna
import yaml

from seqmamba import storage
from seqmamba.errors import ConfigError
from seqmamba.params import Choice, IntRange, LogUniform, Search, Uniform, nearest, params_of

__all__ = ["Space", "resolve_space"]

KEYS = ("task", "direction", "metric", "sampler", "pruner", "trials", "space", "fixed")
KINDS = ("choice", "log", "uniform", "int")


@dataclass(frozen=True)
class Space:
    """What a sweep draws and how.

    Parameters
    ----------
    searches : mapping of str to Choice, IntRange, Uniform or LogUniform
        Range of each parameter that varies.
    fixed : mapping
        Values of parameters that do not vary.
    metric : str or None
        What trials are compared by; None = the estimator's own validation objective.
    direction : {"minimize", "maximize"} or None
        None = from the metric.
    sampler, pruner : str
    trials : int or None
        Number of trials unless the call says otherwise.
    """

    searches: Mapping[str, Search]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    metric: str | None = None
    direction: Literal["minimize", "maximize"] | None = None
    sampler: Literal["tpe", "random", "gp", "grid"] = "tpe"
    pruner: Literal["median", "none"] = "median"
    trials: int | None = None

    @classmethod
    def declared(cls, estimator: Any) -> Self:
        """Take the ranges that the estimator's parameters declare."""
        found = {n: p.search for n, p in params_of(estimator).items() if p.search is not None}
        return cls(found)

    @classmethod
    def read(cls, path: str | Path, estimator: Any) -> Self:
        """Read a YAML file (architecture specification, section 14).

        Raises
        ------
        ConfigError
            Not YAML, an unknown key, or a range that is none.
        """
        try:
            blocks = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise FileNotFoundError(f"there is no search space {path}.") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            where = " ".join(str(error).split())
            raise ConfigError(f"{path} is not YAML: {where}.") from error
        if not isinstance(blocks, dict):
            raise ConfigError(f"{path} must hold the keys {', '.join(KEYS)}.")
        for key in blocks:
            _check_known(key, KEYS, f"key in {path}")
        ranges = blocks.get("space") or {}
        searches = {name: _search(path, name, entry) for name, entry in ranges.items()}
        fixed = {k: _tuple(v) for k, v in (blocks.get("fixed") or {}).items()}
        settings = {k: v for k, v in blocks.items() if k not in ("task", "space", "fixed")}
        space = cls(searches or cls.declared(estimator).searches, fixed, **settings)
        space.check(estimator)
        return space

    def check(self, estimator: Any) -> None:
        """Raise :class:`ConfigError` for a name or an option that is unknown."""
        known = params_of(estimator)
        for name in [*self.searches, *self.fixed]:
            _check_known(name, known, f"parameter of {_class_name(estimator)}")
        _check_known(self.sampler, ("tpe", "random", "gp", "grid"), "sampler")
        _check_known(self.pruner, ("median", "none"), "pruner")
        if self.direction is not None:
            _check_known(self.direction, ("minimize", "maximize"), "direction")

    def without(self, names: Any) -> Self:
        """Drop the ranges of parameters that are fixed otherwise."""
        kept = {n: s for n, s in self.searches.items() if n not in names}
        return replace(self, searches=kept)

    def suggest(self, trial: optuna.Trial, names: Any = None) -> dict[str, Any]:
        """Draw values for the named parameters; None = all."""
        wanted = self.searches if names is None else {n: self.searches[n] for n in names}
        return {name: _suggest(trial, name, search) for name, search in wanted.items()}

    def encode(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return those values that lie in their range, as optuna stores them."""
        return {
            name: _encode(params[name])
            for name, search in self.searches.items()
            if name in params and _contains(search, params[name])
        }

    def decode(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return stored values as the estimator takes them; names of other spaces as they are."""
        return {name: _decode(self.searches.get(name), value) for name, value in params.items()}

    def grid(self) -> dict[str, list[Any]]:
        """Return all values of each parameter.

        Raises
        ------
        ConfigError
            A range is continuous.
        """
        values: dict[str, list[Any]] = {}
        for name, search in self.searches.items():
            if isinstance(search, Choice):
                values[name] = [_encode(v) for v in search.values]
            elif isinstance(search, IntRange):
                values[name] = list(range(search.low, search.high + 1))
            else:
                raise ConfigError(f"a grid needs choices; {name!r} is a continuous range.")
        return values

    def describe(self) -> dict[str, str]:
        """Return one line per range, for reports and to tell two spaces apart."""
        return {name: _spell(search) for name, search in self.searches.items()}


def resolve_space(space: Any, estimator: Any, task: str | None) -> Space:
    """Turn what a user gives as a space into one.

    ``"auto"`` is the preset ``sweeps/<task>.yaml`` if there is one, else the declared ranges; a
    path is read; a mapping of names to ranges is taken as it is.
    """
    if isinstance(space, Space):
        found = space
    elif isinstance(space, Mapping):
        found = Space(dict(space))
    elif space == "auto":
        preset = storage.share("sweeps", f"{task}.yaml")
        found = Space.read(preset, estimator) if preset.is_file() else Space.declared(estimator)
    else:
        found = Space.read(space, estimator)
    found.check(estimator)
    return found


def _search(path: str | Path, name: str, entry: Any) -> Search:
    if not isinstance(entry, dict) or len(entry) != 1:
        raise ConfigError(f"range of {name!r} in {path} must be one of {', '.join(KINDS)}.")
    kind, values = next(iter(entry.items()))
    _check_known(kind, KINDS, f"range of {name!r} in {path}")
    if not isinstance(values, list) or not values:
        raise ConfigError(f"range of {name!r} in {path} must be a list, got {values!r}.")
    if kind == "choice":
        return Choice(*(_tuple(v) for v in values))
    try:
        low, high = (float(v) for v in values)
    except (TypeError, ValueError):
        raise ConfigError(f"range of {name!r} in {path} must be [low, high].") from None
    if not low <= high or (kind == "log" and low <= 0):
        raise ConfigError(f"range of {name!r} in {path} must rise and, for log, be positive.")
    if kind == "int":
        return IntRange(int(low), int(high))
    return LogUniform(low, high) if kind == "log" else Uniform(low, high)


def _suggest(trial: optuna.Trial, name: str, search: Search) -> Any:
    if isinstance(search, Choice):
        drawn = trial.suggest_categorical(name, [_encode(v) for v in search.values])
        return _decode(search, drawn)
    if isinstance(search, IntRange):
        return trial.suggest_int(name, search.low, search.high)
    return trial.suggest_float(name, search.low, search.high, log=isinstance(search, LogUniform))


def _contains(search: Search, value: Any) -> bool:
    if isinstance(search, Choice):
        return any(_same(v, value) for v in search.values)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and search.low <= value <= search.high


def _spell(search: Search) -> str:
    if isinstance(search, Choice):
        return "one of " + ", ".join(str(v) for v in search.values)
    kind = {IntRange: "(integer)", LogUniform: "(logarithmic)"}.get(type(search), "")
    return f"{search.low:g} to {search.high:g} {kind}".rstrip()


def _encode(value: Any) -> Any:
    """Return a value that optuna can store: tuples become JSON."""
    plain = value is None or isinstance(value, bool | int | float | str)
    return value if plain else json.dumps(value)


def _decode(search: Search | None, stored: Any) -> Any:
    if not isinstance(search, Choice):
        return stored
    return next((v for v in search.values if _same(_encode(v), stored)), stored)


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _class_name(estimator: Any) -> str:
    return (estimator if isinstance(estimator, type) else type(estimator)).__name__


def _check_known(name: Any, known: Any, what: str) -> None:
    if name not in known:
        listed = ", ".join(known)
        raise ConfigError(f"no {what} {name!r}; known: {listed}.{nearest(str(name), known)}")
