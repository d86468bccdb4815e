"""A render of a page for who explains it: the origin is asked, as the edge would ask it.

Lives here: which origin, the request, and what its response tells. Doesn't know: the store, and how any of it
is shown.

The origin tells what was read by its names to who knows the purge clock's name: that is in the state
directory, and no request that comes through an edge can have it (`edge.rewriting`).
"""

import http.client
import socket
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from uncork.edge.control import ask_supervisor
from uncork.edge.rewriting import EDGE_FIELD, reaches_origin
from uncork.edge.statedir import StateDirError
from uncork.pages.record import Record, parse_record
from uncork.pages.told import EXPLAIN, Told, parse_told
from uncork.purging.table import ClockTable
from uncork.semantics.fields import Fields
from uncork.semantics.messages import Request
from uncork.upstream.addresses import Address, parse_origin
from uncork.wire.writing import request_head

SECONDS = 30.0
MOST_BODY_BYTES = 64 * 2**20
"""Read and thrown away, so that the application ends as it would for a client."""


class NotAsked(Exception):
    """There is no render to tell of; the message is for people."""


@dataclass(frozen=True, slots=True)
class Fresh:
    """A render: `record` as the edge gets it, and what it read by names."""

    status: int
    record: Record
    told: Told


def fresh_render(state_dir: Path, table: ClockTable, request: Request) -> Fresh:
    """Have the site make the page of a request, and tell what it read. Raises NotAsked."""
    address = _origin(state_dir)
    try:
        with _connected(address) as sock, closing(http.client.HTTPResponse(sock, method="GET")) as response:
            sock.sendall(_head(request, table.name))
            response.begin()
            fields = Fields(
                [(name.lower().encode(), value.encode("latin-1")) for name, value in response.getheaders()]
            )
            _read(response)
    except (OSError, http.client.HTTPException) as error:
        raise NotAsked(f"the origin {address} doesn't answer: {error or type(error).__name__}") from None
    record = parse_record(fields, table.name, table.clock.slots)
    if record is None:
        raise NotAsked(f"the origin answered {response.status}, and not what it read")
    return Fresh(response.status, record, parse_told(fields))


def _origin(state_dir: Path) -> Address:
    """The newest of the supervisor's own that runs, or one that was named and is on this machine."""
    try:
        status = ask_supervisor(state_dir, "status")["status"]
    except StateDirError as error:
        raise NotAsked(str(error)) from None
    running = [one for one in status["origins"] if one["pid"] is not None]
    newest = max(running, key=lambda one: (one["state"] == "healthy", one["generation"]), default=None)
    found = [] if newest is None else [parse_origin(newest["address"])]
    found += [parse_origin(address) for address in status["external_origins"]]
    local = [address for address in found if address.local]
    if not local:
        raise NotAsked("the origin is on another machine" if found else "no origin runs")
    return local[0]


def _head(request: Request, clock: bytes) -> bytes:
    """What the origin gets, with no word on who asks: that is nobody's page."""
    fields = [
        (b"host", request.authority),
        *[(name, value) for name, value in request.fields if reaches_origin(name)],
        (b"x-forwarded-proto", request.scheme),
        (b"x-forwarded-host", request.authority),
        (EDGE_FIELD, clock),
        (EXPLAIN, clock),
        (b"connection", b"close"),
    ]
    return request_head(b"GET", request.target, fields)


def _read(response: http.client.HTTPResponse) -> None:
    left = MOST_BODY_BYTES
    while left > 0 and (chunk := response.read(min(left, 65536))):
        left -= len(chunk)


def _connected(address: Address) -> socket.socket:
    if address.path is None:
        return socket.create_connection((address.host or "localhost", address.port), timeout=SECONDS)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(SECONDS)
        sock.connect(address.path)
    except OSError:
        sock.close()
        raise
    return sock
