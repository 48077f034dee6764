"""``seqmamba sweep TASK DATA`` and ``seqmamba sweep recover DIR``."""

from functools import partial

import click

from seqmamba.cli.lazy import Entry, LazyGroup
from seqmamba.cli.terminal import note
from seqmamba.tasks import TASKS

__all__ = ["command"]


def command() -> click.Command:
    """Return the command group, with an entry per task."""
    entries = {
        **{name: Entry(f"search the parameters of {name}", partial(_load, name)) for name in TASKS},
        "recover": Entry("rebuild a study from the results of its trials", lambda: recover),
    }
    help = "Search the parameters of a task. Start the same command again to help or to go on."
    return LazyGroup("sweep", entries, help=help, no_args_is_help=True)


@click.command("recover")
@click.argument("folder", metavar="DIR", type=click.Path())
@click.option("--storage", required=True, metavar="PLACE", help="new storage, as for a sweep")
def recover(folder: str, storage: str) -> None:
    """Rebuild a study from the results that its trials left in DIR."""
    from seqmamba.sweeps import recover  # loads optuna and torch

    study = recover(folder, storage)
    note(f"{len(study.get_trials(deepcopy=False))} trials of study {study.study_name!r} restored")


def _load(name: str) -> click.Command:
    from seqmamba.cli.task.search import sweep_command  # loads optuna and torch

    return sweep_command(TASKS[name])
