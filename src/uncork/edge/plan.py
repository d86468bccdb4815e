"""What a supervisor runs: the whole of a configuration, read and found good.

Lives here: the plan, and the error of a plan that can't be. Doesn't know: options, files, and Django.
"""

from dataclasses import dataclass, field

from uncork.edge.setup import Setup
from uncork.edge.sockets import Address


class BadConfiguration(Exception):
    """Something in the configuration can't be used. The message is for people, one line or a few."""


@dataclass(frozen=True, slots=True)
class OriginPlan:
    """How to start the origin. `{socket}` in an argument of `command` stands for the path it must listen on.

    `host` is the Host field of the health check, `probe` its path. A start may take `start_seconds`, and
    after SIGTERM the origin has `stop_seconds` to finish. `records`: it tells what its pages read.
    """

    command: tuple[str, ...]
    directory: str
    environment: dict[str, str] = field(default_factory=dict)
    host: str = "localhost"
    probe: str = "/"
    start_seconds: float = 60.0
    stop_seconds: float = 30.0
    records: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """`template` is the Setup of every worker, less what differs: its number, its sockets, and the origins
    that are started here. Without `origin` the origins are those of the template, or none."""

    addresses: tuple[Address, ...]
    workers: int
    template: Setup
    origin: OriginPlan | None = None
    grace_seconds: float = 30.0
