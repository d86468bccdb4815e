"""`uncork purge`: take pages back, from any process on the machine.

Lives here: the command. Doesn't know: how a purge works; no supervisor needs to run.
"""

import os
from pathlib import Path

import click

from uncork.cli.arguments import find_config, options_named, with_options
from uncork.cli.console import say
from uncork.cli.planning import state_directory
from uncork.cli.reading import read, read_what_can_be
from uncork.cli.site import STATE_DIR_VARIABLE, find_project
from uncork.edge.plan import BadConfiguration
from uncork.edge.statedir import CONTROL_NAME
from uncork.pages.tags import BadPurge, parse_purge_prefix, parse_purge_url
from uncork.purging.table import FILE_NAME, ClockTable

EPILOG = """\b
Examples:
  uncork purge --url https://example.org/news/        that page, whatever its query
  uncork purge --prefix https://example.org/news/     it and all below it
  uncork purge --tag article-7 --tag authors          what has one of these tags
  uncork purge --all --soft                           everything may be served stale while it is renewed
"""


@click.command(epilog=EPILOG)
@click.option("--url", "urls", multiple=True, metavar="URL", help="A page, by its whole URL. Repeatable.")
@click.option("--prefix", "prefixes", multiple=True, metavar="URL", help="A path and all below. Repeatable.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="What the origin tagged so. Repeatable.")
@click.option("--all", "everything", is_flag=True, help="Every page.")
@click.option("--soft", is_flag=True, help="They may be served stale while they are renewed.")
@with_options(options_named("state_dir"))
@click.option(
    "--config", metavar="FILE", help="The configuration file.  [default: uncork.toml beside manage.py]"
)
def purge(
    urls: tuple[str, ...],
    prefixes: tuple[str, ...],
    tags: tuple[str, ...],
    everything: bool,
    soft: bool,
    state_dir: str | None,
    config: str | None,
) -> int:
    """Purge stored pages: no worker on this machine serves them again."""
    if not (urls or prefixes or tags or everything):
        raise BadConfiguration("say what to purge: --url, --prefix, --tag or --all")
    # What can't be read stops it before anything is purged.
    for name in (*urls, *prefixes):
        refuse_pattern(name)
    try:
        found = [tag for url in urls for tag in parse_purge_url(os.fsencode(url))]
        found += [parse_purge_prefix(os.fsencode(prefix)) for prefix in prefixes]
    except BadPurge as problem:
        raise BadConfiguration(str(problem)) from None
    found += [os.fsencode(tag) for tag in tags]
    table = open_clock(find_state_dir(state_dir, config))
    try:
        if everything:
            table.purge_all(soft=soft)
        if found:
            table.purge(found, soft=soft)
    finally:
        table.close(clean=False)
    how = "purged softly" if soft else "purged"
    for kind, names in (("url", urls), ("prefix", prefixes), ("tag", tags)):
        for name in names:
            click.echo(f"{how}: {kind} {name}")
    if everything:
        click.echo(f"{how}: everything")
    return 0


def refuse_pattern(url: str) -> None:
    """A `*` at the end is meant for everything below, as with PURGE over HTTP, and would be a part of the
    path here: such a purge succeeds and hits nothing."""
    path = url.partition("?")[0]
    if path.endswith("*"):
        raise BadConfiguration(
            f"{url}: a * is a character like any other here;"
            f" for everything below, say --prefix {path.rstrip('*')}"
        )


def find_state_dir(given: str | None, config: str | None) -> Path:
    """The state directory of a site that was served from here. Raises BadConfiguration when there is none.

    What is wrong elsewhere in the configuration is a warning: a page may have to be purged just then.
    """
    project = find_project(Path.cwd())
    flags = {"state_dir": given}
    options, problems = read_what_can_be(flags, os.environ, find_config(config, project), Path.cwd())
    path = state_directory(options, project)
    if problems:
        # Who names the directory here and now must get that one, or none.
        named = {name: os.environ[name] for name in (STATE_DIR_VARIABLE,) if name in os.environ}
        read(flags, named, None, Path.cwd())
        if not any((path / name).exists() for name in (FILE_NAME, CONTROL_NAME)):
            raise BadConfiguration("\n".join(problems))
        for problem in problems:
            say(f"warning: {problem}")
        say(f"warning: going on with the state directory {path}")
    if not path.is_dir():
        raise BadConfiguration(f"there is no state directory {path}: say --state-dir, or UNCORK_STATE_DIR")
    return path


def open_clock(path: Path) -> ClockTable:
    try:
        return ClockTable(path)
    except OSError as error:
        raise BadConfiguration(f"can't open the purge clock in {path}: {error.strerror}") from None
