"""`uncork static`: a file server and nothing else.

Lives here: the command. Doesn't know: how files are served.
"""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from uncork.cli.arguments import GroupedCommand, options_of_static, read_options, with_options
from uncork.cli.planning import plan_directory
from uncork.cli.serve import run_supervisor, survive_early_signals
from uncork.cli.site import Project
from uncork.edge.plan import Plan

EPILOG = """\b
Examples:
  uncork static .                     this directory on http://127.0.0.1:8000/
  uncork static /srv/www --bind :80 --access-log -
"""


@click.command(cls=GroupedCommand, epilog=EPILOG)
@click.argument("directory", metavar="DIR")
@with_options(options_of_static())
@click.option("--config", metavar="FILE", help="The configuration file.  [default: none]")
@click.pass_obj
def static(worker_command: Sequence[str], /, directory: str, config: str | None, **flags: Any) -> int:
    """Serve the files in DIR: no application, no cache."""
    survive_early_signals()
    project = Project(Path.cwd(), None)
    options = read_options(flags, config, project)
    with ExitStack() as stack:
        # Nothing is kept from one run to the next, so that any directory can be served from anywhere.
        state_dir = options.state_dir or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="uncork-"))
        )

        def replan() -> Plan:
            return plan_directory(read_options(flags, config, project), Path(directory), state_dir)

        return run_supervisor(replan, state_dir, worker_command)
