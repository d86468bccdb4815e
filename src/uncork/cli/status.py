"""`uncork status`: how the supervisor of a state directory is doing.

Lives here: the command, and its tables. Doesn't know: where the figures come from.
"""

import json
from typing import Any

import click

from uncork.cli.arguments import options_named, with_options
from uncork.cli.purge import find_state_dir
from uncork.edge.control import ask_supervisor


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Everything, as one JSON object.")
@with_options(options_named("state_dir"))
@click.option(
    "--config", metavar="FILE", help="The configuration file.  [default: uncork.toml beside manage.py]"
)
def status(as_json: bool, state_dir: str | None, config: str | None) -> int:
    """Show workers, origin, hit ratio, store and purge clock of the running supervisor."""
    found = ask_supervisor(find_state_dir(state_dir, config), "status")["status"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        show(found)
    return 0


def show(found: dict[str, Any]) -> None:
    """Print it for people."""
    from rich.console import Console

    console = Console(highlight=False)
    for line in summary(found):
        console.print(line, markup=False, soft_wrap=True)
    for table in tables(found):
        console.print(table)


def summary(found: dict[str, Any]) -> list[str]:
    """The lines above the tables."""
    origins = [_origin(one) for one in found["origins"]] or [
        f"{address}{_asked(address, found['workers'])}" for address in found["external_origins"]
    ]
    lines = [
        f"uncork {found['version']}, process {found['pid']}: {found['state']} for "
        f"{_duration(found['uptime_seconds'])}, generation {found['generation']}",
        f"listening: {', '.join(found['addresses'])}",
        f"state:     {found['state_dir']}",
    ]
    lines += [f"origin:    {origin}" for origin in origins]
    if (clock := found["clock"]) is not None:
        lines.append(f"clock:     {clock['counter']}, {clock['slots']:,} slots ({clock['opening']})")
    if (store := found["store"]) is not None:
        lines.append(
            f"store:     {store['files']:,} pages, {store['bytes'] / 2**20:,.1f} MiB when last swept"
        )
    pages = found["totals"].get("pages", {"hits": 0, "forwarded": 0})
    if asked := pages["hits"] + pages["forwarded"]:
        lines.append(f"hit ratio: {pages['hits'] / asked:.1%} of {asked:,} requests for pages")
    return lines


def tables(found: dict[str, Any]) -> list[Any]:
    """The workers, and all that they count."""
    from rich.table import Table

    workers = Table(title="workers", title_justify="left")
    for column in ("worker", "generation", "process", "state", "up", "restarts"):
        workers.add_column(column, justify="left" if column == "state" else "right")
    for one in found["workers"]:
        workers.add_row(
            str(one["index"]),
            str(one["generation"]),
            str(one["pid"] or "-"),
            one["state"],
            _duration(one["uptime_seconds"]),
            str(one["restarts"]),
        )
    counters = Table(title="counters", title_justify="left")
    counters.add_column("of all workers")
    counters.add_column("", justify="right")
    for name, value in flattened(found["totals"]):
        counters.add_row(name, f"{value:,}" if isinstance(value, int) else f"{value:,.3f}")
    return [workers, counters] if counters.row_count else [workers]


def flattened(counters: dict[str, Any], prefix: str = "") -> list[tuple[str, int | float]]:
    """`{"store": {"pages": 3}}` as `[("store.pages", 3)]`."""
    found: list[tuple[str, int | float]] = []
    for name, value in counters.items():
        if isinstance(value, dict):
            found += flattened(value, f"{prefix}{name}.")
        else:
            found.append((prefix + name, value))
    return found


def _origin(one: dict[str, Any]) -> str:
    probe = one["probe"]
    why = (
        f" ({probe['path']} answered {probe['status']} when it started)" if one["state"] == "failing" else ""
    )
    return (
        f"{one['address']} {one['state']}{why}, process {one['pid'] or '-'}, "
        f"{_times(one['restarts'], 'restart')}"
    )


def _asked(address: str, workers: list[dict[str, Any]]) -> str:
    """How the workers' requests to an address went: nobody else asks an origin that isn't ours."""
    pools = [
        pool
        for worker in workers
        for pool in (worker["snapshot"] or {}).get("origins", ())
        if pool["address"] == address
    ]
    requests = sum(pool["requests"] for pool in pools)
    errors = sum(sum(pool["errors"].values()) for pool in pools)
    answered = min((ago for pool in pools if (ago := pool["answered_seconds_ago"]) is not None), default=None)
    failed = min((pool for pool in pools if pool["failure"] is not None), key=_failed_ago, default=None)
    if failed is not None and (answered is None or _failed_ago(failed) < answered):
        last = f"the last request failed {_duration(_failed_ago(failed))} ago ({failed['failure']})"
    elif answered is not None:
        last = f"the last request was answered {_duration(answered)} ago"
    else:
        return ", no request has ended yet"
    return f", {last}, {_times(requests, 'request')}, {_times(errors, 'failure')}"


def _failed_ago(pool: dict[str, Any]) -> float:
    return float(pool["failed_seconds_ago"])


def _duration(seconds: float) -> str:
    whole = int(seconds)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


def _times(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
