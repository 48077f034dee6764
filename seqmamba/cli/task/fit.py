"""``fit`` and ``demo``: commands that train."""

import secrets
from collections.abc import Container
from typing import Any

import click

from seqmamba.cli.answer import show
from seqmamba.cli.ending import signal_code
from seqmamba.cli.task.inputs import check_files, data_argument
from seqmamba.cli.task.options import (
    FILES,
    GroupedCommand,
    GroupedOption,
    explicit,
    keyword_options,
    parameter_options,
)
from seqmamba.cli.task.recipe import Recipe, read_recipe, recipe_text
from seqmamba.cli.task.run_folder import open_folder, run_metrics, write_run
from seqmamba.cli.task.signatures import keywords
from seqmamba.cli.terminal import Session, finishing, note
from seqmamba.errors import ConfigError
from seqmamba.params import params_of
from seqmamba.tasks.task import Task

__all__ = ["configured", "demo_command", "fit_command"]


def fit_command(task: Task) -> click.Command:
    """Return ``seqmamba TASK fit DATA``."""
    estimator = task.estimator_class()
    declared = params_of(estimator)

    @click.pass_context
    def fit(ctx: click.Context, /, **_: Any) -> None:
        given = explicit(ctx)
        named = given.pop("config", None)
        of_fit = [name for name in keywords(estimator.fit) if name not in declared]
        recipe = Recipe() if named is None else read_recipe(named, task.name, estimator, of_fit)
        model = configured(estimator, {**recipe.params, **_parameters(given, declared)}, ctx.obj)
        inputs = {**recipe.data, **{k: v for k, v in given.items() if k in of_fit}}
        data = given.get("data", inputs.pop("path", None))
        if data is None:
            raise click.UsageError("name the data: a file, a pattern, or - for standard input")
        inputs.pop("path", None)
        check_files(estimator.fit, data, inputs)
        if given.get("dry_run"):
            show(_sizes(model, data, inputs), command=f"{task.name} fit", as_json="json" in given)
            return
        with open_folder(given.get("out"), force="force" in given) as folder:
            with finishing():
                model.fit(data, **inputs)
            metrics = run_metrics(model)
            if folder is not None:
                params = model.get_params(deep=False)
                del params["verbose"]  # of the terminal, not of the run
                text = recipe_text(task.name, estimator, params, {"path": data, **inputs})
                write_run(folder, model, metrics, text)
                note(f"model, history, metrics and recipe are in {folder}")
            else:
                note("the model was not kept; pass --out DIR to keep it")
        as_json = "json" in given
        show(metrics if as_json else _flat(metrics), command=f"{task.name} fit", as_json=as_json)
        if model.history_.signal is not None:
            ctx.exit(signal_code(model.history_.signal))

    return GroupedCommand(
        "fit",
        params=[
            data_argument(required=False),
            *_own_options(declared),
            *keyword_options(estimator.fit, taken=declared),
            *parameter_options(estimator),
        ],
        callback=fit,
        help="Learn from DATA: a file, a pattern of files, or - for CSV on standard input.",
    )


def demo_command(task: Task) -> click.Command:
    """Return ``seqmamba TASK demo``: simulated data, a short training, a score."""
    estimator = task.estimator_class()

    @click.pass_context
    def demo(ctx: click.Context, /, random_state: int, as_json: bool, **_: Any) -> None:
        train, test = task.demo_data(random_state)
        params = {**task.demo_params, "random_state": random_state}
        params |= _parameters(explicit(ctx), params_of(estimator))
        model = configured(estimator, params, ctx.obj)
        model.fit(*train) if isinstance(train, tuple) else model.fit(train)
        scores = model.evaluate(*test) if isinstance(test, tuple) else model.evaluate(test)
        note(f"{model.n_parameters_} parameters, trained in {model.fit_seconds_:.1f} s")
        show(scores, command=f"{task.name} demo", as_json=as_json)

    own = [GroupedOption(["--json", "as_json"], is_flag=True, help="scores as JSON")]
    fields = [p for p in parameter_options(estimator) if p.name != "random_state"]
    seed = GroupedOption(["--random-state"], type=int, default=0, help="seed  [0]")
    return GroupedCommand(
        "demo",
        params=[*own, seed, *fields],
        callback=demo,
        help="Train on simulated data and print the score beside the baseline.",
    )


def configured(estimator: type[Any], params: dict[str, Any], session: Session) -> Any:
    """Build an estimator that shows progress as the session wants, with a seed to write down."""
    params = {"verbose": session.verbosity, **params}
    if params.get("random_state") is None:
        params["random_state"] = secrets.randbelow(2**31)
    return estimator(**params)


def _own_options(declared: Container[str]) -> list[click.Parameter]:
    own: list[click.Parameter] = [
        GroupedOption(["--out", "-o"], metavar="DIR", help="folder for the run", heading=FILES),
        GroupedOption(["--config"], metavar="FILE", help="recipe (YAML)", heading=FILES),
        GroupedOption(["--force"], is_flag=True, help="overwrite a run in --out", heading=FILES),
        GroupedOption(["--json"], is_flag=True, help="figures as JSON", heading=FILES),
        GroupedOption(["--dry-run"], is_flag=True, help="read, check and build, but do not train"),
    ]
    if "anchor" in declared:
        text = "fit this cheap baseline alone, without a network on it"
        own.append(GroupedOption(["--baseline"], metavar="NAME", help=text, heading="Model"))
    return own


def _parameters(given: dict[str, Any], declared: Any) -> dict[str, Any]:
    params = {name: value for name, value in given.items() if name in declared}
    if given.get("baseline") is not None:
        if "anchor" in params:
            raise ConfigError("pass --baseline or --anchor, not both.")
        params |= {"anchor": given["baseline"], "max_epochs": 0}
    return params


def _sizes(model: Any, data: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Read, check and build, and return the sizes."""
    sizes = {"max_epochs": 0} | ({"anchor": None} if hasattr(model, "anchor") else {})
    model.set_params(**sizes).fit(data, **inputs)
    info = model.info_.to_json()
    facts = {name: value for name, value in info.items() if value not in ((), {}, [])}
    return {**facts, "parameters": model.n_parameters_, "device": model.device_}


def _flat(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return the figures worth a line."""
    return {k: v for k, v in metrics.items() if v not in (None, {}, 0) or k == "best_epoch"}
