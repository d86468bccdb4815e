"""What to do with a request: the one place where that is decided.

Lives here: every outcome and its named reason, as a function of the request, what is stored for it, the
purge clock's reading and the time. Pure. Doesn't know: how anything is done.
"""

from dataclasses import dataclass
from enum import Enum

from uncork.caching.directives import Directives
from uncork.caching.reuse import Reuse, judge
from uncork.caching.status import Forward
from uncork.caching.storable import has_validator
from uncork.pages.clock import Verdict
from uncork.pages.page import Page
from uncork.semantics.fields import names
from uncork.semantics.messages import Request


class Why(Enum):
    """The reasons. The value is what logs, `Cache-Status` and the counters say."""

    HIT = "hit"
    HIT_STALE = "hit-stale"  # stale-while-revalidate, or purged softly
    STALE_ERROR = "stale-if-error"
    VALIDATED = "revalidated"
    MISS = "miss"
    VARIANT_MISS = "variant-miss"
    PURGED = "purged"
    EXPIRED = "expired"
    REQUEST = "request-directive"
    PASS_METHOD = "pass-method"
    PASS_UPGRADE = "pass-upgrade"
    PASS_CONTENT = "pass-content"
    PASS_AUTHORIZATION = "pass-authorization"
    PASS_RANGE = "pass-range"
    PASS_NO_STORE = "pass-no-store"
    PASS_KNOWN = "pass-known"  # its last response could not be shared
    PASS_UNSHARED = "pass-unshared"  # the response that came can't be
    ONLY_IF_CACHED = "only-if-cached"
    NO_ROOM = "no-room"  # the disk takes no more of the request's content
    ORIGIN_FAILED = "origin-failed"
    ORIGIN_TIMEOUT = "origin-timeout"
    ORIGIN_BROKEN = "origin-broken"
    CLIENT_GONE = "client-gone"  # before the answer was complete
    BROKEN_OFF = "broken-off"  # the answer, which had begun


# How a reason is told in `Cache-Status`. Source: RFC 9211 §2.2
FORWARD = {
    Why.MISS: Forward.URI_MISS,
    Why.VARIANT_MISS: Forward.VARY_MISS,
    Why.PURGED: Forward.MISS,
    Why.EXPIRED: Forward.STALE,
    Why.VALIDATED: Forward.STALE,
    Why.REQUEST: Forward.REQUEST,
    Why.PASS_METHOD: Forward.METHOD,
    Why.PASS_UPGRADE: Forward.BYPASS,
    Why.PASS_CONTENT: Forward.BYPASS,
    Why.PASS_AUTHORIZATION: Forward.BYPASS,
    Why.PASS_RANGE: Forward.PARTIAL,
    Why.PASS_NO_STORE: Forward.REQUEST,
    Why.PASS_KNOWN: Forward.BYPASS,
    Why.PASS_UNSHARED: Forward.MISS,
}

# The reasons of an answer for which the origin was not asked.
HITS = (Why.HIT, Why.HIT_STALE, Why.STALE_ERROR)


@dataclass(frozen=True, slots=True)
class Serve:
    """Send what is stored; `renew` it in the background."""

    why: Why
    renew: bool = False


@dataclass(frozen=True, slots=True)
class Revalidate:
    """Ask the origin whether what is stored is still right, before it is sent."""

    why: Why


@dataclass(frozen=True, slots=True)
class Fetch:
    """Get it from the origin, for everyone who asks, and store it if it may be."""

    why: Why


@dataclass(frozen=True, slots=True)
class Pass:
    """Forward this one request to the origin; nothing is shared."""

    why: Why


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with this status."""

    status: int
    why: Why


Decision = Serve | Revalidate | Fetch | Pass | Refuse


def decide_alone(request: Request, directives: Directives) -> Pass | None:
    """What the request alone decides: None when it depends on what is stored.

    A request with `Authorization` is passed even where RFC 9111 §3.5 would let a public response answer
    it: no shared answer for who says who he is. Source: RFC 9110 §9.3, §7.8, RFC 9111 §5.2.1.5
    """
    fields = request.fields
    if request.method not in (b"GET", b"HEAD"):
        return Pass(Why.PASS_METHOD)
    # To WebSocket only: h2c would be a tunnel past all that is decided and removed here.
    if (
        request.version == b"1.1"
        and b"upgrade" in names(fields.get(b"connection"))
        and names(fields.get(b"upgrade")) == [b"websocket"]
    ):
        return Pass(Why.PASS_UPGRADE)
    if b"transfer-encoding" in fields or (fields.get(b"content-length") or b"0").strip(b"0"):
        return Pass(Why.PASS_CONTENT)
    if b"authorization" in fields:
        return Pass(Why.PASS_AUTHORIZATION)
    if directives.no_store:
        return Pass(Why.PASS_NO_STORE)
    return None


def decide(
    request: Request,
    directives: Directives,
    page: Page | None,
    variants: bool,
    verdict: Verdict,
    now: float,
) -> Decision:
    """What to do with a GET or HEAD for which `decide_alone` says nothing.

    `directives` are those of the request's Cache-Control. `page` is what is stored for it, `variants`
    whether other pages are for the same URL, `verdict` the purge clock's on the page, and `now` is in
    seconds since the epoch. A purged page is never validated: a validator with the precision of a second
    would bring it back. Source: RFC 9111 §4
    """
    if page is None or verdict is Verdict.PURGED:
        if directives.only_if_cached:
            return Refuse(504, Why.ONLY_IF_CACHED)
        if b"range" in request.fields:
            return Pass(Why.PASS_RANGE)
        if request.method == b"HEAD":
            return Pass(Why.PASS_METHOD)
        if page is not None:
            return Fetch(Why.PURGED)
        return Fetch(Why.VARIANT_MISS if variants else Why.MISS)
    reuse = judge(directives, page.freshness, now, verdict is Verdict.SOFT)
    if reuse is Reuse.FRESH:
        return Serve(Why.HIT)
    if reuse is Reuse.STALE_WHILE_REVALIDATE:
        return Serve(Why.HIT_STALE, renew=True)
    if directives.only_if_cached:
        return Refuse(504, Why.ONLY_IF_CACHED)
    asked = directives.no_cache or directives.max_age is not None or directives.min_fresh is not None
    why = Why.REQUEST if asked else Why.EXPIRED
    return Revalidate(why) if has_validator(page.fields, now) else Fetch(why)
