"""Two requests that have the same of all that a page was made of get the same page.

A view that reads at random, what it reads next depending on what it found, is asked by two random requests.
Where the second has, of all inputs that the first one's record names, what the first has, as the edge reads
them off a request, its page is the first one's, byte for byte.
"""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from django.http import HttpResponse
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from support.django_requests import AUTH, CSRF, MESSAGES, SESSIONS, Site
from support.soak import soak
from uncork.pages.keys import matches, select
from uncork.semantics.fields import Fields
from uncork.semantics.messages import Request

NAMES = ("a", "ü", "sessionid", "csrftoken")
FIELDS = ("accept-language", "user-agent", "x-custom", "accept", "content-type", "cookie")

READS: dict[str, Callable[[Any, str, str], Any]] = {
    "cookie": lambda r, name, field: r.COOKIES.get(name),
    "has cookie": lambda r, name, field: name in r.COOKIES,
    "cookies": lambda r, name, field: sorted(r.COOKIES.items()),
    "parameter": lambda r, name, field: r.GET.get(name),
    "parameters": lambda r, name, field: r.GET.getlist(name),
    "has parameter": lambda r, name, field: name in r.GET,
    "query": lambda r, name, field: r.GET.urlencode(),
    "any query": lambda r, name, field: bool(r.GET),
    "full path": lambda r, name, field: r.get_full_path(),
    "field": lambda r, name, field: r.headers.get(field),
    "has field": lambda r, name, field: field in r.headers,
    "meta": lambda r, name, field: r.META.get("HTTP_" + field.upper().replace("-", "_")),
    "content type": lambda r, name, field: r.content_type,
    "accepts": lambda r, name, field: r.accepts("application/json"),
    "session": lambda r, name, field: r.session.get(name),
    "user": lambda r, name, field: str(r.user),
    "host": lambda r, name, field: (r.get_host(), r.path, r.scheme, r.method),
    "address": lambda r, name, field: r.META.get("REMOTE_ADDR"),
    "headers": lambda r, name, field: sorted(r.headers.items()),
}

step = st.tuples(st.sampled_from(sorted(READS)), st.sampled_from(NAMES), st.sampled_from(FIELDS))
steps = st.lists(step, min_size=1, max_size=2)

WORDS = ("", "1", "2", "ü", "a b", '"q"', "short")
VALUES = ("", "de", "de, en;q=0.5", "text/html", "application/json", "text/plain; charset=latin-1")
# As they are sent: what no form makes, too.
parameters = st.builds(
    lambda name, value: f"{quote(name)}={quote(value)}", st.sampled_from(NAMES), st.sampled_from(WORDS)
) | st.sampled_from(["a", "", "A=1", "a;b=2", "%61=1", "a=%FF", "a=%C3", "a+=1", "=1"])
cookies = st.builds(
    lambda name, value: f"{name}={value}", st.sampled_from(NAMES), st.sampled_from(WORDS)
) | st.sampled_from(["a", "", "A=1", " a = 1", "a=1,b=2", "=1"])
fields = st.tuples(st.sampled_from(FIELDS[:-1]), st.sampled_from(VALUES))

KINDS = {"query": parameters, "cookie": cookies, "fields": fields}
requests = st.fixed_dictionaries({kind: st.lists(one, max_size=3) for kind, one in KINDS.items()})


@st.composite
def alterations(draw: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """One thing that is left out, put in, or put in the place of another."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    more = draw(st.lists(KINDS[kind], max_size=1))
    start, stop = sorted(draw(st.lists(st.integers(0, 2), min_size=2, max_size=2)))
    return lambda asked: asked | {kind: [*asked[kind][:start], *more, *asked[kind][stop:]]}


def a_view(paths: list[list[tuple[str, str, str]]]) -> Callable[[Any], HttpResponse]:
    """The first path is always taken, and another one by what was found there."""

    def view(request: Any) -> HttpResponse:
        found = [READS[read](request, name, field) for read, name, field in paths[0]]
        other = paths[sum(map(ord, repr(found))) % len(paths)]
        found += [READS[read](request, name, field) for read, name, field in other]
        return HttpResponse(repr(found).encode("utf-8", "backslashreplace"))

    return view


def query_of(asked: dict[str, Any]) -> str:
    return "&".join(asked["query"])


def fields_of(asked: dict[str, Any]) -> dict[str, str]:
    """As the application's server decodes them."""
    cookie = "; ".join(asked["cookie"]).strip().encode().decode("latin-1")
    return dict(asked["fields"]) | ({"cookie": cookie} if cookie else {})


def as_the_edge_sees(asked: dict[str, Any]) -> Request:
    fields = [(name.encode(), value.encode("latin-1")) for name, value in fields_of(asked).items()]
    query = query_of(asked).encode() or None
    return Request(b"GET", b"http", b"example.org", b"/page/", query, b"1.1", Fields(fields))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("state"))
    yield made
    made.table.close()


@settings(
    max_examples=int(soak(400)), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    paths=st.lists(steps, min_size=1, max_size=3),
    first=requests,
    altered=st.lists(alterations(), min_size=3, max_size=5),
    asgi=st.booleans(),
)
def test_who_has_the_same_inputs_gets_the_same_page(
    site: Site, sqlite: str, paths: Any, first: Any, altered: Any, asgi: bool
) -> None:
    asked = [first, *(alter(first) for alter in altered)]
    with site.serving(a_view(paths), asgi=asgi, middleware=[SESSIONS, CSRF, AUTH, MESSAGES]) as send:
        one, *others = (
            send("/page/" + ("?" + query if (query := query_of(request)) else ""), fields_of(request))
            for request in asked
        )
    assert one.status == 200 and one.record is not None
    inputs = select(one.record.inputs, as_the_edge_sees(first))
    for request, two in zip(asked[1:], others, strict=True):
        if not matches(inputs, as_the_edge_sees(request)):
            event("different inputs")
            continue
        event("the same inputs")
        assert two.unshared == one.unshared
        if one.unshared is None and not one.cookies:  # what comes with a cookie, nobody keeps
            event("and shared")
            assert two.body == one.body
            if not two.cookies:
                assert two.fields == one.fields
