"""What counts as an input: each way to read a request, through Django's handlers."""

import copy
import io
import json
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse, QueryDict

from support.django_requests import Site
from uncork.pages.keys import UnknownInput, parse_inputs


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.table.close()


COOKIES = "a=1; b=2"
QUERY = "?q=x&page=2&q=y"
FIELDS = {
    "Cookie": COOKIES,
    "Accept-Language": "de",
    "User-Agent": "tests",
    "X-Custom": "c",
    "Content-Type": "text/plain",
    "If-None-Match": '"x"',
    "Range": "bytes=0-1",
    "Forwarded": "for=192.0.2.9",
}

Read = Callable[[Any], Any]

# What is read, the inputs, and why the page is not shared.
READS: list[tuple[str, Read, set[str], str | None]] = [
    ("nothing", lambda r: "", set(), None),
    ("the method", lambda r: r.method, set(), None),
    ("the path", lambda r: r.path + r.path_info + r.META["PATH_INFO"] + r.META["SCRIPT_NAME"], set(), None),
    ("the host", lambda r: (r.get_host(), r.get_port(), r.META["HTTP_HOST"], r.headers["Host"]), set(), None),
    ("the scheme", lambda r: (r.scheme, r.is_secure(), r.META.get("wsgi.url_scheme")), set(), None),
    ("the server", lambda r: (r.META["SERVER_NAME"], r.META.get("SERVER_SOFTWARE")), set(), None),
    ("a relative URL", lambda r: r.build_absolute_uri("/other/"), set(), None),
    # Cookies
    ("a cookie", lambda r: r.COOKIES["a"], {"cookie:a"}, None),
    ("a cookie by get", lambda r: r.COOKIES.get("a"), {"cookie:a"}, None),
    ("a missing cookie", lambda r: r.COOKIES.get("z"), {"cookie:z"}, None),
    ("whether a cookie is there", lambda r: "z" in r.COOKIES, {"cookie:z"}, None),
    ("a signed cookie", lambda r: r.get_signed_cookie("a", default=None), {"cookie:a"}, None),
    ("a cookie taken out", lambda r: r.COOKIES.pop("a", None), {"cookie:a"}, None),
    ("a cookie with a default", lambda r: r.COOKIES.setdefault("z", "1"), {"cookie:z"}, None),
    ("a cookie that isn't ASCII", lambda r: r.COOKIES.get("ключ"), {"cookie:ключ"}, None),
    ("two cookies", lambda r: r.COOKIES["a"] + r.COOKIES["b"], {"cookie:a", "cookie:b"}, None),
    ("all cookies", lambda r: list(r.COOKIES), {"field:cookie"}, None),
    ("all cookies and one", lambda r: (list(r.COOKIES), r.COOKIES["a"]), {"field:cookie"}, None),
    ("how many cookies", lambda r: len(r.COOKIES), {"field:cookie"}, None),
    ("whether any cookie", lambda r: bool(r.COOKIES), {"field:cookie"}, None),
    ("cookies as a dictionary", lambda r: dict(r.COOKIES), {"field:cookie"}, None),
    ("cookies unpacked", lambda r: {**r.COOKIES}, {"field:cookie"}, None),
    ("cookies as arguments", lambda r: (lambda **k: k)(**r.COOKIES), {"field:cookie"}, None),
    ("cookies merged", lambda r: r.COOKIES | {}, {"field:cookie"}, None),
    ("cookies merged into others", lambda r: {} | r.COOKIES, {"field:cookie"}, None),
    ("cookies updated from", lambda r: {}.update(r.COOKIES), {"field:cookie"}, None),
    ("cookies compared", lambda r: r.COOKIES == {}, {"field:cookie"}, None),
    ("cookies shown", lambda r: repr(r.COOKIES), {"field:cookie"}, None),
    ("cookies formatted", lambda r: f"{r.COOKIES}", {"field:cookie"}, None),
    ("cookies copied", lambda r: r.COOKIES.copy(), {"field:cookie"}, None),
    ("cookies copied by copy", lambda r: copy.copy(r.COOKIES), {"field:cookie"}, None),
    ("cookies copied deeply", lambda r: copy.deepcopy(r.COOKIES), {"field:cookie"}, None),
    ("cookies pickled", lambda r: pickle.loads(pickle.dumps(r.COOKIES)), {"field:cookie"}, None),
    ("cookies as JSON", lambda r: json.dumps(r.COOKIES), {"field:cookie"}, None),
    ("the last cookie", lambda r: r.COOKIES.popitem(), {"field:cookie"}, None),
    ("cookies backwards", lambda r: list(reversed(r.COOKIES)), {"field:cookie"}, None),
    ("a cookie by %", lambda r: "%(a)s".__mod__(r.COOKIES), {"cookie:a"}, None),
    ("a cookie by format_map", lambda r: "{a}".format_map(r.COOKIES), {"cookie:a"}, None),
    ("the cookie field", lambda r: r.META["HTTP_COOKIE"], {"field:cookie"}, None),
    ("the cookie header", lambda r: r.headers.get("cookie"), {"field:cookie"}, None),
    # The query
    ("a parameter", lambda r: r.GET["q"], {"query:q"}, None),
    ("a parameter by get", lambda r: r.GET.get("q"), {"query:q"}, None),
    ("all of a parameter", lambda r: r.GET.getlist("q"), {"query:q"}, None),
    ("a missing parameter", lambda r: r.GET.get("z", "1"), {"query:z"}, None),
    ("whether a parameter is there", lambda r: "z" in r.GET, {"query:z"}, None),
    ("a parameter that isn't Unicode", lambda r: r.GET.get("\ud800"), {"query:\ufffd\ufffd\ufffd"}, None),
    ("all parameters", lambda r: list(r.GET), {"query"}, None),
    ("the items", lambda r: list(r.GET.items()), {"query"}, None),
    ("the lists", lambda r: list(r.GET.lists()), {"query"}, None),
    ("the values", lambda r: list(r.GET.values()), {"query"}, None),
    ("the keys", lambda r: list(r.GET.keys()), {"query"}, None),
    ("the query as a dictionary", lambda r: r.GET.dict(), {"query"}, None),
    ("the query as dict()", lambda r: dict(r.GET), {"query"}, None),
    ("the query unpacked", lambda r: {**r.GET}, {"query"}, None),
    ("the query again", lambda r: r.GET.urlencode(), {"query"}, None),
    ("how many parameters", lambda r: len(r.GET), {"query"}, None),
    ("whether any parameter", lambda r: bool(r.GET), {"query"}, None),
    ("the query or nothing", lambda r: r.GET or None, {"query"}, None),
    ("the query compared", lambda r: QueryDict("") == r.GET, {"query"}, None),
    ("the query shown", lambda r: str(r.GET), {"query"}, None),
    ("the query copied", lambda r: r.GET.copy().get("q"), {"query"}, None),
    ("the query copied by copy", lambda r: copy.copy(r.GET)["q"], {"query"}, None),
    ("the query copied deeply", lambda r: copy.deepcopy(r.GET)["q"], {"query"}, None),
    ("the query pickled", lambda r: pickle.loads(pickle.dumps(r.GET))["q"], {"query"}, None),
    ("the query as JSON", lambda r: json.dumps(r.GET), {"query"}, None),
    ("the query string", lambda r: r.META["QUERY_STRING"], {"query"}, None),
    ("the full path", lambda r: r.get_full_path(), {"query"}, None),
    ("the full path info", lambda r: r.get_full_path_info(), {"query"}, None),
    ("the absolute URL", lambda r: r.build_absolute_uri(), {"query"}, None),
    ("the request shown", lambda r: repr(r), {"query"}, None),
    # Fields
    ("a field", lambda r: r.META["HTTP_X_CUSTOM"], {"field:x-custom"}, None),
    ("a missing field", lambda r: r.META.get("HTTP_X_NONE"), {"field:x-none"}, None),
    ("whether a field is there", lambda r: "HTTP_X_NONE" in r.META, {"field:x-none"}, None),
    ("a header", lambda r: r.headers["X-Custom"], {"field:x-custom"}, None),
    ("a header by get", lambda r: r.headers.get("x_custom"), {"field:x-custom"}, None),
    ("a missing header", lambda r: r.headers.get("X-None"), {"field:x-none"}, None),
    ("whether a header is there", lambda r: "X-None" in r.headers, {"field:x-none"}, None),
    ("whether there are headers", lambda r: bool(r.headers), set(), None),
    ("what it accepts", lambda r: r.accepts("text/html"), {"field:accept"}, None),
    ("the type of its content", lambda r: r.META["CONTENT_TYPE"], {"field:content-type"}, None),
    ("… in a header", lambda r: r.headers["Content-Type"], {"field:content-type"}, None),
    ("… as an attribute", lambda r: r.content_type, {"field:content-type"}, None),
    ("… with its parameters", lambda r: r.content_params, {"field:content-type"}, None),
    ("the size of its content", lambda r: (r.META.get("CONTENT_LENGTH"), r.body), set(), None),
    ("its form", lambda r: (r.POST.get("x"), list(r.FILES)), set(), None),
    (
        "a condition",
        lambda r: (r.META["HTTP_IF_NONE_MATCH"], r.headers.get("If-Range")),
        set(),
        None,
    ),
    ("a range", lambda r: r.META["HTTP_RANGE"], set(), None),
    (
        "what no edge sends on",
        lambda r: (r.headers.get("Forwarded"), r.headers.get("TE")),
        set(),
        None,
    ),
    ("the mark of the edge", lambda r: (r.META.get("HTTP_UNCORK_EDGE"), ""), {"field:uncork-edge"}, None),
    # The client
    ("the address", lambda r: r.META["REMOTE_ADDR"], set(), "client-address"),
    ("the address that was forwarded", lambda r: r.META["HTTP_X_FORWARDED_FOR"], set(), "client-address"),
    ("… in a header", lambda r: r.headers.get("X-Forwarded-For"), set(), "client-address"),
    ("the user of the server", lambda r: r.META.get("REMOTE_USER"), set(), "client-address"),
    ("the certificate", lambda r: r.META.get("SSL_CLIENT_S_DN"), set(), "client-address"),
    # Everything
    ("all of META", lambda r: list(r.META), set(), "whole-request"),
    ("META's items", lambda r: list(r.META.items()), set(), "whole-request"),
    ("META as dict()", lambda r: dict(r.META), set(), "whole-request"),
    ("META unpacked", lambda r: {**r.META}, set(), "whole-request"),
    ("META copied", lambda r: r.META.copy(), set(), "whole-request"),
    ("META copied by copy", lambda r: copy.copy(r.META), set(), "whole-request"),
    ("META shown", lambda r: repr(r.META), set(), "whole-request"),
    ("META compared", lambda r: r.META == {}, set(), "whole-request"),
    ("all headers", lambda r: list(r.headers), set(), "whole-request"),
    ("headers' items", lambda r: list(r.headers.items()), set(), "whole-request"),
    ("headers as dict()", lambda r: dict(r.headers), set(), "whole-request"),
    ("headers shown", lambda r: repr(r.headers), set(), "whole-request"),
    ("headers compared", lambda r: r.headers == {}, set(), "whole-request"),
    ("something unknown", lambda r: r.META.get("x.of.some.wrapper"), set(), "whole-request"),
    # What the project put in itself
    ("one's own META", lambda r: (r.META.__setitem__("mine", "1"), r.META["mine"]), set(), None),
    ("one's own field", lambda r: (r.META.update(HTTP_X_NONE="1"), r.META["HTTP_X_NONE"]), set(), None),
    ("one's own cookie", lambda r: (r.COOKIES.__setitem__("z", "1"), r.COOKIES["z"]), set(), None),
]


