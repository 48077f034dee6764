"""What a command reads: the data argument, tables behind options, a fitted model."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from seqmamba import storage, tasks
from seqmamba.cli.task.signatures import keywords
from seqmamba.errors import ModelFileError
from seqmamba.tasks.task import Task

__all__ = ["check_files", "data_argument", "load_model"]

WILD = frozenset("*?[")


def data_argument(*, required: bool = True) -> click.Argument:
    """Return the positional argument DATA."""
    return click.Argument(["data"], required=required, type=click.Path())


def check_files(method: Callable[..., Any], data: str | None, inputs: Mapping[str, Any]) -> None:
    """Look for every named input before anything is read.

    Raises
    ------
    FileNotFoundError
        Names the file and the option it came from.
    """
    _must_exist(data, "")
    declared = keywords(method)
    for name, value in inputs.items():
        option = declared[name].file_option if name in declared else None
        if option is not None and name != "checkpoint":  # that one is written
            _must_exist(value, f" (option --{option})")


def load_model(path: str, task: Task) -> Any:
    """Load a fitted model of a task.

    Raises
    ------
    ModelFileError
        The file is damaged, or holds a model of another task.
    """
    found = storage.read_header(path).get("task")
    if found != task.name:
        raise ModelFileError(
            f"{path} holds a model of task {found!r}, not {task.name!r}; "
            f"use seqmamba {found} with it, or fit a model of this task."
        )
    return tasks.load(path)


def _must_exist(path: str | None, origin: str) -> None:
    if path is None or path == "-" or WILD & set(path):
        return
    if not Path(path).exists():
        raise FileNotFoundError(f"there is no file {path}{origin}.")
