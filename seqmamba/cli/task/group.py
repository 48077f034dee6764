"""The command group of a task: inspect, fit, predict, evaluate, its own verbs, demo."""

from functools import partial

import click

from seqmamba.cli.lazy import Entry, LazyGroup
from seqmamba.cli.task.signatures import summary
from seqmamba.tasks.task import Task

__all__ = ["task_group"]

SHARED = {
    "inspect": "read and check data, print what was understood",
    "fit": "learn from data",
    "predict": "answer with a fitted model",
    "evaluate": "score a fitted model beside its baselines",
}
DEMO = "train on simulated data and score beside the baseline"


def task_group(task: Task) -> LazyGroup:
    """Return the group of one task; the estimator is imported when a command runs."""
    entries = {verb: Entry(text, partial(_load, task, verb)) for verb, text in SHARED.items()}
    for verb, method in task.verbs.items():
        entries[verb] = Entry(partial(_summary, task, method), partial(_load, task, verb))
    entries["demo"] = Entry(DEMO, partial(_load, task, "demo"))
    return LazyGroup(task.name, entries, help=f"{task.summary}.", no_args_is_help=True)


def _load(task: Task, verb: str) -> click.Command:
    from seqmamba.cli.task import apply, fit  # with the estimator: torch

    if verb == "fit":
        return fit.fit_command(task)
    if verb == "demo":
        return fit.demo_command(task)
    if verb == "inspect":
        return apply.inspect_command(task)
    return apply.method_command(task, verb, task.verbs.get(verb, verb))


def _summary(task: Task, method: str) -> str:
    return summary(getattr(task.estimator_class(), method))
