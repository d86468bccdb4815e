"""Pages and requests for tests of the rooms that keep them."""

from dataclasses import replace
from typing import Any

from uncork.caching.freshness import Freshness, Source
from uncork.pages.page import Page
from uncork.semantics.fields import Fields
from uncork.semantics.messages import Request

FRESHNESS = Freshness(
    response_time=1_700_000_000.25,
    corrected_initial_age=1.5,
    lifetime=600,
    stale_while_revalidate=30,
    stale_if_error=86400,
    must_revalidate=True,
    source=Source.S_MAXAGE,
)

PAGE = Page(
    url=b"http://example.org/events/17/?page=2",
    status=200,
    fields=Fields([(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"s-maxage=600")]),
    freshness=FRESHNESS,
    stamp=1_700_000_000_000_000_001,
    slots=(1, 5, 1_048_575),
)


def page(**changes: Any) -> Page:
    """A page that differs from PAGE in this."""
    return replace(PAGE, **changes)


def request(target: bytes = b"/events/17/", *fields: tuple[bytes, bytes]) -> Request:
    """A GET request to http://example.org."""
    path, mark, query = target.partition(b"?")
    return Request(b"GET", b"http", b"example.org", path, query if mark else None, b"1.1", Fields(fields))
