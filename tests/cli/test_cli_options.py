"""The table of options: it holds together, and what is written from it is current."""

from pathlib import Path

import click
import pytest

from uncork.cli.main import commands
from uncork.cli.options import GROUPS, Options, rows
from uncork.cli.planning import plan_directory
from uncork.cli.reference import reference
from uncork.edge.setup import BufferSetup, CacheSetup, FilesSetup, LogSetup
from uncork.wire.limits import Limits

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_the_docs_is_current() -> None:
    assert (DOCS / "configuration.md").read_text() == reference(), "run python -m uncork.cli.reference"


def test_defaults_are_as_they_are_said_to_be() -> None:
    options = Options()
    for row in rows():
        value = getattr(options, row.attribute)
        if not row.many and value is not None:
            assert row.kind.parse(row.default, Path("/")) == value, row


def test_examples_are_right() -> None:
    for row in rows():
        if row.attribute != "origin_cmd":  # its command must exist
            row.kind.parse(row.kind.example, Path("/"))


def test_names_are_unique() -> None:
    table = list(rows())
    for names in ([row.key for row in table], [row.flag for row in table], [row.variable for row in table]):
        assert len(set(names)) == len(names)
    assert {row.key.partition(".")[0] for row in table} == set(GROUPS)


def test_defaults_of_the_rooms_are_those_of_the_options(tmp_path: Path) -> None:
    template = plan_directory(Options(), tmp_path, tmp_path).template
    assert template.limits == Limits()
    assert template.cache == CacheSetup()
    assert template.buffers == BufferSetup()
    assert template.files == FilesSetup()
    assert template.log == LogSetup()


@pytest.mark.parametrize("command", sorted(commands.commands))
def test_the_help_tells_everything(command: str) -> None:
    found = commands.commands[command]
    help = found.get_help(click.Context(found, info_name=command, max_content_width=100, terminal_width=100))
    for parameter in found.params:
        if isinstance(parameter, click.Option):
            assert parameter.opts[0] in help
            assert parameter.help
    if command in ("serve", "static", "purge"):
        assert "Examples:" in help