@pytest.mark.parametrize("asgi", [False, True], ids=["wsgi", "asgi"])
@pytest.mark.parametrize("read, inputs, unshared", [row[1:] for row in READS], ids=[row[0] for row in READS])
def test_each_read_is_its_input(
    site: Site, read: Read, inputs: set[str], unshared: str | None, asgi: bool
) -> None:
    def view(request: Any) -> HttpResponse:
        return HttpResponse(str(read(request)).encode("utf-8", "replace"))

    answer = site.ask(view, "/page/" + QUERY, FIELDS, asgi=asgi)
    assert answer.status == 200
    assert answer.record is not None
    assert {name.decode(errors="replace") for name in answer.record.inputs} == inputs
    assert answer.unshared == unshared


@pytest.mark.parametrize(
    "key, inputs, unshared",
    [
        ("environ", set(), None),
        ("REQUEST_URI", {"query"}, None),
        ("RAW_URI", {"query"}, None),
        ("gunicorn.socket", set(), None),
    ],
)
def test_the_environ_is_meta(site: Site, key: str, inputs: set[str], unshared: str | None) -> None:
    def view(request: Any) -> HttpResponse:
        return HttpResponse(str(request.environ is request.META and request.environ.get(key, "")))

    answer = site.ask(view, "/page/" + QUERY, environ={"environ": "1"})
    if key == "environ":
        assert answer.unshared == "whole-request"
    else:
        assert (answer.inputs, answer.unshared) == (inputs, unshared)


