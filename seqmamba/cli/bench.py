"""``seqmamba bench``: kernels, encoder, published settings, and a task's own measurements."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import yaml

from seqmamba import storage
from seqmamba.cli.answer import show
from seqmamba.cli.lazy import Entry, LazyGroup
from seqmamba.cli.task.options import GroupedCommand, GroupedOption, explicit, keyword_options
from seqmamba.cli.task.signatures import summary
from seqmamba.errors import ConfigError
from seqmamba.params import nearest
from seqmamba.tasks import TASKS, get_task

__all__ = ["command"]

LAYERS = {"scan": "seqmamba.kernels.bench", "encoder": "seqmamba.nn.bench"}


def command() -> click.Command:
    """Return the command group, with an entry per task."""
    entries = {
        "scan": Entry("times of the scan kernels", partial(_load_layer, "scan")),
        "encoder": Entry("times and memory of the encoder", partial(_load_layer, "encoder")),
        "recipe": Entry("our score on a published setting", lambda: recipe),
        **{name: Entry(f"measurements of {name}", partial(_load_task, name)) for name in TASKS},
    }
    help = "Measure kernels, encoder, tasks, and published settings."
    return LazyGroup("bench", entries, help=help, no_args_is_help=True)


@click.command("recipe")
@click.argument("name")
@click.option("--data-dir", metavar="DIR", type=click.Path(), help="folder of the data files")
@click.option("--seeds", type=click.IntRange(min=1), default=3, help="runs per setting  [3]")
@click.option("--out", "-o", metavar="FILE", help="scores as a file")
@click.option("--json", "as_json", is_flag=True, help="scores as JSON")
def recipe(name: str, data_dir: str | None, seeds: int, out: str | None, as_json: bool) -> None:
    """Repeat the published setting NAME (forecast/etth1-96, or a file).

    Prints our score beside the paper's and those of the baselines.
    """
    blocks = _read_recipe(name)
    run = _function(_benchmark(blocks["task"]), "run_recipe")
    if run is None:
        raise ConfigError(f"task {blocks['task']!r} has no benchmark of recipes.")
    show(run(blocks, data_dir, seeds), command=f"bench recipe {name}", out=out, as_json=as_json)


def _measure(name: str, function: Callable[..., Any]) -> click.Command:
    """Return the command of a measuring function: its keywords are the options."""
    own = [
        GroupedOption(["--out", "-o"], metavar="FILE", help="figures as a file"),
        GroupedOption(["--json"], is_flag=True, help="figures as JSON"),
    ]

    @click.pass_context
    def measure(ctx: click.Context, /, **_: Any) -> None:
        given = explicit(ctx)
        out, as_json = given.pop("out", None), given.pop("json", False)
        show(function(**given), command=f"bench {name}", out=out, as_json=as_json)

    options = keyword_options(function, skip_data=False)
    return GroupedCommand(
        name, params=[*own, *options], callback=measure, help=f"{summary(function)}."
    )


def _load_layer(name: str) -> click.Command:
    function = _function(LAYERS[name], f"bench_{name}")
    if function is None:
        raise ConfigError(f"this installation has no measurement {name!r}.")
    return _measure(name, function)


def _load_task(name: str) -> click.Command:
    function = _function(_benchmark(name), "bench")
    if function is None:
        raise ConfigError(f"task {name!r} measures nothing of its own; see seqmamba bench recipe.")
    return _measure(name, function)


def _benchmark(task: str) -> str:
    """Return the module that measures a task, beside its description."""
    package = get_task(task).estimator.partition(":")[0].rpartition(".")[0]
    return f"{package}.benchmark"


def _function(module: str, name: str) -> Callable[..., Any] | None:
    if find_spec(module) is None:
        return None
    found: Callable[..., Any] | None = getattr(import_module(module), name, None)
    return found


def _read_recipe(name: str) -> dict[str, Any]:
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = storage.share("tasks", f"{name}.yaml")
        if not path.is_file():
            folder = storage.share("tasks", "")
            known = sorted(str(p.relative_to(folder))[:-5] for p in folder.glob("*/*.yaml"))
            hint = nearest(name, known) or f" Known: {', '.join(known)}."
            raise ConfigError(f"no recipe {name!r}.{hint}")
    blocks = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(blocks, dict) or "task" not in blocks:
        raise ConfigError(f"{path} is no recipe: it names no task.")
    return {"name": path.stem, **blocks}
