"""Flags of the command line, made from the table of options.

Lives here: click's view of a row, the grouped help, and where the configuration file is.
Doesn't know: what the values mean.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from uncork.cli.options import GROUPS, Options, Row, rows
from uncork.cli.reading import CONFIG_VARIABLE, read
from uncork.cli.site import Project
from uncork.cli.values import BOOLEAN
from uncork.edge.plan import BadConfiguration

F = TypeVar("F", bound=Callable[..., Any])

CONFIG_NAME = "uncork.toml"


class RowOption(click.Option):
    """The flag of one row. Its value stays text: `reading` parses it like that of a file."""

    def __init__(self, row: Row) -> None:
        self.row = row
        declaration = f"{row.flag}/--no-{row.name}" if row.kind is BOOLEAN else row.flag
        default = f"  [default: {row.default}]" if row.default else ""
        repeatable = " Repeatable." if row.many else ""
        kind: dict[str, Any] = {} if row.kind is BOOLEAN else {"metavar": row.kind.metavar, "type": str}
        super().__init__(
            [declaration, row.attribute],
            help=f"{row.help}{repeatable}{default}",
            default=None,
            multiple=row.many,
            **kind,
        )


class GroupedCommand(click.Command):
    """A command whose options stand in the help under the group that they belong to."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title in (*GROUPS.values(), "Other"):
            found = [
                record
                for parameter in self.get_params(ctx)
                if isinstance(parameter, click.Option)
                and (parameter.row.group if isinstance(parameter, RowOption) else "Other") == title
                and (record := parameter.get_help_record(ctx)) is not None
            ]
            if found:
                with formatter.section(title):
                    formatter.write_dl(found)


def with_options(chosen: Iterable[Row]) -> Callable[[F], F]:
    """Give a command the flags of these rows, in their order."""

    def decorate(function: F) -> F:
        parameters = getattr(function, "__click_params__", [])
        function.__click_params__ = [*parameters, *reversed([RowOption(row) for row in chosen])]  # type: ignore[attr-defined]
        return function

    return decorate


def options_of_serve() -> list[Row]:
    """`origin.app` is an argument there."""
    return [row for row in rows() if row.attribute != "app"]


def options_of_static() -> list[Row]:
    return [row for row in rows() if row.everywhere]


def options_named(*attributes: str) -> list[Row]:
    return [row for row in rows() if row.attribute in attributes]


def find_config(given: str | None, project: Project) -> Path | None:
    """The configuration file: as given, by UNCORK_CONFIG, or uncork.toml beside manage.py."""
    named = given or os.environ.get(CONFIG_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise BadConfiguration(f"there is no file {named}")
        return Path(named)
    place = project.directory / CONFIG_NAME
    return place if place.is_file() else None


def read_options(flags: dict[str, Any], config: str | None, project: Project) -> Options:
    """The options from everywhere. Raises BadConfiguration."""
    return read(flags, os.environ, find_config(config, project), Path.cwd())
