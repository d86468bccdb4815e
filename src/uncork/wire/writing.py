"""Message heads as bytes.

Lives here: status lines, request lines and field lines in the spelling of HTTP/1.1, chunk frames.
Doesn't know: which fields a message should have.
"""

from collections.abc import Iterable
from functools import lru_cache

from uncork.semantics.fields import Field, spelled
from uncork.semantics.messages import reason

LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@lru_cache(128)
def status_line(status: int) -> bytes:
    """With its CRLF. We always answer as HTTP/1.1. Source: RFC 9112 §4, RFC 9110 §2.5"""
    return b"HTTP/1.1 %d %s\r\n" % (status, reason(status))


def field_lines(fields: Iterable[Field]) -> bytes:
    """The lines, each with its CRLF, without the blank line."""
    return b"".join([b"%s: %s\r\n" % (spelled(name), value) for name, value in fields])


def template(fields: Iterable[Field], names: Iterable[bytes]) -> bytes:
    """The lines of these fields, and behind them one for each of the names, for its value to be put in:
    `template(…) % (value, …)`."""
    places = [b"%s: %%b\r\n" % spelled(name) for name in names]
    return field_lines(fields).replace(b"%", b"%%") + b"".join(places)


def request_head(method: bytes, target: bytes, fields: Iterable[Field]) -> bytes:
    """A whole request head, blank line included. Source: RFC 9112 §3"""
    return b"%s %s HTTP/1.1\r\n%s\r\n" % (method, target, field_lines(fields))


def chunk(data: bytes) -> bytes:
    """One chunk; `data` must not be empty, for that would be the last one. Source: RFC 9112 §7.1"""
    return b"%x\r\n%s\r\n" % (len(data), data)
