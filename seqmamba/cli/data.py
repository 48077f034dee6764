"""``seqmamba data list|show|fetch|check``: what is known of public data sets."""

from pathlib import Path

import click
import polars as pl
from tqdm import tqdm

from seqmamba.cli.answer import show
from seqmamba.cli.terminal import note
from seqmamba.datasets import cards, downloads

__all__ = ["command"]


def command() -> click.Command:
    """Return the command group."""
    return group


@click.group("data", no_args_is_help=True)
def group() -> None:
    """List, show, fetch and check public data sets."""


@group.command("list")
@click.option("--task", help="only those of one task")
@click.option("--json", "as_json", is_flag=True, help="rows as JSON")
def list_cards(task: str | None, as_json: bool) -> None:
    """List the data cards."""
    found = [cards.card(name) for name in cards.card_names(task)]
    columns = ("name", "task", "licence", "title")
    rows = [{name: getattr(card, name) for name in columns} for card in found]
    show(
        pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String)),
        command="data list",
        as_json=as_json,
    )


@group.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="card as JSON")
def show_card(name: str, as_json: bool) -> None:
    """Print the card NAME: source, licence, files, columns, borders."""
    card = cards.card(name)
    files = [f"{file.path} ({_size(file.bytes)}, sha256 {file.sha256})" for file in card.files]
    facts = {**vars(card), "files": files}
    show({k: v for k, v in facts.items() if v}, command="data show", as_json=as_json)


@group.command("fetch")
@click.argument("name")
@click.argument("folder", required=False, type=click.Path())
def fetch_files(name: str, folder: str | None) -> None:
    """Download the files of the data set NAME into FOLDER and compare their checksums.

    Without FOLDER they go to the data cache. Files that are there already are only checked.
    """
    card = cards.card(name)
    note(f"{card.title}; licence: {card.licence}")
    with tqdm(unit="B", unit_scale=True, leave=False, disable=None) as bar:

        def show_progress(path: str, done: int, total: int) -> None:
            bar.set_description(path, refresh=False)
            bar.total = total
            bar.update(done - bar.n)

        found = downloads.fetch(
            card, None if folder is None else Path(folder), progress=show_progress
        )
    for path in found:
        click.echo(path)


@group.command("check")
@click.argument("name")
@click.argument("folder", required=False, type=click.Path())
def check_files(name: str, folder: str | None) -> None:
    """Compare the files of the data set NAME in FOLDER with its card.

    Without FOLDER they are looked for in the data cache.
    """
    card = cards.card(name)
    for path in cards.check(card, None if folder is None else Path(folder)):
        click.echo(path)
    unknown = [file.path for file in card.files if file.sha256 is None]
    if unknown:
        note(f"the card knows no checksum of {', '.join(unknown)}: only the name was checked")


def _size(count: int | None) -> str:
    return "size unknown" if count is None else f"{count} bytes"
