"""Every option: one table, read from a TOML file, the environment and flags alike.

Lives here: the options, each with its key, kind, default and help. Doesn't know: how the three are read
(`reading`), and what is made of the values (`planning`).

A field of `Options` is a row of the table. `log_format` with the key `log.format` is

    [log]                               in the file
    format = "json"
    UNCORK_LOG_FORMAT=json              in the environment
    --log-format json                   as a flag
"""

# ruff: noqa: RUF009  (_row makes a dataclass field)

import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from uncork.caching.storable import CacheOptions
from uncork.cli.values import (
    ACCESS_LOG,
    ADDRESS,
    APPLICATION,
    BOOLEAN,
    COMMAND,
    COUNT,
    FRACTION,
    MOUNT,
    NETWORK,
    ORIGIN,
    PATH,
    SECONDS,
    SIZE,
    SOME_SECONDS,
    TARGET,
    TEXT,
    WHOLE_SECONDS,
    Kind,
    one_of,
)
from uncork.edge.resolve import Symlinks
from uncork.edge.setup import ORIGIN_SECONDS, BufferSetup, CacheSetup, LogFormat, Mount
from uncork.edge.sockets import Address
from uncork.edge.static import HashedBy
from uncork.wire.limits import Limits

# The groups of the help, by the first part of the key.
GROUPS = {
    "server": "Server",
    "origin": "Origin",
    "static": "Static files",
    "cache": "Cache",
    "log": "Logs",
    "limits": "Limits on a client",
}


class RequestBuffering(Enum):
    AUTO = "auto"
    ON = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Row:
    """One option. `attribute` is its name in Options; `default` is as one would write it, or what happens
    without. `everywhere`: it is of use to `uncork static` too."""

    attribute: str
    key: str
    kind: Kind
    default: str
    help: str
    many: bool
    everywhere: bool

    @property
    def name(self) -> str:
        return self.attribute.replace("_", "-")

    @property
    def flag(self) -> str:
        """On the command line; the application is an argument there."""
        return "APP" if self.attribute == "app" else f"--{self.name}"

    @property
    def variable(self) -> str:
        return f"UNCORK_{self.attribute.upper()}"

    @property
    def group(self) -> str:
        return GROUPS[self.key.partition(".")[0]]


def _row(
    key: str,
    kind: Kind,
    default: Any,
    help: str,
    *,
    said: str = "",
    many: bool = False,
    everywhere: bool = False,
) -> Any:
    """`default` is a value; `said` is how one would write it, where that is not plain from the value.

    `everywhere`: it is of use to `uncork static` too, where no application is behind.
    """
    if not said and default is not None:
        said = str(default).lower() if isinstance(default, bool) else str(default)
    metadata = {
        "key": key,
        "kind": kind,
        "default": said,
        "help": help,
        "many": many,
        "everywhere": everywhere,
    }
    return dataclasses.field(default=default, metadata=metadata)


def cpus() -> int:
    """The processors that this process may run on."""
    return len(os.sched_getaffinity(0))


_LIMITS = Limits()
_BUFFERS = BufferSetup()
_CACHE = CacheSetup()
_STORING = CacheOptions()


