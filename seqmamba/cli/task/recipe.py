"""Recipes: YAML with the blocks ``task``, ``data``, ``params`` and ``train``."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from seqmamba.cli.task.values import parse
from seqmamba.errors import ConfigError
from seqmamba.params import Param, nearest, params_of

__all__ = ["Recipe", "read_recipe", "recipe_text"]

BLOCKS = ("task", "data", "params", "train")
PUBLISHED = ("card", "columns", "borders")  # of published settings; read by their benchmark


@dataclass(frozen=True)
class Recipe:
    """What a recipe asks for.

    Parameters
    ----------
    params : dict
        Parameters of the estimator, from the blocks data, params and train.
    data : dict
        ``path`` of the data, and keywords of ``fit``.
    """

    params: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)


def read_recipe(
    path: str | Path, task: str, estimator: type[Any], fit_keywords: Iterable[str] = ()
) -> Recipe:
    """Read and check a recipe for one task.

    Raises
    ------
    ConfigError
        Not YAML, another task, or an unknown key; the nearest known name is proposed.
    FileNotFoundError
        There is no such file.
    """
    blocks = _blocks(path)
    if blocks.get("task", task) != task:
        raise ConfigError(f"{path} is a recipe for task {blocks['task']!r}, not for {task!r}.")
    declared = params_of(estimator)
    training = {name for name, p in declared.items() if p.group == "training"}
    data = _mapping(path, blocks, "data")
    of_fit = ("path", *fit_keywords, *PUBLISHED)
    kept = {k: v for k, v in data.items() if k in of_fit and k not in PUBLISHED}
    params = _known(path, "data", {k: v for k, v in data.items() if k not in of_fit}, declared)
    for block in ("params", "train"):
        values = _known(path, block, _mapping(path, blocks, block), declared)
        _check_block(path, block, values, training)
        params |= values
    return Recipe({k: _typed(path, declared[k], v) for k, v in params.items()}, kept)


def recipe_text(
    task: str, estimator: type[Any], params: Mapping[str, Any], data: Mapping[str, Any]
) -> str:
    """Return the YAML that repeats a run."""
    declared = params_of(estimator)
    blocks: dict[str, Any] = {"task": task, "data": dict(data), "params": {}, "train": {}}
    for name, value in params.items():
        block = "train" if declared[name].group == "training" else "params"
        blocks[block][name] = list(value) if isinstance(value, tuple) else value
    kept = {name: block for name, block in blocks.items() if block}
    text: str = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)
    return text


def _blocks(path: str | Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no recipe {path}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = " ".join(str(error).split())
        raise ConfigError(f"{path} is not YAML: {where}.") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path} must hold the blocks {', '.join(BLOCKS)}.")
    for name in found:
        if name not in BLOCKS:
            known = ", ".join(BLOCKS)
            raise ConfigError(
                f"unknown block {name!r} in {path}; known: {known}.{nearest(str(name), BLOCKS)}"
            )
    return found


def _mapping(path: str | Path, blocks: Mapping[str, Any], name: str) -> dict[str, Any]:
    block = blocks.get(name)
    if block is None:
        return {}
    if not isinstance(block, dict):
        raise ConfigError(f"block {name!r} in {path} must be a mapping, got {block!r}.")
    return block


def _known(
    path: str | Path, block: str, values: Mapping[str, Any], declared: Mapping[str, Param]
) -> dict[str, Any]:
    for key in values:
        if key not in declared:
            hint = nearest(str(key), declared) or f" Known: {', '.join(declared)}."
            raise ConfigError(f"unknown key {key!r} in block {block!r} of {path}.{hint}")
    return dict(values)


def _check_block(
    path: str | Path, block: str, values: Iterable[str], training: Container[str]
) -> None:
    for key in values:
        home = "train" if key in training else "params"
        if home != block:
            raise ConfigError(f"{key!r} in {path} belongs into the block {home!r}, not {block!r}.")


def _typed(path: str | Path, declared: Param, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, str):
        return value
    try:  # YAML reads 1e-4, without a point, as text
        return parse(declared.annotation, value)
    except ValueError as error:
        raise ConfigError(f"{declared.name} in {path}: {error}.") from error
