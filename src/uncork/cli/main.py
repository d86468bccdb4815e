"""The program `uncork`: its commands, and how it ends.

Lives here: the group, and every expected error in one line. Doesn't know: what a command does.
"""

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from uncork import __version__
from uncork.cli.console import say
from uncork.cli.explain import explain
from uncork.cli.purge import purge
from uncork.cli.serve import serve
from uncork.cli.static import static
from uncork.cli.status import status
from uncork.cli.whatif import what_if
from uncork.edge.plan import BadConfiguration
from uncork.edge.sockets import CannotListen
from uncork.edge.statedir import StateDirError
from uncork.edge.supervisor import BAD_INPUT
from uncork.edge.systemd import BadActivation
from uncork.edge.worker_processes import WORKER_COMMAND

INTERRUPTED = 130


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.version_option(__version__, prog_name="uncork", message="%(prog)s %(version)s")
@click.pass_context
def commands(context: click.Context) -> int | None:
    """A Django site behind one program: its pages as cheap as static files, and taken back when its data
    changes."""
    if context.invoked_subcommand is not None:
        return None
    click.echo(context.get_help(), err=True)  # click's own way is an error of another kind in each version
    return BAD_INPUT


for command in (serve, static, purge, explain, what_if, status):
    commands.add_command(command)


def main(arguments: Sequence[str] | None = None, worker_command: Sequence[str] = WORKER_COMMAND) -> NoReturn:
    """Run the program and exit: 0, 2 for input that is wrong, or what a command returns."""
    try:
        code = commands.main(arguments, prog_name="uncork", standalone_mode=False, obj=worker_command)
    except click.UsageError as error:
        say(error.format_message())
        if error.ctx is not None:
            say(f"see {error.ctx.command_path} --help")
        code = BAD_INPUT
    except click.ClickException as error:
        say(error.format_message())
        code = BAD_INPUT
    except (BadConfiguration, StateDirError, CannotListen, BadActivation) as error:
        say(str(error))
        code = BAD_INPUT
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    sys.exit(code or 0)
