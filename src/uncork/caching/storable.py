"""Whether a response may be stored, and with what freshness.

Lives here: what a shared cache may store, the freshness lifetime, and each reason not to store.
Doesn't know: keys, stores and purges, and whether the response arrived whole.
"""

from dataclasses import dataclass
from enum import Enum

from uncork.caching.directives import (
    DELTA_MAX,
    Directives,
    parse_delta_seconds,
    parse_directives,
    response_directives,
)
from uncork.caching.freshness import Freshness, Source, initial_age
from uncork.caching.vary import vary_names
from uncork.semantics.dates import parse_date
from uncork.semantics.etags import parse_etag
from uncork.semantics.fields import Fields, names
from uncork.semantics.messages import HOP_BY_HOP, REASONS, Request, Response


class NotStorable(Enum):
    """Why a response isn't stored. The value is what `Cache-Status` and the log say of it."""

    METHOD = "method"
    REQUEST_CONTENT = "request-content"
    REQUEST_NO_STORE = "request-no-store"
    AUTHORIZATION = "authorization"
    INTERIM = "interim-status"
    PARTIAL = "partial"
    NOT_MODIFIED = "not-modified"
    ABOUT_THE_REQUEST = "status-about-the-request"
    NOT_UNDERSTOOD = "status-not-understood"
    NO_STORE = "no-store"
    PRIVATE = "private"
    SET_COOKIE = "set-cookie"
    VARY_ALL = "vary-all"
    VARY_CLIENT = "vary-client"
    STATUS = "status-without-freshness"
    NO_FRESHNESS = "no-freshness"
    ALREADY_STALE = "already-stale"


@dataclass(frozen=True, slots=True)
class CacheOptions:
    """What the operator adds to what the origin says; nothing here outweighs the origin. In seconds.

    `default_ttl`: the lifetime of a response without any, if its status is heuristically cacheable or it
    is `public`.
    `heuristic_fraction`: the part of the time since `Last-Modified` that counts as fresh, at most
    `heuristic_max`; 0 switches heuristics off. `negative_ttl`: the lifetime of a 404 or 410 without one; it
    outweighs heuristics. `stale_while_revalidate`, `stale_if_error`: used when the response has no such
    directive, was fresh when it came, and nothing forbids to use it stale.
    """

    default_ttl: int = 0
    heuristic_fraction: float = 0.0
    heuristic_max: int = 3600
    negative_ttl: int = 0
    stale_while_revalidate: int = 0
    stale_if_error: int = 86400


# Source: RFC 9110 §15.1 (206 is never stored here), RFC 7725 §3
HEURISTICALLY_CACHEABLE = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 451, 501})

# These tell about one request's condition, size, time or connection, not about the resource: stored, one
# client's bad request would answer everyone. RFC 6585 §3 to §6 forbids to store 428, 429, 431 and 511.
ABOUT_THE_REQUEST = frozenset({407, 408, 412, 413, 416, 417, 421, 425, 428, 429, 431, 511})

# The registered ones but 226, whose instance manipulations this cache doesn't know (RFC 3229 §5.5).
UNDERSTOOD = frozenset(REASONS) - {226}

NEGATIVE = frozenset({404, 410})


def plan_storing(
    request: Request, response: Response, requested_at: float, received_at: float, options: CacheOptions
) -> Freshness | NotStorable:
    """The freshness to store this response with, or the reason not to store it.

    `requested_at` and `received_at` are when the request was sent and the head of the response was
    there, in seconds since the epoch. A response that is stale on arrival is storable if it has a
    validator or may be served stale. After a 304, this is asked again with the freshened fields.
    Source: RFC 9111 §3
    """
    directives, targeted = response_directives(response.fields)
    hindrance = _request_hindrance(request, directives) or _response_hindrance(response, directives)
    if hindrance is not None:
        return hindrance
    found = _lifetime(response, directives, targeted, received_at, options)
    if found is None:
        return NotStorable.STATUS
    lifetime, source = found
    fields = response.fields
    age = initial_age(
        _date(fields, b"date", received_at), _age(fields.get(b"age")), requested_at, received_at
    )
    # For a shared cache, s-maxage has the meaning of proxy-revalidate. Source: RFC 9111 §5.2.2.10
    # And a response of which nobody said how long it is good is used only if its origin says so each time:
    # no client's max-stale gets at it.
    must_revalidate = (
        directives.must_revalidate
        or directives.proxy_revalidate
        or directives.s_maxage is not None
        or source is Source.NONE
    )
    if must_revalidate or directives.no_cache:
        revalidate, error = 0, 0
    else:
        revalidate, error = _grace(directives, options, fresh=lifetime > age)
    usable = lifetime + max(revalidate, error) > age and not directives.no_cache
    if not usable and not has_validator(fields, received_at):
        return NotStorable.NO_FRESHNESS if source is Source.NONE else NotStorable.ALREADY_STALE
    return Freshness(
        response_time=received_at,
        corrected_initial_age=age,
        lifetime=lifetime,
        stale_while_revalidate=revalidate,
        stale_if_error=error,
        must_revalidate=must_revalidate,
        no_cache=directives.no_cache,
        source=source,
        targeted=targeted,
    )