@pytest.mark.parametrize(
    "read, inputs, unshared",
    [
        (lambda scope: (scope["type"], scope["path"], scope["method"], scope["scheme"]), set(), None),
        (lambda scope: scope["query_string"], {"query"}, None),
        (lambda scope: scope["headers"], set(), "whole-request"),
        (lambda scope: scope.get("client"), set(), "client-address"),
        (lambda scope: scope.get("session"), set(), "whole-request"),
        (lambda scope: dict(scope), set(), "whole-request"),
    ],
)
def test_the_scope(site: Site, read: Read, inputs: set[str], unshared: str | None) -> None:
    async def view(request: Any) -> HttpResponse:
        return HttpResponse(str(read(request.scope)))

    answer = site.ask(view, "/page/" + QUERY, FIELDS, asgi=True)
    assert (answer.inputs, answer.unshared) == (inputs, unshared)


def test_what_the_middleware_hands_on_is_what_django_would(site: Site) -> None:
    """The same values and types to code that doesn't know of the recorder."""
    seen: dict[str, Any] = {}

    def view(request: Any) -> HttpResponse:
        query = request.GET
        seen["get"] = [query["q"], query.getlist("q"), query.get("z", "d"), query.dict(), sorted(query)]
        seen["again"] = [query.urlencode(), len(query)]
        changed = request.GET.copy()
        changed["q"] = "other"
        changed.setlist("more", ["1", "2"])
        seen["changed"] = [type(changed) is QueryDict, changed.urlencode(), request.GET["q"]]
        with pytest.raises(AttributeError):
            request.GET["q"] = "other"
        with pytest.raises(KeyError):
            request.GET["z"]
        with pytest.raises(KeyError):
            request.COOKIES["z"]
        with pytest.raises(KeyError):
            request.META["HTTP_X_NONE"]
        with pytest.raises(KeyError):
            request.headers["X-None"]
        seen["pickled"] = pickle.loads(pickle.dumps(request.GET)) == request.GET
        seen["cookies"] = [dict(request.COOKIES), request.COOKIES | {"c": "3"}]
        seen["headers"] = [request.headers["accept-language"], sorted(request.headers), len(request.headers)]
        seen["meta"] = [request.META["HTTP_ACCEPT_LANGUAGE"], bool(request.META)]
        seen["kinds"] = [isinstance(request.META, dict), isinstance(request.GET, QueryDict)]
        seen["name"] = type(request).__name__
        seen["types"] = [str(found) for found in request.accepted_types]
        return HttpResponse()

    site.ask(view, "/page/" + QUERY, FIELDS)
    assert seen["get"] == ["y", ["x", "y"], "d", {"q": "y", "page": "2"}, ["page", "q"]]
    assert seen["again"] == ["q=x&q=y&page=2", 2]
    assert seen["changed"] == [True, "q=other&page=2&more=1&more=2", "y"]
    assert seen["pickled"] is True
    assert seen["cookies"] == [{"a": "1", "b": "2"}, {"a": "1", "b": "2", "c": "3"}]
    names = [*FIELDS, "Host", "X-Forwarded-For"]
    assert seen["headers"] == ["de", sorted(names), len(names)]
    assert seen["meta"] == ["de", True] and seen["kinds"] == [True, True]
    assert seen["name"] == "WSGIRequest"
    assert seen["types"] == ["*/*"]


