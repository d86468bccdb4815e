"""What a proxy changes in a message.

Lives here: which fields of a request the origin gets, which of a response the client gets, and what is added
to either. Doesn't know: connections, and what may be cached.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from uncork.caching.status import joined
from uncork.edge.internal import NAMING
from uncork.edge.trust import UNIX
from uncork.pages.tags import TAG_FIELDS
from uncork.semantics.fields import Field, Fields, names
from uncork.semantics.messages import HOP_BY_HOP
from uncork.wire.known import VOLATILE_NAMES, Head
from uncork.wire.writing import field_lines

if TYPE_CHECKING:
    from uncork.edge.exchange import Exchange

# Names that only Uncork's own processes may use among themselves: taken off whatever comes from outside.
INTERNAL_PREFIX = b"uncork-"
PEER_FIELD = b"uncork-peer"
# What tells an origin that there is an edge in front which takes its records, and by which purge clock.
EDGE_FIELD = b"uncork-edge"

# What Connection named is not there any more.
_NOT_TO_ORIGIN = HOP_BY_HOP | {b"host", b"forwarded", b"x-real-ip", b"expect"}
# What only a proxy may say about a client, for applications believe it. The three that are known are written
# anew: two of them from the scheme and the authority, which every key holds.
_SAID_BY_PROXIES = (b"x-forwarded-", INTERNAL_PREFIX)
# Of a file's name, the client learns nothing, whether it can be sent or not.
_NOT_TO_CLIENT = HOP_BY_HOP | {b"content-length", *NAMING}
_NOR_TAGS = _NOT_TO_CLIENT | TAG_FIELDS


def _to_origin(fields: Iterable[Field]) -> list[Field]:
    """Without names that hold an underscore: to WSGI and CGI they are those with a dash, and gunicorn takes
    SCRIPT_NAME for a part of the path. nginx drops them, too."""
    return [
        (name, value)
        for name, value in fields
        if name not in _NOT_TO_ORIGIN and b"_" not in name and not name.startswith(_SAID_BY_PROXIES)
    ]


_ONWARD_VOLATILE = frozenset(name for name, _ in _to_origin([(name, b"") for name in VOLATILE_NAMES]))


def reaches_origin(name: bytes) -> bool:
    """Whether the origin sees the field of that name as the client sent it. What it doesn't see so selects
    nothing, whatever `Vary` says."""
    return bool(_to_origin([(name, b"")]))


def _lines_of(head: Head) -> bytes:
    """The lines of a head on their way to the origin: those of its block are made once."""
    block = head.block
    if block.onward is None:
        block.onward = field_lines(_to_origin(block.items))
    return block.onward + field_lines([item for item in head.volatile if item[0] in _ONWARD_VOLATILE])


def origin_head(
    exchange: "Exchange", method: bytes, fields: Fields, trusted: bool, more: bytes = b""
) -> bytes:
    """The head of a request on its way to the origin, with these fields of the client's request and
    `more` lines. Source: RFC 9110 §7.6, RFC 7239's precursors

    Who forwarded to us is believed about the client only where that was said (`trusted`).
    """
    request = exchange.request
    head = exchange.head
    if fields is request.fields and len(fields) == len(head.block.items) + len(head.volatile):
        lines = _lines_of(head)  # it is as it came: Connection named none of its fields
    else:
        lines = field_lines(_to_origin(fields))
    peer = exchange.client.address
    if trusted and (before := fields.get(b"x-forwarded-for")) is not None:
        peer = before if peer == UNIX else before + b", " + peer
    forwarded_for = b"" if peer == UNIX else b"X-Forwarded-For: %b\r\n" % peer
    return b"%b %b HTTP/1.1\r\nHost: %b\r\n%b%bX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\n%b\r\n" % (
        method,
        request.target,
        request.authority,
        lines,
        forwarded_for,
        request.scheme,
        request.authority,
        more,
    )


def client_fields(fields: Fields, keep_tags: bool) -> list[Field]:
    """The fields of the origin's response that the client gets. Source: RFC 9110 §7.6.1, §7.6.3"""
    dropped = _NOT_TO_CLIENT if keep_tags else _NOR_TAGS
    if (connection := fields.get(b"connection")) is not None:
        dropped = dropped.union(names(connection))
    return [item for item in fields if item[0] not in dropped and not item[0].startswith(INTERNAL_PREFIX)]


def with_status(fields: list[Field], member: bytes) -> Fields:
    """With our member of Cache-Status behind those of caches nearer to the origin."""
    before = [value for name, value in fields if name == b"cache-status"]
    if before:
        fields = [item for item in fields if item[0] != b"cache-status"]
    return Fields((*fields, (b"cache-status", joined(b", ".join(before), member))))
