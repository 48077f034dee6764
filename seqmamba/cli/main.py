"""The command ``seqmamba``: what stands before the command, and how every run ends."""

import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from types import FrameType
from typing import NoReturn

import click

from seqmamba import __version__
from seqmamba.cli.ending import Terminated, end
from seqmamba.cli.lazy import Entry, LazyGroup
from seqmamba.cli.terminal import Session, listening
from seqmamba.tasks import TASKS

__all__ = ["main", "root", "run"]

COMMANDS = {
    "sweep": "search the parameters of a task",
    "bench": "measure kernels, encoder and published settings",
    "data": "list, show and check public data sets",
    "info": "versions, devices and back-ends, or a model's header",
}


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    sys.exit(run())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code (architecture specification, section 15)."""
    session = Session()
    former = signal.signal(signal.SIGTERM, _terminate)
    try:
        with listening(session):
            code = root().main(
                args=arguments, prog_name="seqmamba", standalone_mode=False, obj=session
            )
            sys.stdout.flush()
    except BaseException as error:  # polars' panic and Ctrl-C are no Exceptions
        return end(error, debug=session.debug)
    finally:
        signal.signal(signal.SIGTERM, former)
    return code if isinstance(code, int) else 0


def root() -> LazyGroup:
    """Return the root command; tasks and commands load when they are run."""
    entries = {name: Entry(_summary(name), partial(_load_task, name)) for name in TASKS}
    for name, summary in COMMANDS.items():
        entries[name] = Entry(summary, partial(_load_command, name))
    return LazyGroup(
        "seqmamba",
        entries,
        help="Mamba encoders for sequences: fit, predict and evaluate from the shell.",
        params=[
            _flag("--version", "print the version", callback=_print_version, is_eager=True),
            _flag("--debug", "print tracebacks"),
            _flag("-v", "say more", name="--verbose"),
            _flag("-q", "no progress, no notes", name="--quiet"),
        ],
        callback=_begin,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        no_args_is_help=True,
    )


def _flag(
    short: str,
    help: str,
    *,
    name: str | None = None,
    callback: Callable[..., None] | None = None,
    is_eager: bool = False,
) -> click.Option:
    return click.Option(
        [short] if name is None else [short, name],
        is_flag=True,
        help=help,
        callback=callback,
        is_eager=is_eager,
        expose_value=callback is None,
    )


@click.pass_context
def _begin(ctx: click.Context, debug: bool, verbose: bool, quiet: bool) -> None:
    if verbose and quiet:
        raise click.UsageError("pass --verbose or --quiet, not both")
    session = ctx.ensure_object(Session)
    session.debug = debug
    session.set_verbosity(2 if verbose else 0 if quiet else 1)


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"seqmamba {__version__}")
        ctx.exit()


def _summary(name: str) -> str:
    try:
        return TASKS[name].summary
    except Exception as error:  # one broken extension must not take the others along
        return f"(cannot be used: {type(error).__name__}: {error})"


def _load_task(name: str) -> click.Command:
    from seqmamba.cli.task.group import task_group  # loads only with a task

    return task_group(TASKS[name])


def _load_command(name: str) -> click.Command:
    made: click.Command = import_module(f"seqmamba.cli.{name}").command()
    return made


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated
