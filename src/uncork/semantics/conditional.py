"""Preconditions: what a conditional request gets, from the validators of the selected representation.

Lives here: the steps of RFC 9110 §13.2.2 in their order, each as one small predicate.
Doesn't know: where validators come from, and what is sent in the end.

Preconditions are for requests that would otherwise get a 2xx: whoever has another status in hand
doesn't ask here. Source: RFC 9110 §13.2.1
"""

from enum import Enum

from uncork.semantics.dates import parse_date
from uncork.semantics.etags import ANY, parse_etag, parse_etag_list, strong_match, weak_match
from uncork.semantics.fields import Fields


class Precondition(Enum):
    """NONE: the request has no condition that applies. PASSED: it has, and they hold: answer as usual.
    NOT_MODIFIED: 304. FAILED: 412."""

    NONE = "none"
    PASSED = "passed"
    NOT_MODIFIED = "not-modified"
    FAILED = "failed"


# They select no representation. Source: RFC 9110 §13.2.1
_UNCONDITIONAL = frozenset({b"CONNECT", b"OPTIONS", b"TRACE"})
_READING = frozenset({b"GET", b"HEAD"})


def evaluate(
    method: bytes,
    fields: Fields,
    etag: bytes | None,
    last_modified: int | None,
    now: float,
    exists: bool = True,
    *,
    at_origin: bool = True,
) -> Precondition:
    """Decide the preconditions of a request, all but If-Range.

    `etag` and `last_modified` (seconds since the epoch) are those of the representation that would be
    sent, in its content coding; `exists` says whether there is one. `now` is in seconds since the epoch.
    A cache that answers for an origin elsewhere passes `at_origin=False`: If-Match and
    If-Unmodified-Since are not for it. Source: RFC 9110 §13.2.2, RFC 9111 §4.3.2
    """
    if method in _UNCONDITIONAL:
        return Precondition.NONE
    outcome = Precondition.NONE

    if at_origin:
        if (if_match := fields.get(b"if-match")) is not None:  # step 1
            if not matches(if_match, etag, exists):
                return Precondition.FAILED
            outcome = Precondition.PASSED
        elif (if_unmodified_since := fields.get(b"if-unmodified-since")) is not None:  # step 2
            unmodified = unmodified_since(if_unmodified_since, last_modified, now)
            if unmodified is False:
                return Precondition.FAILED
            if unmodified is True:
                outcome = Precondition.PASSED

    if (if_none_match := fields.get(b"if-none-match")) is not None:  # step 3
        if not none_match(if_none_match, etag, exists):
            return Precondition.NOT_MODIFIED if method in _READING else Precondition.FAILED
        outcome = Precondition.PASSED
    elif (if_modified_since := fields.get(b"if-modified-since")) is not None and method in _READING:  # step 4
        unmodified = unmodified_since(if_modified_since, last_modified, now)
        if unmodified is True:
            return Precondition.NOT_MODIFIED
        if unmodified is False:
            outcome = Precondition.PASSED
    return outcome


def matches(if_match: bytes, etag: bytes | None, exists: bool) -> bool:
    """Whether If-Match holds: by strong comparison. Source: RFC 9110 §13.1.1"""
    tags = parse_etag_list(if_match)
    if tags is ANY:
        return exists
    return etag is not None and any(strong_match(etag, tag) for tag in tags)


def none_match(if_none_match: bytes, etag: bytes | None, exists: bool) -> bool:
    """Whether If-None-Match holds: by weak comparison. Source: RFC 9110 §13.1.2"""
    if if_none_match == etag:  # the usual request, one tag that is still good: no list to parse
        return False
    tags = parse_etag_list(if_none_match)
    if tags is ANY:
        return not exists
    return etag is None or not any(weak_match(etag, tag) for tag in tags)


def unmodified_since(value: bytes, last_modified: int | None, now: float) -> bool | None:
    """Whether there was no change after that date; None when the field must be ignored, because it is no
    date or the representation has none. Source: RFC 9110 §13.1.3, §13.1.4"""
    if last_modified is None:
        return None
    since = parse_date(value, now)
    return None if since is None else last_modified <= since


def if_range_matches(fields: Fields, etag: bytes | None, last_modified: int | None, date: float) -> bool:
    """Whether the Range of a GET may be honoured: there is no If-Range, or it matches strongly. If not,
    the answer is the whole representation with 200 (step 5).

    `date`, in seconds since the epoch, is when the representation was known to be current: the Date of a
    stored response, or now for a file. Only when that is a second or more after `last_modified` does a
    date say for sure which bytes the client has. Source: RFC 9110 §13.1.5, §8.8.2.2
    """
    value = fields.get(b"if-range")
    if value is None:
        return True
    if value.endswith(b'"'):
        return etag is not None and parse_etag(value) is not None and strong_match(etag, value)
    if last_modified is None or date < last_modified + 1:
        return False
    return parse_date(value, date) == last_modified
