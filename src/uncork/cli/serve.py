"""`uncork serve`: a Django site behind one command.

Lives here: the command, and what is done before the supervisor runs. Doesn't know: how anything is served.
"""

import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from uncork.cli.arguments import GroupedCommand, options_of_serve, read_options, with_options
from uncork.cli.console import say
from uncork.cli.planning import plan_site, state_directory
from uncork.cli.site import find_project
from uncork.edge.control import ask_supervisor
from uncork.edge.plan import BadConfiguration, Plan
from uncork.edge.sockets import ListeningSockets
from uncork.edge.statedir import StateDir, StateDirError, look
from uncork.edge.supervisor import Supervisor
from uncork.edge.systemd import inherited_sockets
from uncork.net.loop import run
from uncork.purging.pending import is_pending, settle
from uncork.purging.table import ClockTable, Opening

EPILOG = """\b
Examples:
  uncork serve                                   the project of ./manage.py, on 127.0.0.1:8000
  uncork serve mysite.wsgi:application --bind :80 --access-log /var/log/mysite.log
  uncork serve --origin http://127.0.0.1:9000    in front of a server that runs already
  uncork serve --origin-cmd 'uvicorn mysite.asgi:application --uds {socket}'
  uncork serve --check                           say what is wrong, and serve nothing

\b
Every option may stand in uncork.toml beside manage.py (docs/configuration.md names the
tables) and in the environment (--store-bytes is UNCORK_STORE_BYTES; several values with
commas between). Flags win, then the environment, then the file. Sizes are 65536, 64KiB
or 10MB; times are 30, 30s, 500ms, 5min, 1h or 1d.

\b
Signals:
  HUP    read the configuration and start the application anew; no request is lost
  USR1   open the logs anew
  TERM   finish open requests and stop; a second time: stop at once
"""


@click.command(cls=GroupedCommand, epilog=EPILOG)
@click.argument("app", required=False, metavar="[APP]")
@with_options(options_of_serve())
@click.option(
    "--config", metavar="FILE", help="The configuration file.  [default: uncork.toml beside manage.py]"
)
@click.option("--check", is_flag=True, help="Check the configuration and everything it names, and stop.")
@click.pass_obj
def serve(worker_command: Sequence[str], /, config: str | None, check: bool, **flags: Any) -> int:
    """Serve a Django site: static files, cached pages, and the rest from its application.

    APP is the application, as mysite.wsgi or mysite.asgi:application. Left out, it is found by the manage.py
    in this directory or the one above. It is started by gunicorn.
    """
    survive_early_signals()
    project = find_project(Path.cwd())

    path = state_directory(read_options(flags, config, project), project)

    def replan(collecting: bool = True) -> Plan:
        options = read_options(flags, config, project)
        if state_directory(options, project) != path:
            raise BadConfiguration(f"the state directory stays {path} until a restart")
        return plan_site(options, project, say, collecting=collecting)

    if check:
        return check_plan(replan(collecting=False), path)
    return run_supervisor(replan, path, worker_command)


def run_supervisor(replan: Callable[[], Plan], path: Path, worker_command: Sequence[str]) -> int:
    """Run a supervisor in the state directory `path`; the exit status."""
    inherited = inherited_sockets()
    state_dir = StateDir.open(path)
    try:
        plan = replan()
        clock = None if plan.template.static_only else open_clock(path)
        if clock is not None:
            drop_recorded(path, clock, records=plan.origin is not None and plan.origin.records)
        try:
            return run(Supervisor(plan, replan, state_dir, say, clock, inherited, worker_command).run())
        finally:
            if clock is not None:
                clock.close(awaited=lambda: is_pending(path))
    finally:
        state_dir.close()


def open_clock(path: Path) -> ClockTable:
    """The purge clock, opened before any worker: whatever it found is told once."""
    try:
        clock = ClockTable(path)
    except OSError as error:
        raise StateDirError(f"can't open the purge clock in {path}: {error.strerror}") from None
    if clock.opening not in (Opening.FOUND, Opening.REBOOTED, Opening.CREATED):
        say(f"every stored page was purged: {clock.opening.value}")
    if settled := settle(path, clock):
        say(f"what {settled} process{'es' if settled > 1 else ''} had still to purge was purged")
    return clock


def drop_recorded(path: Path, clock: ClockTable, *, records: bool) -> None:
    """Purge everything when what is stored was recorded and the application records no more: nobody
    would take them back. `records`: whether it does, now."""
    mark = path / "recorded"
    if records:
        mark.touch()
    elif mark.exists():
        clock.purge_all()
        mark.unlink()
        say("every stored page was purged: what pages read is not recorded any more")


def check_plan(plan: Plan, path: Path) -> int:
    """Whether what the plan names can be had: the state directory, and the addresses."""
    look(path)
    ours: list[str] = []
    try:
        ours = ask_supervisor(path, "status")["status"]["addresses"]
    except StateDirError:  # none runs, so every address must be free
        pass
    if not inherited_sockets():
        sockets = ListeningSockets()
        sockets.open([address for address in plan.addresses if str(address) not in ours], 1)
        sockets.close()
    say("everything is in order")
    return 0


def survive_early_signals() -> None:
    """SIGHUP and SIGUSR1 before the supervisor listens for them would end the process."""
    for number in (signal.SIGHUP, signal.SIGUSR1):
        # Not SIG_IGN, which the origin would inherit.
        signal.signal(number, lambda *_: None)
