"""A command group that imports a command only when it is run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from seqmamba.params import nearest

__all__ = ["Entry", "LazyGroup"]


@dataclass(frozen=True)
class Entry:
    """A command to be: one line of help (or a function that finds it), and its maker."""

    summary: str | Callable[[], str]
    load: Callable[[], click.Command]


class LazyGroup(click.Group):
    """Group whose help shows the summaries of entries without loading any of them."""

    def __init__(self, name: str | None, entries: Mapping[str, Entry], **settings: Any) -> None:
        super().__init__(name, **settings)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of their declaration."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command."""
        entry = self.entries.get(cmd_name)
        return None if entry is None else entry.load()

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of the first word; an unknown word gets the nearest name."""
        word = args[0]
        if word not in self.entries and not word.startswith("-"):
            hint = nearest(word, self.entries)
            known = ", ".join(self.entries)
            raise click.UsageError(f"no command {word!r}; known: {known}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the summaries."""
        rows = []
        for name, entry in self.entries.items():
            text = entry.summary if isinstance(entry.summary, str) else entry.summary()
            rows.append((name, text))
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)
