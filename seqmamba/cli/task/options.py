"""Options made from declarations: hyper-parameters and the keywords of estimator methods."""

import typing
from collections.abc import Callable, Container
from typing import Any

import click
from click.core import ParameterSource

from seqmamba.cli.task.signatures import Keyword, keywords
from seqmamba.cli.task.values import Value
from seqmamba.params import Param, params_of

__all__ = ["GroupedCommand", "GroupedOption", "explicit", "keyword_options", "parameter_options"]

FILES = "Input and output"
HEADINGS = (FILES, "Options", "Data", "Model", "Training")


class GroupedOption(click.Option):
    """Option that stands under a heading of the help."""

    def __init__(self, *args: Any, heading: str = "Options", **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.heading = heading


class GroupedCommand(click.Command):
    """Command whose help lists its options under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section per heading."""
        for heading in HEADINGS:
            rows = [
                record
                for option in self.get_params(ctx)
                if isinstance(option, click.Option)
                and getattr(option, "heading", "Options") == heading
                and (record := option.get_help_record(ctx)) is not None
            ]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


def parameter_options(estimator: type[Any]) -> list[click.Parameter]:
    """Return one option per declared hyper-parameter, in kebab case."""
    return [_parameter_option(declared) for declared in params_of(estimator).values()]


def keyword_options(
    method: Callable[..., Any], taken: Container[str] = (), *, skip_data: bool = True
) -> list[click.Parameter]:
    """Return one option per keyword of a method, by default behind its first argument, the data.

    Tables (``futr_df``) become files (``--futr FILE``); keywords in ``taken`` have their option
    already.
    """
    found = keywords(method, skip_data=skip_data)
    return [_keyword_option(k) for name, k in found.items() if name not in taken]


def explicit(ctx: click.Context) -> dict[str, Any]:
    """Return the options that were given, not those that kept their default."""
    given = ParameterSource.COMMANDLINE
    return {k: v for k, v in ctx.params.items() if ctx.get_parameter_source(k) is given}


def _parameter_option(declared: Param) -> GroupedOption:
    heading = declared.group.capitalize()
    help = f"{declared.help}  [{_shown(declared.default)}]"
    return _option(declared.name, declared.annotation, declared.default, help, heading)


def _keyword_option(keyword: Keyword) -> GroupedOption:
    if keyword.file_option is not None:
        names = [f"--{keyword.file_option}", keyword.name]
        return GroupedOption(
            names, type=click.Path(), metavar="FILE", help=keyword.help, heading=FILES
        )
    help = keyword.help if keyword.required else f"{keyword.help}  [{_shown(keyword.default)}]"
    return _option(
        keyword.name, keyword.annotation, keyword.default, help, required=keyword.required
    )


def _option(
    name: str, annotation: Any, default: Any, help: str, heading: str = "Options", **settings: Any
) -> GroupedOption:
    kebab = name.replace("_", "-")
    settings |= {"help": help.strip(), "heading": heading}
    if annotation is bool:
        return GroupedOption([f"--{kebab}/--no-{kebab}", name], default=default, **settings)
    if bool in typing.get_args(annotation):  # "--refit" alone, or "--refit 3"
        settings |= {"is_flag": False, "flag_value": "true"}
    return GroupedOption([f"--{kebab}", name], type=Value(annotation), **settings)


def _shown(default: Any) -> str:
    if isinstance(default, tuple | list):
        return ",".join(str(v) for v in default)
    return "none" if default is None else str(default)
