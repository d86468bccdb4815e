"""Asking the origin whether a stored response is still right, and what its 304 changes.

Lives here: the fields of a validating request, which stored response a 304 is about, and freshening.
Doesn't know: how a request is sent. A client's own conditions are `semantics.conditional`'s.
"""

from uncork.semantics.etags import is_weak, parse_etag, strong_match, weak_match
from uncork.semantics.fields import Fields, names
from uncork.semantics.messages import HOP_BY_HOP

# A client's conditions and ranges are about its own copy. What is fetched for the store is asked for
# without them, and they are evaluated against what came. Source: RFC 9110 §13.1, §14.2
CONDITIONS = (
    b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range", b"range",
)  # fmt: skip

# Fields of a 304 that don't reach the stored response: it would get another message's framing, a stored
# body's coding and range can't change without the body, and a cookie is for one client.
# Source: RFC 9111 §3.2
_NOT_UPDATED = (*sorted(HOP_BY_HOP), b"content-length", b"content-encoding", b"content-range", b"set-cookie")


def fetching_fields(request: Fields) -> Fields:
    """The fields of a request whose response is meant for the store: without the client's conditions."""
    return request.without(*CONDITIONS)


def validating_fields(request: Fields, stored: Fields) -> Fields:
    """The fields of a request that validates a stored response: like `fetching_fields`, and with the
    conditions that its validators allow, if any. Source: RFC 9111 §4.3.1"""
    conditions = []
    etag = stored.get(b"etag")
    if etag is not None and parse_etag(etag) is not None:
        conditions.append((b"if-none-match", etag))
    modified = stored.get(b"last-modified")
    if modified is not None:
        conditions.append((b"if-modified-since", modified))
    return Fields((*fetching_fields(request), *conditions))


def is_about(not_modified: Fields, stored: Fields) -> bool:
    """Whether a 304 to `validating_fields` validates that stored response. If not, it is fetched again.

    A 304 without a validator is about the only response whose validators were sent; and one to a request
    that had no validator to send is about nothing.
    Source: RFC 9111 §4.3.4
    """
    if b"etag" not in stored and b"last-modified" not in stored:
        return False
    etag = not_modified.get(b"etag")
    if etag is not None:
        compare = weak_match if is_weak(etag) else strong_match
        return compare(etag, stored.get(b"etag") or b"")
    modified = not_modified.get(b"last-modified")
    return modified is None or modified == stored.get(b"last-modified")


def freshen(stored: Fields, not_modified: Fields) -> Fields:
    """The stored fields, updated by a 304 that `is_about` them. The 304's `Set-Cookie` isn't among them.

    The stored `Date` and `Age` tell of the older response: they go even when the 304 has none.
    Source: RFC 9111 §3.2, §4.3.4
    """
    update = not_modified.without(*_NOT_UPDATED, *names(not_modified.get(b"connection")))
    kept = stored.without(b"date", b"age", *(name for name, _ in update))
    return Fields((*kept, *update))
