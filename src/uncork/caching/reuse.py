"""Whether a stored response may answer a request now.

Lives here: freshness against the request's own directives, and the two ways to be served stale.
Doesn't know: whether the response matches the request's key, and whether it was purged.
"""

from enum import Enum

from uncork.caching.directives import NO_DIRECTIVES, Directives
from uncork.caching.freshness import Freshness, current_age


class Reuse(Enum):
    """FRESH: send it. STALE_WHILE_REVALIDATE: send it, and renew it in the background. REVALIDATE: not
    before the origin has validated it; for a request with only-if-cached, 504 (RFC 9111 §5.2.1.7)."""

    FRESH = "fresh"
    STALE_WHILE_REVALIDATE = "stale-while-revalidate"
    REVALIDATE = "revalidate"


# What a stale response may stand in for, beside an origin that can't be reached. Source: RFC 5861 §4
ERROR_STATUSES = frozenset({500, 502, 503, 504})


def judge(request: Directives, freshness: Freshness, now: float, purged_softly: bool = False) -> Reuse:
    """What may be done with a response that is stored and matches the request.

    `request` are the directives of the request's `Cache-Control`; they are advice, and a cache that
    doesn't take it passes NO_DIRECTIVES. A response that was purged softly while it is fresh may be sent
    and is renewed, must-revalidate or not: that one speaks of stale responses only. `max-stale` is
    honoured as stale-while-revalidate, since what is stale is better renewed.
    Source: RFC 9111 §4, §4.2.4, §5.2.1, RFC 5861 §3
    """
    if freshness.no_cache or request.no_cache:
        return Reuse.REVALIDATE
    age = current_age(freshness, now)
    if request.max_age is not None and age > request.max_age:
        return Reuse.REVALIDATE
    if request.min_fresh is not None and freshness.lifetime - age < request.min_fresh:
        return Reuse.REVALIDATE
    staleness = age - freshness.lifetime
    if staleness < 0:
        return Reuse.STALE_WHILE_REVALIDATE if purged_softly else Reuse.FRESH
    if freshness.must_revalidate:
        return Reuse.REVALIDATE
    if request.max_stale is not None and staleness <= request.max_stale:
        return Reuse.STALE_WHILE_REVALIDATE
    # A client that names an age, but no max-stale, wants nothing stale. Source: RFC 9111 §5.2.1.1
    if request.max_age is None and staleness < freshness.stale_while_revalidate:
        return Reuse.STALE_WHILE_REVALIDATE
    return Reuse.REVALIDATE


def stale_if_error_allowed(freshness: Freshness, now: float, request: Directives = NO_DIRECTIVES) -> bool:
    """Whether it may answer although the origin can't be reached or said one of ERROR_STATUSES.

    Not for a response that was purged (not softly). Source: RFC 5861 §4, RFC 9111 §4.2.4
    """
    if freshness.no_cache:
        return False
    staleness = current_age(freshness, now) - freshness.lifetime
    if staleness < 0:
        return True
    allowed = max(freshness.stale_if_error, request.stale_if_error or 0)
    return not freshness.must_revalidate and staleness < allowed
