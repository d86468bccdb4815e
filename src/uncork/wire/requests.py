"""A request head: from bytes to its parts, by the strict grammar of RFC 9112.

Lives here: the request line, field lines, where a request's content ends, and why a head is refused.
Doesn't know: what was seen before (`known`), resolving a target (`semantics.targets`), sockets.

Strict on purpose: what two parsers may read in two ways is refused, never repaired. So a bare LF or CR,
obs-fold, white space before the colon, two Hosts, two framings are 400 (RFC 9112 §2.2, §3.2, §5.1, §5.2,
§6.3; RFC 9110 §5.5).
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from uncork.semantics.fields import Field, Fields, names
from uncork.semantics.targets import BadTarget, split_target
from uncork.wire.limits import Limits


class Refused(Exception):
    """The request can't be served: answered with `status`, and the connection closed."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


# request-line = method SP request-target SP HTTP-version. Source: RFC 9112 §3
request_line = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e\x80-\xff]+) HTTP/([0-9])\.([0-9])")

# field-line = field-name ":" OWS field-value OWS. Source: RFC 9112 §5, RFC 9110 §5.5
field_line = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)")

# Content-Length = 1*DIGIT; 18 digits are an exabyte. Source: RFC 9110 §8.6
content_length = re.compile(rb"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class RequestLine:
    method: bytes
    target: bytes  # as sent
    version: bytes  # b"1.0" or b"1.1"


def parse_request_line(line: bytes, limits: Limits) -> RequestLine:
    """Raises Refused: 400, 414, 505."""
    match = request_line.fullmatch(line)
    if match is None:
        if len(line) > limits.target_bytes:
            raise Refused(414, "the request target is too long")
        raise Refused(400, "malformed request line")
    method, target, major, minor = match.groups()
    if len(target) > limits.target_bytes:
        raise Refused(414, "the request target is too long")
    if major != b"1":
        raise Refused(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
    return RequestLine(method, target, b"1.0" if minor == b"0" else b"1.1")


def parse_field_line(line: bytes) -> Field:
    """The name in lower case, the value without its surrounding white space. Raises Refused: 400."""
    match = field_line.fullmatch(line)
    if match is None:
        raise Refused(400, "malformed field line")
    return match[1].lower(), match[2].strip(b" \t")


@dataclass(frozen=True, slots=True)
class Framing:
    """Where a request's content ends: after `length` bytes, or by its chunks when `chunked`."""

    length: int = 0
    chunked: bool = False


NO_CONTENT = Framing()


def framing(version: bytes, fields: Fields, limits: Limits) -> Framing:
    """Raises Refused: 400 where two opinions are possible, 413, 501. Source: RFC 9112 §6.1 to §6.3"""
    coding = fields.get(b"transfer-encoding")
    length = fields.get(b"content-length")
    if coding is not None:
        if length is not None:
            raise Refused(400, "both Transfer-Encoding and Content-Length")
        if version == b"1.0":
            raise Refused(400, "Transfer-Encoding in HTTP/1.0")
        if coding.lower() != b"chunked":
            raise Refused(501, "the only transfer coding understood is chunked")
        return Framing(chunked=True)
    if length is None:
        return NO_CONTENT
    if content_length.fullmatch(length) is None:
        raise Refused(400, "malformed Content-Length")
    if int(length) > limits.body_bytes:
        raise Refused(413, "the content is too large")
    return Framing(length=int(length))


# What says where a message ends and whom it is for is never of one connection only.
_END_TO_END = frozenset({b"connection", b"content-length", b"host", b"transfer-encoding", b"upgrade"})


def without_named(connection: bytes, fields: Fields) -> Fields:
    """The fields without those that the value of Connection names: they are for the next hop, and not to
    be decided by. Source: RFC 9110 §7.6.1"""
    return fields.without(*(name for name in names(connection) if name not in _END_TO_END))


def keeps_alive(version: bytes, fields: Fields) -> bool:
    """Whether the client wants the connection to persist. Source: RFC 9112 §9.3"""
    options = fields.get(b"connection")
    if options is None:
        return version == b"1.1"
    tokens = [option.strip(b" \t").lower() for option in options.split(b",")]
    if b"close" in tokens:
        return False
    return version == b"1.1" or b"keep-alive" in tokens


class Target(NamedTuple):
    """What a request line and Host say: all of a `Request` but its fields, in its order."""

    method: bytes
    scheme: bytes
    authority: bytes
    path: bytes
    query: bytes | None
    version: bytes


def read_target(line: bytes, host: bytes | None, limits: Limits) -> Target:
    """Raises Refused: 400, 414, 421, 501, 505. Source: RFC 9112 §3, §3.2"""
    parsed = parse_request_line(line, limits)
    if host is None:
        if parsed.version == b"1.1":
            raise Refused(400, "no Host")
    elif b"," in host:
        raise Refused(400, "more than one Host")
    if parsed.method == b"CONNECT":
        raise Refused(501, "this is no tunnel")
    try:
        scheme, authority, path, query = split_target(parsed.target, parsed.method, host, b"http")
    except BadTarget as error:
        raise Refused(error.status, str(error)) from None
    return Target(parsed.method, scheme, authority, path, query, parsed.version)


@dataclass(frozen=True, slots=True)
class Terms:
    """What the fields say of the message itself and of its connection: where its content is, whether the
    connection `persists`, whether the client `expects` to be told to go on, and what Connection says when it
    names other fields (`named`)."""

    content: Framing
    persists: bool
    expects: bool
    named: bytes | None


def read_terms(version: bytes, fields: Fields, limits: Limits) -> Terms:
    """Raises Refused: 400, 413, 417, 501. Source: RFC 9110 §10.1.1, RFC 9112 §6, §9.3"""
    content = framing(version, fields, limits)
    named = fields.get(b"connection")
    if named is not None and named.lower() in (b"keep-alive", b"close"):
        named = None
    rest = fields if named is None else without_named(named, fields)
    expect = rest.get(b"expect")
    if expect is not None and expect.lower() != b"100-continue":
        raise Refused(417, "the only expectation known is 100-continue")
    return Terms(content, keeps_alive(version, fields), expect is not None, named)
