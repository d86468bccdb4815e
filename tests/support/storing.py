"""Short ways to write a request and a response, and to ask what the cache makes of them."""

from uncork.caching.freshness import Freshness
from uncork.caching.storable import CacheOptions, NotStorable, plan_storing
from uncork.semantics.dates import format_date
from uncork.semantics.fields import Field, Fields
from uncork.semantics.messages import Request, Response

NOW = 1_700_000_000.0
ETAG = (b"etag", b'"x"')
BARE = CacheOptions(heuristic_fraction=0, stale_if_error=0)


def at(seconds: float) -> bytes:
    """The HTTP date so many seconds from now."""
    return format_date(NOW + seconds)


DATE = (b"date", at(0))
FAR = b"Sun, 21 Nov 9286 04:46:39 GMT"


def cc(value: bytes) -> Field:
    return b"cache-control", value


def cdn(value: bytes) -> Field:
    return b"cdn-cache-control", value


def get(*fields: Field, method: bytes = b"GET") -> Request:
    return Request(method, b"http", b"h", b"/", None, b"1.1", Fields(fields))


def plan(
    *fields: Field,
    request: Request | None = None,
    status: int = 200,
    options: CacheOptions = BARE,
    delay: float = 0.0,
) -> Freshness | NotStorable:
    response = Response(status, Fields(fields))
    return plan_storing(request or get(), response, NOW - delay, NOW, options)


def stored(*fields: Field, status: int = 200, options: CacheOptions = BARE, delay: float = 0.0) -> Freshness:
    found = plan(*fields, status=status, options=options, delay=delay)
    assert isinstance(found, Freshness)
    return found


FRESH = cc(b"max-age=60")