@pytest.mark.parametrize("kind", [WSGIRequest, type], ids=["of Django", "of its own class"])
@pytest.mark.parametrize(
    ("read", "counted"),
    [
        (lambda r: r.COOKIES["a"], "field:cookie"),
        (lambda r: r.GET["page"], "query"),
        (lambda r: r.get_full_path(), "query"),
        (lambda r: r.headers["User-Agent"], "field:user-agent"),
        (lambda r: r.META["HTTP_USER_AGENT"], "field:user-agent"),
    ],
    ids=["a cookie", "a parameter", "the path with the query", "a field", "a field in META"],
)
def test_a_request_that_is_made_of_the_one_that_came(site: Site, kind: Any, read: Read, counted: str) -> None:
    def view(request: Any) -> HttpResponse:
        made = (type(request) if kind is type else kind)(request.environ)
        assert made.content_type == "text/plain" and not hasattr(made, "session")
        return HttpResponse(str(read(made)))

    answer = site.ask(view, "/page/" + QUERY, FIELDS)
    assert answer.status == 200
    assert counted in answer.inputs or answer.unshared == "whole-request"


def test_such_a_request_of_asgi(site: Site) -> None:
    def view(request: Any) -> HttpResponse:
        return HttpResponse(ASGIRequest(request.scope, io.BytesIO()).COOKIES["a"])

    assert site.ask(view, "/page/", FIELDS, asgi=True).unshared is not None


