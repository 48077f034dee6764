"""``seqmamba sweep TASK DATA``."""

from typing import Any

import click
import optuna

from seqmamba.cli.answer import show
from seqmamba.cli.task.fit import configured
from seqmamba.cli.task.inputs import check_files, data_argument
from seqmamba.cli.task.options import (
    FILES,
    GroupedCommand,
    GroupedOption,
    explicit,
    keyword_options,
    parameter_options,
)
from seqmamba.cli.task.recipe import Recipe, read_recipe
from seqmamba.cli.task.signatures import keywords
from seqmamba.cli.terminal import finishing, note
from seqmamba.params import params_of
from seqmamba.sweeps import sweep
from seqmamba.sweeps.space import resolve_space
from seqmamba.tasks.task import Task

__all__ = ["TrialLine", "sweep_command"]

FILE_OPTIONS = {
    "--storage": ("PLACE", "study.db, journal:PATH, postgresql://… or redis://…  [in memory]"),
    "--space": ("FILE", "ranges (YAML)  [those of the task]"),
    "--test": ("FILE", "test part, read once, for the winner"),
    "--config": ("FILE", "recipe (YAML); its parameters are fixed"),
}


class TrialLine:
    """One line on standard error for each trial that ends."""

    def __call__(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        """Say how a trial ended, and which is the best."""
        value = f" {trial.value:.5g}" if trial.value is not None else ""
        complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        best = f"; best {study.best_value:.5g}, trial {study.best_trial.number}" if complete else ""
        error = trial.user_attrs.get("error", "")
        note(f"trial {trial.number} {trial.state.name.lower()}{value}{best} {error}".rstrip())


def sweep_command(task: Task) -> click.Command:
    """Return ``seqmamba sweep TASK DATA``."""
    estimator = task.estimator_class()
    taken = {*params_of(estimator), "checkpoint", "resume", "y"}

    @click.pass_context
    def run(ctx: click.Context, /, data: str, **_: Any) -> None:
        _sweep(task, estimator, data, explicit(ctx), ctx.obj)

    return GroupedCommand(
        task.name,
        params=[
            data_argument(),
            *_own_options(),
            *keyword_options(estimator.fit, taken=taken),
            *parameter_options(estimator),
        ],
        callback=run,
        help=f"Search the parameters of {task.name} on DATA. A parameter that is given is fixed.",
    )


def _own_options() -> list[click.Parameter]:
    out = GroupedOption(
        ["--out", "-o"],
        metavar="DIR",
        heading=FILES,
        help="folder for trials.csv, best.yaml, model.safetensors and study.html",
    )
    files = [
        GroupedOption([name], metavar=metavar, help=text, heading=FILES)
        for name, (metavar, text) in FILE_OPTIONS.items()
    ]
    count = click.IntRange(min=1)
    return [
        out,
        *files,
        GroupedOption(["--json"], is_flag=True, heading=FILES, help="trials as JSON"),
        GroupedOption(["--trials"], type=count, help="trials of the whole study  [20]"),
        GroupedOption(
            ["--timeout"], type=float, metavar="SECONDS", help="start no trial after this time"
        ),
        GroupedOption(["--jobs"], type=count, help="processes to start here  [1]"),
        GroupedOption(["--metric"], help="metric of the task, measured on --eval"),
        GroupedOption(
            ["--resume"], is_flag=True, help="add trials to a study, whatever its settings"
        ),
    ]


def _sweep(
    task: Task, estimator: type[Any], data: str, given: dict[str, Any], session: Any
) -> None:
    declared = params_of(estimator)
    recipe = Recipe()
    if "config" in given:
        recipe = read_recipe(given["config"], task.name, estimator, keywords(estimator.fit))
    params = {**recipe.params, **{k: v for k, v in given.items() if k in declared}}
    quiet = {"verbose": max(session.verbosity - 1, 0), "random_state": 0}
    model = configured(estimator, {**quiet, **params}, session)
    space = resolve_space(given.get("space", "auto"), model, task.name).without(params)
    inputs = {k: v for k, v in given.items() if k in keywords(estimator.fit) and k not in params}
    check_files(estimator.fit, data, inputs)
    check_files(estimator.fit, given.get("test"), {})
    eval_set = inputs.pop("eval_set", None)
    passed = ("trials", "timeout", "storage", "resume", "metric", "test", "out", "jobs")
    inputs.pop("resume", None)
    with finishing():
        result = sweep(
            model,
            data,
            space,
            eval_set=eval_set,
            tables=inputs,
            callbacks=(TrialLine(),) if session.verbosity else (),
            **{name: given[name] for name in passed if name in given},
        )
    if result.test_scores_ is not None and session.verbosity:
        note(f"test: {dict(result.test_scores_.select('metric', 'value').iter_rows())}")
    if "out" in given:
        note(f"trials.csv, best.yaml, model.safetensors and study.html are in {given['out']}")
    show(result.trials_, command=f"sweep {task.name}", as_json="json" in given)
