"""Requests and responses as values, and what is known of methods and status codes.

Lives here: the head of a message, never its body.
Doesn't know: how a message looks on the wire.
"""

from dataclasses import dataclass

from uncork.semantics.fields import Fields


# Not frozen, for that makes it four times as dear; and nobody changes one.
@dataclass(slots=True)
class Request:
    """The head of a request, its target resolved.

    `scheme` is b"http" or b"https"; `authority` is the lower-case host with its port unless that is the
    scheme's own; `path` is as sent (never decoded or collapsed) and starts with b"/", or is b"*" for
    OPTIONS; `query` is what follows the first `?`, and None where there is no `?` (absent is not empty).
    Source: RFC 9110 §4.2, §7.1
    """

    method: bytes
    scheme: bytes
    authority: bytes
    path: bytes
    query: bytes | None
    version: bytes  # b"1.0" or b"1.1"
    fields: Fields

    @property
    def target(self) -> bytes:
        """Path and query, as in the origin form."""
        return self.path if self.query is None else self.path + b"?" + self.query

    @property
    def url(self) -> bytes:
        return self.scheme + b"://" + self.authority + self.target


@dataclass(frozen=True, slots=True)
class Response:
    """The head of a response."""

    status: int
    fields: Fields


# Source: RFC 9110 §9.2.1, §9.2.2
SAFE_METHODS = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE"})
IDEMPOTENT_METHODS = SAFE_METHODS | {b"PUT", b"DELETE"}

# Fields of one connection, never forwarded and never stored; `Connection` names more of them.
# Source: RFC 9110 §7.6.1, RFC 9111 §3.1
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

# Source: the IANA registry of HTTP status codes
REASONS: dict[int, bytes] = {
    100: b"Continue", 101: b"Switching Protocols", 102: b"Processing", 103: b"Early Hints",
    200: b"OK", 201: b"Created", 202: b"Accepted", 203: b"Non-Authoritative Information",
    204: b"No Content", 205: b"Reset Content", 206: b"Partial Content", 207: b"Multi-Status",
    208: b"Already Reported", 226: b"IM Used",
    300: b"Multiple Choices", 301: b"Moved Permanently", 302: b"Found", 303: b"See Other",
    304: b"Not Modified", 305: b"Use Proxy", 307: b"Temporary Redirect", 308: b"Permanent Redirect",
    400: b"Bad Request", 401: b"Unauthorized", 402: b"Payment Required", 403: b"Forbidden",
    404: b"Not Found", 405: b"Method Not Allowed", 406: b"Not Acceptable",
    407: b"Proxy Authentication Required", 408: b"Request Timeout", 409: b"Conflict", 410: b"Gone",
    411: b"Length Required", 412: b"Precondition Failed", 413: b"Content Too Large",
    414: b"URI Too Long", 415: b"Unsupported Media Type", 416: b"Range Not Satisfiable",
    417: b"Expectation Failed", 421: b"Misdirected Request", 422: b"Unprocessable Content",
    423: b"Locked", 424: b"Failed Dependency", 425: b"Too Early", 426: b"Upgrade Required",
    428: b"Precondition Required", 429: b"Too Many Requests",
    431: b"Request Header Fields Too Large", 451: b"Unavailable For Legal Reasons",
    500: b"Internal Server Error", 501: b"Not Implemented", 502: b"Bad Gateway",
    503: b"Service Unavailable", 504: b"Gateway Timeout", 505: b"HTTP Version Not Supported",
    506: b"Variant Also Negotiates", 507: b"Insufficient Storage", 508: b"Loop Detected",
    510: b"Not Extended", 511: b"Network Authentication Required",
}  # fmt: skip


def reason(status: int) -> bytes:
    """The registered reason phrase, or an empty one."""
    return REASONS.get(status, b"")


def has_body(method: bytes, status: int) -> bool:
    """Whether a response with this status to this method has content. Source: RFC 9112 §6.3"""
    return method != b"HEAD" and status >= 200 and status not in (204, 304)
