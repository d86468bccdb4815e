"""Everything that a worker process is told when it starts, and its way there.

Lives here: the Setup, its JSON, and how it passes through a descriptor.
Doesn't know: where the values come from (the supervisor fills them in), and what a worker does with them.
"""

import dataclasses
import json
import os
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from uncork.caching.storable import CacheOptions
from uncork.edge.resolve import Symlinks
from uncork.edge.static import HashedBy
from uncork.wire.limits import Limits

# The environment variables that carry the descriptors of the Setup and of the channel into a worker.
SETUP_FD = "UNCORK_SETUP_FD"
CHANNEL_FD = "UNCORK_CHANNEL_FD"

MIB = 1 << 20
GIB = 1 << 30

# Of an origin that we know nothing of: uvicorn, node and Apache wait for 5.
FOREIGN_IDLE_SECONDS = 4.0

# An answer of the origin, and the pauses in it. nginx's proxy_read_timeout as well.
ORIGIN_SECONDS = 60.0

T = TypeVar("T")


class BadSetup(ValueError):
    """A Setup that this version doesn't understand: supervisor and worker are of different versions."""


class Kind(Enum):
    TCP = "tcp"
    UNIX = "unix"


class LogFormat(Enum):
    BRIEF = "brief"
    COMBINED = "combined"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening, non-blocking socket; `address` is for people: `127.0.0.1:8000`, `unix:/a/b`."""

    fd: int
    kind: Kind
    address: str


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory under a URL prefix: `Mount("/static/", "/srv/site/static")`. The prefix ends in a slash."""

    prefix: str
    directory: str


@dataclass(frozen=True, slots=True)
class CacheSetup:
    """`store_bytes` bounds the files on disk, `memory_bytes` the hot responses that each worker keeps ready,
    `max_page_bytes` one stored page. `keep_tags` leaves Surrogate-Key and its like to the client.
    `request_directives`: Cache-Control in a request has its say.
    """

    storing: CacheOptions = field(default_factory=CacheOptions)
    store_bytes: int = 2 * GIB
    memory_bytes: int = 64 * MIB
    max_page_bytes: int = 64 * MIB
    compress: bool = True
    keep_tags: bool = False
    request_directives: bool = True


@dataclass(frozen=True, slots=True)
class BufferSetup:
    """What is taken in so that the origin need not wait for clients: the content of `requests`, before it is
    asked, and so many bytes of each response that a client is too slow for (0: none)."""

    requests: bool = True
    response_bytes: int = 64 * MIB


@dataclass(frozen=True, slots=True)
class FilesSetup:
    """How static files are sent: see `uncork.edge.static.StaticOptions`. `max_age` is in seconds."""

    symlinks: Symlinks = Symlinks.INSIDE
    dot_files: bool = False
    max_age: int | None = 0
    hashed_by: tuple[HashedBy, ...] = (HashedBy.DJANGO,)


@dataclass(frozen=True, slots=True)
class LogSetup:
    """`access`: a path, `-` for standard output, or `off`."""

    access: str = "off"
    format: LogFormat = LogFormat.COMBINED


@dataclass(frozen=True, slots=True)
class Setup:
    """What one worker needs to know, in full.

    `index` counts from 0 to `count - 1`; `generation` from 1, one more at each reload. `internal_fd` is the
    listening Unix socket at `internal_paths[index]`, through which the other workers send the misses of the
    keys that this one is home to. `origins` are `http://host:port` or `http+unix:/path`; none when
    `static_only`; connections to them are closed when they were idle for `origin_idle_seconds`, which must be
    below the origins' own limit, and an answer is given up when no byte of it came for
    `origin_seconds`. `internal_files` may be sent by X-Accel-Redirect and X-Sendfile only.
    `trust_forwarded` are the networks (CIDR) whose X-Forwarded-* fields are believed; `unix` among them are
    the clients of Unix sockets.
    """

    index: int
    count: int
    generation: int
    state_dir: str
    listeners: tuple[Listener, ...] = ()
    internal_fd: int | None = None
    internal_paths: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    origin_idle_seconds: float = FOREIGN_IDLE_SECONDS
    origin_seconds: float = ORIGIN_SECONDS
    static: tuple[Mount, ...] = ()
    internal_files: tuple[Mount, ...] = ()
    static_only: bool = False
    files: FilesSetup = field(default_factory=FilesSetup)
    limits: Limits = field(default_factory=Limits)
    cache: CacheSetup = field(default_factory=CacheSetup)
    buffers: BufferSetup = field(default_factory=BufferSetup)
    log: LogSetup = field(default_factory=LogSetup)
    purge_token: str | None = None
    trust_forwarded: tuple[str, ...] = ()

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), default=_plain, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Setup":
        """The Setup that `to_json` wrote. Raises BadSetup for anything else, unknown keys included."""
        try:
            found = json.loads(text)
        except ValueError as error:
            raise BadSetup(f"not JSON: {error}") from None
        built = _build(cls, found, "setup")
        assert isinstance(built, Setup)
        return built

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Setup":
        """The Setup of this worker process. Reads the descriptor to its end and closes it."""
        with open(int(environment[SETUP_FD]), "rb") as file:
            return cls.from_json(file.read())

    def to_descriptor(self) -> int:
        """A descriptor from which `from_environment` reads it; close it once the worker was started."""
        fd = os.memfd_create("uncork-setup", os.MFD_CLOEXEC)
        os.write(fd, self.to_json().encode())
        os.lseek(fd, 0, os.SEEK_SET)
        return fd


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"{value!r} has no JSON")


def _build(kind: Any, value: Any, where: str) -> Any:
    """`value`, as JSON gave it, made into what the annotation `kind` says."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _build_dataclass(kind, value, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        if type(value) in arguments:
            return value
        remaining = [argument for argument in arguments if argument is not type(None)]
        return _build(remaining[0], value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_build(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if isinstance(kind, type) and issubclass(kind, Enum):
        try:
            return kind(value)
        except ValueError:
            raise BadSetup(f"{where}: {value!r} is not one of {[member.value for member in kind]}") from None
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is kind:
        return value
    raise BadSetup(f"{where}: {value!r} is not a {getattr(kind, '__name__', kind)}")


def _build_dataclass(kind: type[T], value: Any, where: str) -> T:
    if not isinstance(value, dict):
        raise BadSetup(f"{where}: {value!r} is not an object")
    hints = typing.get_type_hints(kind)
    unknown = sorted(value.keys() - hints.keys())
    if unknown:
        raise BadSetup(f"{where}: unknown key {unknown[0]!r}")
    try:
        return kind(**{name: _build(hints[name], item, f"{where}.{name}") for name, item in value.items()})
    except TypeError as error:
        raise BadSetup(f"{where}: {error}") from None