def storable_fields(fields: Fields) -> Fields:
    """The fields to store of a response: those of the connection are left out, and Age, which is kept as a
    number. Source: RFC 9111 §3.1"""
    return fields.without(*HOP_BY_HOP, b"age", *names(fields.get(b"connection")))


def has_validator(fields: Fields, now: float) -> bool:
    """Whether the origin can be asked if this response is still right. Source: RFC 9110 §8.8"""
    etag = fields.get(b"etag")
    if etag is not None and parse_etag(etag) is not None:
        return True
    return _date(fields, b"last-modified", now) is not None


def _request_hindrance(request: Request, directives: Directives) -> NotStorable | None:
    fields = request.fields
    if request.method != b"GET":
        return NotStorable.METHOD
    # No key holds a request's content, which an origin may well read. Source: RFC 9110 §9.3.1
    if b"transfer-encoding" in fields or (fields.get(b"content-length") or b"0").strip(b"0"):
        return NotStorable.REQUEST_CONTENT
    if parse_directives(fields.get(b"cache-control")).no_store:
        return NotStorable.REQUEST_NO_STORE
    # Source: RFC 9111 §3.5
    shared = directives.public or directives.must_revalidate or directives.s_maxage is not None
    if b"authorization" in fields and not shared:
        return NotStorable.AUTHORIZATION
    return None


def _response_hindrance(response: Response, directives: Directives) -> NotStorable | None:
    status = response.status
    if status < 200:
        return NotStorable.INTERIM
    if status == 206:
        return NotStorable.PARTIAL
    if status == 304:
        return NotStorable.NOT_MODIFIED
    if status in ABOUT_THE_REQUEST:
        return NotStorable.ABOUT_THE_REQUEST
    # must-understand lifts no-store, which is there for caches that don't know must-understand.
    # Source: RFC 9111 §3, §5.2.2.3
    if directives.must_understand:
        if status not in UNDERSTOOD:
            return NotStorable.NOT_UNDERSTOOD
    elif directives.no_store:
        return NotStorable.NO_STORE
    if directives.private:
        return NotStorable.PRIVATE
    # Stricter than RFC 9111 §7.3: a cookie that everyone is handed is never what was meant.
    if b"set-cookie" in response.fields:
        return NotStorable.SET_COOKIE
    varying = vary_names(response.fields)
    if varying is None:
        return NotStorable.VARY_ALL
    # Proxies write this one for each client, so the origin's answer is to another value than the request's.
    if b"x-forwarded-for" in varying:
        return NotStorable.VARY_CLIENT
    return None


def _lifetime(
    response: Response, directives: Directives, targeted: bool, received_at: float, options: CacheOptions
) -> tuple[int, Source] | None:
    """The freshness lifetime, None when the response isn't even cacheable without one.

    Source: RFC 9111 §3, §4.2.1, §4.2.2
    """
    fields = response.fields
    if directives.s_maxage is not None:
        return directives.s_maxage, Source.S_MAXAGE
    if directives.max_age is not None:
        return directives.max_age, Source.MAX_AGE
    # A clock that wasn't told can only be ours. Source: RFC 9110 §6.6.1
    date = _date(fields, b"date", received_at)
    if date is None:
        date = int(received_at)
    if not targeted and b"expires" in fields:
        # A bad date, "0" above all, is in the past. Source: RFC 9111 §5.3
        expires = _date(fields, b"expires", received_at)
        return 0 if expires is None else _clamped(expires - date), Source.EXPIRES
    if response.status not in HEURISTICALLY_CACHEABLE and not directives.public:
        return None
    if response.status in NEGATIVE and options.negative_ttl > 0:
        return options.negative_ttl, Source.NEGATIVE
    modified = _date(fields, b"last-modified", received_at)
    if modified is not None and options.heuristic_fraction > 0:
        heuristic = min(int((date - modified) * options.heuristic_fraction), options.heuristic_max)
        return _clamped(heuristic), Source.HEURISTIC
    if options.default_ttl > 0:
        return options.default_ttl, Source.DEFAULT
    return 0, Source.NONE


def _grace(directives: Directives, options: CacheOptions, fresh: bool) -> tuple[int, int]:
    """(stale-while-revalidate, stale-if-error). Source: RFC 9111 §4.2.4, RFC 5861 §3, §4"""
    revalidate = directives.stale_while_revalidate
    if revalidate is None:
        revalidate = options.stale_while_revalidate if fresh else 0
    error = directives.stale_if_error
    if error is None:
        error = options.stale_if_error if fresh else 0
    return revalidate, error


def _date(fields: Fields, name: bytes, now: float) -> int | None:
    value = fields.get(name)
    return None if value is None else parse_date(value, now)


def _age(value: bytes | None) -> int | None:
    """The first member; a bad one is ignored. Source: RFC 9111 §5.1"""
    return None if value is None else parse_delta_seconds(value.partition(b",")[0].strip(b" \t"))


def _clamped(seconds: int) -> int:
    return min(max(seconds, 0), DELTA_MAX)