@dataclass(frozen=True)
class Options:
    """The options with their values."""

    bind: tuple[Address, ...] = _row(
        "server.bind", ADDRESS, (), "Where to listen: [http://]HOST:PORT, :PORT, [::1]:PORT or unix:PATH.",
        said="127.0.0.1:8000", many=True, everywhere=True,
    )  # fmt: skip
    workers: int | None = _row(
        "server.workers", COUNT, None, "Processes that serve.", said="one for each processor", everywhere=True
    )
    state_dir: Path | None = _row(
        "server.state-dir", PATH, None, "Where the stored pages, the purge clock and our own sockets are.",
        said="by settings.UNCORK, or .uncork beside manage.py", everywhere=True,
    )  # fmt: skip
    grace: float = _row(
        "server.grace", SECONDS, 30.0, "How long open requests may take to finish on a stop or reload.",
        said="30s", everywhere=True,
    )  # fmt: skip
    trust_forwarded: tuple[str, ...] = _row(
        "server.trust-forwarded", NETWORK, (),
        "Networks of proxies in front whose X-Forwarded-* fields are believed; 'unix': who comes by a Unix "
        "socket.",
        said="none", many=True, everywhere=True,
    )  # fmt: skip
    app: str | None = _row(
        "origin.app", APPLICATION, None, "The application to start, as the argument APP.",
        said="found by manage.py",
    )  # fmt: skip
    origin: tuple[str, ...] = _row(
        "origin.url", ORIGIN, (), "An origin that runs already: http://HOST:PORT or http+unix:PATH. "
        "Then no application is started.", said="none", many=True,
    )  # fmt: skip
    origin_cmd: tuple[str, ...] | None = _row(
        "origin.command", COMMAND, None, "Start the origin with this command; {socket} in it stands for the "
        "path of the Unix socket that it must listen on.", said="gunicorn",
    )  # fmt: skip
    inject: bool = _row(
        "origin.inject", BOOLEAN, True,
        "Put the recorder into the Django application that is started, where its settings don't name it.",
    )  # fmt: skip
    origin_workers: int | None = _row(
        "origin.workers", COUNT, None, "Processes of the origin.", said="one for each processor"
    )
    origin_threads: int = _row("origin.threads", COUNT, 4, "Threads in each process of a WSGI origin.")
    origin_start: float = _row(
        "origin.start", SECONDS, 60.0, "How long the origin may take until it answers.", said="60s"
    )
    request_buffering: RequestBuffering = _row(
        "origin.request-buffering", one_of(RequestBuffering), RequestBuffering.AUTO,
        "Take in a request's content before the origin is asked: auto is on, but off where we start an "
        "ASGI application.", said=RequestBuffering.AUTO.value,
    )  # fmt: skip
    response_buffer_bytes: int = _row(
        "origin.response-buffer-bytes", SIZE, _BUFFERS.response_bytes,
        "What is read from the origin of one response ahead of a client that is too slow; 0: nothing.",
        said="64 MiB",
    )  # fmt: skip
    origin_timeout: float = _row(
        "origin.timeout", SOME_SECONDS, ORIGIN_SECONDS,
        "How long the origin may take to begin its answer, or pause in the middle of one: else 504.",
        said="60s",
    )  # fmt: skip
    origin_probe: str = _row(
        "origin.probe",
        TARGET,
        "/",
        "What an origin that is started is asked for, to see whether it is ready.",
    )
    static: tuple[Mount, ...] = _row(
        "static.serve", MOUNT, (), "Serve the files in DIR under a URL prefix.",
        said="from Django's settings", many=True,
    )  # fmt: skip
    internal_files: tuple[Mount, ...] = _row(
        "static.internal", MOUNT, (), "Files that only the application may send, by X-Accel-Redirect.",
        said="none", many=True,
    )  # fmt: skip
    symlinks: Symlinks = _row(
        "static.symlinks", one_of(Symlinks), Symlinks.INSIDE,
        "Which symbolic links are followed: those that end inside a served directory, all, or none.",
        said=Symlinks.INSIDE.value, everywhere=True,
    )  # fmt: skip
    dot_files: bool = _row(
        "static.dot-files", BOOLEAN, False, "Serve files whose name begins with a dot.", everywhere=True
    )
    static_max_age: int = _row(
        "static.max-age", WHOLE_SECONDS, 0, "How long browsers may keep a file without asking; a file with a "
        "hash in its name is kept for ever.", said="0s", everywhere=True,
    )  # fmt: skip
    static_hashed_by: tuple[HashedBy, ...] = _row(
        "static.hashed-by", one_of(HashedBy), (HashedBy.DJANGO,), "Whose hashes in names are known: those of "
        "Django's ManifestStaticFilesStorage, of Vite, or both.", said=HashedBy.DJANGO.value, many=True,
        everywhere=True,
    )  # fmt: skip
    default_ttl: int = _row(
        "cache.default-ttl", WHOLE_SECONDS, _STORING.default_ttl,
        "The lifetime of a response that names none.", said="0s",
    )  # fmt: skip
    negative_ttl: int = _row(
        "cache.negative-ttl", WHOLE_SECONDS, _STORING.negative_ttl,
        "The lifetime of a 404 or 410 that names none.", said="0s",
    )  # fmt: skip
    heuristic_fraction: float = _row(
        "cache.heuristic-fraction", FRACTION, _STORING.heuristic_fraction,
        "The part of the time since Last-Modified for which a response that names no lifetime is fresh.",
    )  # fmt: skip
    heuristic_max: int = _row(
        "cache.heuristic-max", WHOLE_SECONDS, _STORING.heuristic_max, "The longest such lifetime.", said="1h"
    )
    stale_while_revalidate: int = _row(
        "cache.stale-while-revalidate", WHOLE_SECONDS, _STORING.stale_while_revalidate,
        "How long a stale response is served while it is renewed, where it doesn't say itself.", said="0s",
    )  # fmt: skip
    stale_if_error: int = _row(
        "cache.stale-if-error", WHOLE_SECONDS, _STORING.stale_if_error,
        "How long a stale response is served while the origin fails, where it doesn't say itself.", said="1d",
    )  # fmt: skip
    store_bytes: int = _row(
        "cache.store-bytes", SIZE, _CACHE.store_bytes, "Disk space for stored pages.", said="2 GiB"
    )
    memory_bytes: int = _row(
        "cache.memory-bytes", SIZE, _CACHE.memory_bytes, "Memory of each worker for hot responses.",
        said="64 MiB",
    )  # fmt: skip
    max_page_bytes: int = _row(
        "cache.max-page-bytes", SIZE, _CACHE.max_page_bytes, "The largest page that is stored.", said="64 MiB"
    )
    compress: bool = _row("cache.compress", BOOLEAN, _CACHE.compress, "Compress stored pages (br, gzip).")
    keep_tags: bool = _row(
        "cache.keep-tags", BOOLEAN, _CACHE.keep_tags,
        "Leave Surrogate-Key, Cache-Tag and xkey in responses to clients.",
    )  # fmt: skip
    request_directives: bool = _row(
        "cache.request-directives", BOOLEAN, _CACHE.request_directives,
        "Heed Cache-Control in requests: a browser's reload has the origin asked.",
    )  # fmt: skip
    purge_token: str | None = _row(
        "cache.purge-token",
        TEXT,
        None,
        "Allow PURGE over HTTP to who has this token.",
        said="no PURGE by HTTP",
    )
    access_log: str | None = _row(
        "log.access", ACCESS_LOG, None, "Where to log requests: a file, - for standard output, or off.",
        said="off; - on a terminal", everywhere=True,
    )  # fmt: skip
    access_log_format: LogFormat | None = _row(
        "log.format", one_of(LogFormat), None, "How a request is logged; brief goes to standard output and "
        "tells what pages cost the application.", said="combined; brief on a terminal", everywhere=True,
    )  # fmt: skip
    head_bytes: int = _row(
        "limits.head-bytes", SIZE, _LIMITS.head_bytes, "A request's line and fields: else 431.",
        said="32 KiB", everywhere=True,
    )  # fmt: skip
    target_bytes: int = _row(
        "limits.target-bytes", SIZE, _LIMITS.target_bytes, "A request's target: else 414.",
        said="8 KiB", everywhere=True,
    )  # fmt: skip
    fields: int = _row(
        "limits.fields", COUNT, _LIMITS.fields, "Field lines in a request: else 431.", everywhere=True
    )
    body_bytes: int = _row(
        "limits.body-bytes", SIZE, _LIMITS.body_bytes, "A request's content: else 413.",
        said="1 GiB", everywhere=True,
    )  # fmt: skip
    idle_timeout: float = _row(
        "limits.idle", SECONDS, _LIMITS.idle_seconds, "Between two requests of a connection.",
        said="75s", everywhere=True,
    )  # fmt: skip
    head_timeout: float = _row(
        "limits.head", SECONDS, _LIMITS.head_seconds, "From a head's first byte to its last: else 408.",
        said="15s", everywhere=True,
    )  # fmt: skip
    body_timeout: float = _row(
        "limits.body", SECONDS, _LIMITS.body_seconds, "Between two pieces of a request's content: else 408.",
        said="30s", everywhere=True,
    )  # fmt: skip
    send_timeout: float = _row(
        "limits.send", SECONDS, _LIMITS.send_seconds, "Without the client taking a byte of a response.",
        said="60s", everywhere=True,
    )  # fmt: skip
    connections: int = _row(
        "limits.connections",
        COUNT,
        _LIMITS.connections,
        "Open at once in one worker: else 503.",
        everywhere=True,
    )


def rows() -> Iterator[Row]:
    """The table, in the order of the help."""
    for field in dataclasses.fields(Options):
        yield Row(attribute=field.name, **field.metadata)
