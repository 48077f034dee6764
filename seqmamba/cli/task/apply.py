"""``predict``, ``evaluate``, ``inspect`` and a task's own verbs: one estimator method each."""

from pathlib import Path
from typing import Any

import click
from sklearn.exceptions import NotFittedError

from seqmamba.base import BaseEstimator
from seqmamba.cli.answer import give, show
from seqmamba.cli.task.fit import configured
from seqmamba.cli.task.inputs import check_files, data_argument, load_model
from seqmamba.cli.task.options import (
    FILES,
    GroupedCommand,
    GroupedOption,
    explicit,
    keyword_options,
    parameter_options,
)
from seqmamba.cli.task.signatures import data_is_optional, keywords, summary, takes_data
from seqmamba.params import params_of
from seqmamba.reports import save_figure
from seqmamba.tasks.task import Task

__all__ = ["inspect_command", "method_command"]

FOR_READING = ("evaluate", "inspect")  # aligned columns; other answers are CSV, for pipes


def method_command(task: Task, verb: str, method: str) -> click.Command:
    """Return ``seqmamba TASK VERB [DATA] --model DIR`` for one method of the estimator.

    A task's own verbs also take the options of ``fit`` and no model: some train by themselves. A
    method with an argument ``model`` gets what stands behind the option as it is.
    """
    estimator = task.estimator_class()
    function = getattr(estimator, method)
    needs_model = verb not in task.verbs
    declared = params_of(estimator)
    of_method = keywords(function)
    fields = [] if needs_model else parameter_options(estimator)

    @click.pass_context
    def apply(ctx: click.Context, /, **_: Any) -> None:
        given = explicit(ctx)
        if "beside" in given:
            given.setdefault("y", given["beside"])
        data, inputs = given.get("data"), {k: v for k, v in given.items() if k in of_method}
        check_files(function, data, inputs)
        params = {k: v for k, v in given.items() if k in declared}
        if given.get("model") is not None and "model" not in of_method:
            model = load_model(given["model"], task)
            _refuse(set(params) - set(of_method))
        else:
            model = configured(estimator, params, ctx.obj)
            inputs = {k: v for k, v in inputs.items() if k not in params}
        answer = _call(model, method, data, inputs)
        _deliver(answer, f"{task.name} {verb}", given.get("out"), "json" in given)

    taken = {} if needs_model else declared
    arguments: list[click.Parameter] = []
    if takes_data(function):
        arguments.append(data_argument(required=not data_is_optional(function)))
    if "y" in of_method:  # what belongs to the data may stand beside it
        arguments.append(click.Argument(["beside"], required=False, type=click.Path()))
    return GroupedCommand(
        verb,
        params=[
            *arguments,
            *_own_options(needs_model),
            *keyword_options(function, taken={"model", *taken}),
            *fields,
        ],
        callback=apply,
        help=f"{summary(function)}.",
    )


def inspect_command(task: Task) -> click.Command:
    """Return ``seqmamba TASK inspect DATA``."""
    estimator = task.estimator_class()
    declared, of_method = params_of(estimator), keywords(estimator.inspect)

    @click.pass_context
    def inspect(ctx: click.Context, /, data: str, **_: Any) -> None:
        given = explicit(ctx)
        inputs = {k: v for k, v in given.items() if k in of_method and k not in declared}
        check_files(estimator.inspect, data, inputs)
        model = configured(estimator, {k: v for k, v in given.items() if k in declared}, ctx.obj)
        answer = model.inspect(data, **inputs)
        show(answer, command=f"{task.name} inspect", out=given.get("out"), as_json="json" in given)

    own = [
        GroupedOption(["--out", "-o"], metavar="FILE", help="answer as a file", heading=FILES),
        GroupedOption(["--json"], is_flag=True, help="answer as JSON", heading=FILES),
    ]
    fields = [p for p in parameter_options(estimator) if getattr(p, "heading", "") != "Training"]
    return GroupedCommand(
        "inspect",
        params=[
            data_argument(),
            *own,
            *keyword_options(estimator.inspect, taken=declared),
            *fields,
        ],
        callback=inspect,
        help="Read and check DATA, print what was understood, and fit nothing.",
    )


def _own_options(needs_model: bool) -> list[click.Parameter]:
    return [
        GroupedOption(
            ["--model"],
            metavar="DIR",
            required=needs_model,
            heading=FILES,
            help="model file, or the folder of a run",
        ),
        GroupedOption(
            ["--out", "-o"],
            metavar="FILE",
            heading=FILES,
            help="answer; the suffix names the format  [standard output]",
        ),
        GroupedOption(["--json"], is_flag=True, help="answer as JSON", heading=FILES),
    ]


def _call(model: Any, method: str, data: str | None, inputs: dict[str, Any]) -> Any:
    try:
        return getattr(model, method)(*([] if data is None else [data]), **inputs)
    except NotFittedError as error:
        raise click.UsageError("this needs a fitted model: pass --model DIR") from error


def _refuse(names: set[str]) -> None:
    if names:
        listed = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(names))
        raise click.UsageError(f"{listed}: fixed in the model; leave it out, or fit anew")


def _deliver(answer: Any, command: str, out: str | None, as_json: bool) -> None:
    if hasattr(answer, "save"):  # a model, a movie, files of another format
        if out is None:
            what = "changes the model" if isinstance(answer, BaseEstimator) else "writes files"
            raise click.UsageError(f"{command} {what}: name a file with --out")
        answer = answer.save(out)
    if isinstance(answer, Path | str):
        click.echo(str(answer))
        return
    if hasattr(answer, "savefig"):
        if out is None:
            raise click.UsageError(f"{command} draws a figure: name a file with --out")
        save_figure(answer, out)
        return
    write = show if command.split()[-1] in FOR_READING else give
    write(answer, command=command, out=out, as_json=as_json)
