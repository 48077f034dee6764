"""The registry of tasks: one line each, and the tasks of other packages by entry points."""

from collections.abc import Iterator, Mapping
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from seqmamba.errors import ConfigError, ModelFileError
from seqmamba.params import nearest
from seqmamba.tasks.task import Task

__all__ = ["TASKS", "Task", "get_task", "load"]

_OURS = {
    "forecast": "seqmamba.tasks.forecast:TASK",
    "chaos": "seqmamba.tasks.chaos:TASK",
    "recommend": "seqmamba.tasks.recommend:TASK",
    "track": "seqmamba.tasks.track:TASK",
    "mil": "seqmamba.tasks.mil:TASK",
    "survival": "seqmamba.tasks.mil:SURVIVAL",
    "ecg": "seqmamba.tasks.ecg:TASK",
}


class _Registry(Mapping[str, Task]):
    """Tasks by name, each imported on first use."""

    def __init__(self) -> None:
        others = {p.name: p.value for p in metadata.entry_points(group="seqmamba.tasks")}
        self._paths = {**_OURS, **{n: others[n] for n in sorted(others) if n not in _OURS}}

    def __getitem__(self, name: str) -> Task:
        module, attribute = self._paths[name].split(":")
        task = getattr(import_module(module), attribute)
        assert isinstance(task, Task)
        return task

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


TASKS: Mapping[str, Task] = _Registry()


def get_task(name: str) -> Task:
    """Return a task by name; raise :class:`ConfigError` with the nearest name."""
    if name not in TASKS:
        raise ConfigError(f"no task {name!r}; known: {', '.join(TASKS)}.{nearest(name, TASKS)}")
    return TASKS[name]


def load(path: str | Path) -> Any:
    """Load a fitted estimator of any task from a model file or the folder that holds one.

    Raises
    ------
    ModelFileError
        The file is damaged, of a newer schema, or of a task that is not installed.
    """
    from seqmamba import storage  # NumPy: not needed to list the tasks

    header = storage.read_header(path)
    name = str(header.get("task"))
    wanted = header.get("config", {}).get("class", "file without a model")
    found = TASKS[name].class_named(wanted) if name in TASKS else None
    if found is None:
        raise ModelFileError(
            f"{path} holds a {wanted} of task {name!r}, which is not installed here; "
            f"tasks: {', '.join(TASKS)}."
        )
    return found.load(path)
