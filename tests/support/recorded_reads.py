"""Requests to a recorded site: who asks for what, what of the answer has to be the same, and when the site
has come to rest.
"""

import fcntl
import random
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.raw_client import RawClient, Response
from support.recorded_project import Site, Visitor

PATIENCE = 20.0
"""Seconds until what was killed must be back."""

COMPARED = ("content-type", "location", "content-language")


class Wrong(AssertionError):
    """A page that should not have been served."""


class Stale(Wrong):
    pass


class Leaked(Wrong):
    pass


@dataclass(frozen=True)
class Seen:
    """What has to be the same."""

    status: int
    fields: tuple[str | None, ...]
    body: bytes

    @classmethod
    def of(cls, response: Response) -> "Seen":
        return cls(response.status, tuple([response[name] for name in COMPARED]), response.body)

    def __str__(self) -> str:
        fields = [f"{name}: {value}" for name, value in zip(COMPARED, self.fields, strict=True) if value]
        return "\n".join([str(self.status), *fields, self.body.decode(errors="replace")])


@dataclass(frozen=True)
class Ask:
    """A request: a page, and who asks for it in which words."""

    target: str
    visitor: Visitor
    fields: tuple[tuple[str, str], ...]

    def by(self, client: RawClient, **more: str) -> Response:
        return client.ask(self.target, **{"accept_encoding": "identity", **dict(self.fields)}, **more)

    def __str__(self) -> str:
        return f"{self.target} for who is {self.visitor.name}: {dict(self.fields)}"


def is_hit(response: Response) -> bool:
    return "; hit" in (response["cache-status"] or "")


def settle(site: Site) -> None:
    """Wait until what killed writers had noted is purged, and purged again: their database may have committed
    after the first time."""
    until = time.monotonic() + PATIENCE
    while any(_is_open(path) for path in (site.state / "pending").glob("*")):
        assert time.monotonic() < until, "nobody settles what dead writers left"
        time.sleep(0.05)


def _is_open(note: Path) -> bool:
    """Whether a note of `uncork.purging.pending` is a dead process's, and not settled twice."""
    try:
        with open(note, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            _, _, count, found, due = struct.unpack("=5Q", file.read(40))
    except (FileNotFoundError, BlockingIOError, struct.error):
        return False
    return bool(count) and due - found <= 1


def parameters(target: str, dice: random.Random) -> Iterator[str]:
    """Parameters of the query that the page may read."""
    name = target.split("/")[2]
    if name in PARAMETERS and dice.random() < 0.7:
        for parameter, values in PARAMETERS[name].items():
            if dice.random() < 0.5:
                yield f"{parameter}={dice.choice(values)}"


PARAMETERS: dict[str, dict[str, tuple[str, ...]]] = {
    "sliced": {"page": ("0", "1", "2")},
    "cached": {"colour": ("red", "blue")},
    "search": {"q": ("n", "n1", "%6e2"), "order": ("price", "no"), "place": ("1", "2", "3")},
    "echo": {"a": ("1", "2"), "b": ("", "%20")},
    "parameters": {"a": ("1", "2"), "b": ("1",)},
    "address": {"a": ("1", "2")},
}
