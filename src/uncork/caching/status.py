"""`Cache-Status`: what the cache did with a request, told to whoever debugs it.

Lives here: the member this cache adds, and how it joins those of caches nearer to the origin.
Doesn't know: why something was done.
"""

from enum import Enum

from uncork.caching.structured import quoted
from uncork.semantics.fields import token


class Forward(Enum):
    """Why a request went to the origin. Source: RFC 9211 §2.2"""

    BYPASS = "bypass"
    METHOD = "method"
    URI_MISS = "uri-miss"
    VARY_MISS = "vary-miss"
    MISS = "miss"
    REQUEST = "request"
    STALE = "stale"
    PARTIAL = "partial"


NAME = b"Uncork"


def cache_status(
    hit: bool,
    *,
    fwd: Forward | None = None,
    fwd_status: int | None = None,
    stored: bool = False,
    collapsed: bool = False,
    ttl: int | None = None,
    key: bytes | None = None,
    detail: bytes | None = None,
) -> bytes:
    """This cache's member, such as `Uncork; fwd=uri-miss; fwd-status=200; stored`.

    A hit is a request that wasn't forwarded for its answer: with `hit`, what tells of forwarding is left
    out. `ttl` is in seconds, negative when stale. `detail` is sent as a token where it is one.
    Source: RFC 9211 §2
    """
    parts = [NAME]
    if hit:
        parts.append(b"hit")
    else:
        if fwd is not None:
            parts.append(b"fwd=" + fwd.value.encode())
        if fwd_status is not None:
            parts.append(b"fwd-status=%d" % fwd_status)
    if ttl is not None:
        parts.append(b"ttl=%d" % ttl)
    if not hit:
        if stored:
            parts.append(b"stored")
        if collapsed:
            parts.append(b"collapsed")
    if key is not None:
        parts.append(b"key=" + quoted(key))
    if detail is not None:
        is_token = token.fullmatch(detail) is not None and detail[:1].isalpha()
        parts.append(b"detail=" + (detail if is_token else quoted(detail)))
    return b"; ".join(parts)


def joined(upstream: bytes | None, own: bytes) -> bytes:
    """The field's value: the members of caches nearer to the origin come first. Source: RFC 9211 §2"""
    return own if not upstream else upstream + b", " + own