def test_a_thread_of_the_view_reads_for_it(site: Site) -> None:
    def view(request: Any) -> HttpResponse:
        thread = threading.Thread(target=lambda: request.COOKIES.get("a"))
        thread.start()
        thread.join()
        return HttpResponse()

    assert site.ask(view, fields=FIELDS).inputs == {"cookie:a"}


def test_what_is_read_after_the_page_was_made_is_not_in_it(site: Site) -> None:
    kept: list[Any] = []

    def view(request: Any) -> HttpResponse:
        kept.append(request)
        return HttpResponse()

    answer = site.ask(view, fields=FIELDS)
    assert kept[0].COOKIES["a"] == "1"
    assert answer.inputs == set()


@pytest.mark.parametrize("charset", ["latin-1", "utf-8"])
def test_the_charset_of_a_content_that_is_not_there_does_not_decide_how_the_query_is_read(
    site: Site, charset: str
) -> None:
    def view(request: Any) -> HttpResponse:
        return HttpResponse(request.GET["q"])

    answer = site.ask(view, "/page/?q=%C3%A9", {"Content-Type": f"text/plain; charset={charset}"})
    assert (answer.body, answer.inputs) == ("é".encode(), {"query:q"})


def test_a_view_may_say_how_the_query_is_read(site: Site) -> None:
    def view(request: Any) -> HttpResponse:
        request.encoding = "latin-1"
        return HttpResponse(request.GET["q"])

    answer = site.ask(view, "/page/?q=%C3%A9")
    assert (answer.body, answer.inputs) == ("Ã©".encode(), {"query:q"})


def test_names_that_nobody_could_send_are_no_error(site: Site) -> None:
    def view(request: Any) -> HttpResponse:
        for name in ("", "\x00", "\r\nX: y", "=;", "\udcff", 7, None, ("a",)):
            request.GET.get(name)
            request.COOKIES.get(name)
            request.META.get(name)
        return HttpResponse()

    answer = site.ask(view)
    assert answer.status == 200 and answer.unshared == "whole-request"
    try:
        parse_inputs(b" ".join(answer.record.inputs if answer.record else ()))
    except UnknownInput:
        pytest.fail("an input that the edge can't read")


def test_what_is_read_after_a_page_is_known_to_be_for_one_request_makes_no_difference(site: Site) -> None:
    def view(request: Any) -> HttpResponse:
        return HttpResponse((request.COOKIES["a"], request.META["REMOTE_ADDR"], request.headers["X-Custom"]))

    answer = site.ask(view, fields=FIELDS)
    assert (answer.inputs, answer.unshared) == ({"cookie:a"}, "client-address")
    assert answer.fields["vary"] == "Cookie, X-Custom"
