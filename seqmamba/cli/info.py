"""``seqmamba info [MODEL]``."""

import json

import click

from seqmamba.cli.terminal import printable
from seqmamba.environment import info

__all__ = ["command"]


def command() -> click.Command:
    """Return the command."""
    return facts_of


@click.command("info")
@click.argument("model", required=False, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="facts as JSON")
def facts_of(model: str | None, as_json: bool) -> None:
    """Print versions, devices and back-ends with the reason why one is missing.

    With MODEL, a model file or the folder of a run, print what its header says.
    """
    facts = info(model)
    if as_json:
        click.echo(json.dumps({"schema": 1, "command": "info", "facts": facts}, default=str))
        return
    for heading, entries in facts.items():
        click.echo(heading)
        width = max((len(name) for name in entries), default=0)
        for name, value in entries.items():
            click.echo(f"  {name.ljust(width)}  {printable(str(value))}".rstrip())
