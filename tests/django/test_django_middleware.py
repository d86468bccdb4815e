"""The life of a request through the middleware: what it records of which response, and what that says."""

import asyncio
import io
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.core.handlers.wsgi import WSGIHandler
from django.http import (
    FileResponse,
    Http404,
    HttpResponse,
    HttpResponseForbidden,
    HttpResponseGone,
    HttpResponsePermanentRedirect,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.template import engines
from django.template.response import TemplateResponse
from django.test import RequestFactory
from django.urls import path
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.vary import vary_on_cookie, vary_on_headers

from support.django_requests import SESSIONS, UNCORK, Answer, Site
from uncork.django import middleware as under_test
from uncork.django.options import read_options
from uncork.django.recording import Recording, current, enter, entered, start
from uncork.pages.tags import tag_slot

ASGI = pytest.mark.parametrize("asgi", [False, True], ids=["wsgi", "asgi"])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    under_test._warned.clear()
    yield made
    made.table.close()


def page(request: Any) -> HttpResponse:
    return HttpResponse("by " + request.COOKIES.get("a", "nobody"))


# Which requests


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@ASGI
def test_a_page_has_a_record(site: Site, method: str, asgi: bool) -> None:
    answer = site.ask(page, method=method, asgi=asgi)
    assert (answer.inputs, answer.unshared) == ({"cookie:a"}, None)
    assert answer.fields["vary"] == "Cookie"
    assert answer.fields["cache-control"] == "no-cache"
    assert answer.fields["uncork-cache-control"] == "max-age=600"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
@ASGI
def test_what_is_never_shared_has_none_and_reads_nothing_for_others(
    site: Site, method: str, asgi: bool
) -> None:
    meanwhile = start()

    def view(request: Any) -> HttpResponse:
        return HttpResponse(f"{len(current())} {type(request.META).__name__}")

    try:
        answer = site.ask(view, method=method, asgi=asgi)
    finally:
        meanwhile.close()
    assert (answer.record, answer.body) == (None, b"0 dict")
    assert "cache-control" not in answer.fields


@ASGI
def test_who_is_no_edge_of_ours_gets_no_record_and_still_what_is_for_browsers(site: Site, asgi: bool) -> None:
    answer = site.ask(page, edge=False, asgi=asgi)
    assert answer.record is None
    assert not [name for name in answer.fields if name.startswith("uncork-")]
    assert (answer.fields["vary"], answer.fields["cache-control"]) == ("Cookie", "no-cache")


@ASGI
def test_an_edge_with_another_clock_is_told_of_once(
    site: Site, asgi: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def view(request: Any) -> HttpResponse:
        return HttpResponse(str(request.META.get("REMOTE_ADDR")) + str("Uncork-Edge" in request.headers))

    forged = {"Uncork-Edge": "0" * 16, "X-Forwarded-For": "203.0.113.1"}
    for _ in range(2):
        answer = site.ask(view, fields=forged, edge=False, asgi=asgi)
        assert answer.record is None and b"203" not in answer.body and b"True" not in answer.body
    assert len([record for record in caplog.records if "another purge clock" in record.message]) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
@ASGI
def test_the_address_of_the_client_is_there_though_the_socket_has_none(
    site: Site, method: str, asgi: bool
) -> None:
    def view(request: Any) -> HttpResponse:
        return HttpResponse(request.META["REMOTE_ADDR"])

    answer = site.ask(view, method=method, asgi=asgi)
    assert answer.body == b"192.0.2.7"
    assert method == "POST" or answer.unshared == "client-address"
    assert site.ask(page, asgi=asgi).unshared is None


def test_an_address_that_the_socket_has_stays(site: Site) -> None:
    answer = site.ask(lambda r: HttpResponse(r.META["REMOTE_ADDR"]), environ={"REMOTE_ADDR": "198.51.100.4"})
    assert answer.body == b"198.51.100.4"


def test_without_a_clock_nothing_is_recorded_and_everything_served(site: Site, tmp_path: Path) -> None:
    answer = site.ask(page, UNCORK={"state_dir": str(tmp_path / "none")})
    assert (answer.status, answer.record, answer.body) == (200, None, b"by nobody")
    assert not (tmp_path / "none").exists()


# Which responses


def raise_(error: BaseException) -> Callable[[Any], HttpResponse]:
    def view(request: Any) -> HttpResponse:
        request.COOKIES.get("a")
        raise error

    return view


def reading(make: Callable[[], Any]) -> Callable[[Any], Any]:
    def view(request: Any) -> Any:
        request.COOKIES.get("a")
        return make()

    return view


SHARED = {"cache-control": "no-cache", "uncork-cache-control": "max-age=600"}


@pytest.mark.parametrize(
    "view, status, freshness",
    [
        (reading(lambda: HttpResponse(status=200)), 200, SHARED),
        (reading(lambda: HttpResponse(status=204)), 204, SHARED),
        (reading(lambda: HttpResponsePermanentRedirect("/")), 301, SHARED),
        (reading(lambda: HttpResponseRedirect("/")), 302, SHARED),
        (reading(lambda: HttpResponse(status=303)), 303, {}),
        (reading(lambda: HttpResponse(status=400)), 400, {}),
        (reading(HttpResponseForbidden), 403, {}),
        (raise_(PermissionDenied()), 403, {}),
        (raise_(Http404()), 404, SHARED),
        (reading(HttpResponseGone), 410, SHARED),
        (raise_(ZeroDivisionError()), 500, {}),
    ],
)
@ASGI
def test_every_status_has_its_record(
    site: Site, view: Callable[..., Any], status: int, freshness: dict[str, str], asgi: bool
) -> None:
    answer = site.ask(view, asgi=asgi)
    assert (answer.status, answer.inputs, answer.unshared) == (status, {"cookie:a"}, None)
    found = {name: value for name, value in answer.fields.items() if name in SHARED}
    assert found == freshness


@ASGI
def test_a_template_that_is_rendered_late_reads_for_its_page(site: Site, asgi: bool) -> None:
    template = engines["django"].from_string("{{ request.COOKIES.a }}{{ request.GET.q }}")
    answer = site.ask(lambda r: TemplateResponse(r, template), "/page/?q=x", asgi=asgi)
    assert (answer.body, answer.inputs) == (b"x", {"cookie:a", "query:q"})


@ASGI
def test_an_exception_while_a_template_is_rendered(site: Site, asgi: bool) -> None:
    def fail(request: Any) -> dict[str, Any]:
        request.COOKIES.get("a")
        raise ZeroDivisionError

    template = engines["django"].from_string("{{ fail }}")
    answer = site.ask(lambda r: TemplateResponse(r, template, {"fail": lambda: fail(r)}), asgi=asgi)
    assert (answer.status, answer.inputs) == (500, {"cookie:a"})


@ASGI
def test_a_url_that_nobody_knows(site: Site, asgi: bool) -> None:
    answer = site.ask(page, "/none/?a=1", asgi=asgi)
    assert (answer.status, answer.inputs, answer.unshared) == (404, set(), None)


# Streams


def chunks(request: Any) -> Iterator[str]:
    yield request.COOKIES.get("a", "nobody")
    yield str(len(current()))


async def achunks(request: Any) -> AsyncIterator[str]:
    for chunk in chunks(request):
        yield chunk


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@ASGI
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
def test_what_a_stream_reads_is_not_known_in_time(site: Site, asgi: bool, asynchronous: bool) -> None:
    meanwhile = start()
    try:
        make = achunks if asynchronous else chunks
        answer = site.ask(lambda r: StreamingHttpResponse(make(r)), asgi=asgi)
    finally:
        meanwhile.close()
    assert answer.body == b"nobody0"  # nor does it read for another page that is made meanwhile
    assert answer.unshared == "streamed"
    assert answer.fields["cache-control"] == "private, no-cache"


@pytest.mark.parametrize("said", ["max-age=60", "public", "s-maxage=60", "public, max-age=60"])
def test_a_stream_that_says_how_long_it_is_good_is_cached_by_the_rules_of_http(site: Site, said: str) -> None:
    def view(request: Any) -> StreamingHttpResponse:
        request.headers.get("Accept-Language")
        return StreamingHttpResponse(chunks(request), headers={"Cache-Control": said})

    answer = site.ask(view)
    assert answer.record is None
    assert (answer.fields["cache-control"], answer.fields["vary"]) == (said, "Accept-Language")


def test_such_a_stream_is_its_visitors_own_when_its_view_was(site: Site) -> None:
    def view(request: Any) -> StreamingHttpResponse:
        request.META["REMOTE_ADDR"]
        return StreamingHttpResponse(["x"], headers={"Cache-Control": "public, max-age=60"})

    assert site.ask(view).unshared == "client-address"


@ASGI
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
def test_a_file(site: Site, asgi: bool) -> None:
    answer = site.ask(lambda r: FileResponse(io.BytesIO(b"content"), filename="a.txt"), asgi=asgi)
    assert (answer.body, answer.unshared) == (b"content", "streamed")


# Where a page is made


@ASGI
def test_an_asynchronous_view(site: Site, asgi: bool) -> None:
    async def view(request: Any) -> HttpResponse:
        return HttpResponse(str(await sync_to_async(depends)(request)))

    def depends(request: Any) -> int:
        for recording in current():
            recording.depends_on(b"of-the-thread")
        return len(current()) + len(request.COOKIES.get("a", ""))

    answer = site.ask(view, asgi=asgi)
    assert (answer.body, answer.inputs) == (b"1", {"cookie:a"})
    assert answer.record is not None and answer.record.slots == (tag_slot(b"of-the-thread", site.slots),)


@ASGI
def test_tasks_and_middleware_of_either_kind_read_for_the_same_page(site: Site, asgi: bool) -> None:
    async def view(request: Any) -> HttpResponse:
        async def one(tag: bytes) -> None:
            await asyncio.sleep(0)
            for recording in current():
                recording.depends_on(tag)

        await asyncio.gather(one(b"1"), one(b"2"))
        return HttpResponse()

    both = [f"{__name__}.sync_middleware", f"{__name__}.OldMiddleware"]
    answer = site.ask(view, asgi=asgi, middleware=both)
    assert answer.record is not None
    expected = {tag_slot(tag, site.slots) for tag in (b"1", b"2", b"of-middleware", b"of-old")}
    assert set(answer.record.slots) == expected


def sync_middleware(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def middleware(request: Any) -> Any:
        for recording in current():
            recording.depends_on(b"of-middleware")
        return get_response(request)

    return middleware


class OldMiddleware:
    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        response = self.get_response(request)
        for recording in current():
            recording.depends_on(b"of-old")
        return response


def test_two_pages_at_once_know_nothing_of_each_other(site: Site) -> None:
    both = threading.Barrier(2)

    def view(request: Any) -> HttpResponse:
        both.wait(10)
        request.COOKIES.get(request.GET["name"])
        for recording in current():
            recording.depends_on(request.GET["name"].encode())
        both.wait(10)
        return HttpResponse()

    found: dict[str, Answer] = {}
    with site.serving(view) as send:
        threads = [
            threading.Thread(target=lambda name=name: found.update({name: send(f"/page/?name={name}")}))
            for name in ("x", "y")
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert set(found) == {"x", "y"}
    for name, answer in found.items():
        assert answer.inputs == {"query:name", f"cookie:{name}"}
        assert answer.record is not None and answer.record.slots == (tag_slot(name.encode(), site.slots),)


def test_a_thread_that_made_a_page_makes_none_afterwards(site: Site) -> None:
    seen: list[Any] = []

    def serve() -> None:
        site.ask(page)
        meanwhile = start()
        seen.append((entered(), current()))
        meanwhile.close()

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
    assert seen == [(None, ())]


def test_a_page_that_is_made_of_another_depends_on_the_same_data(site: Site) -> None:
    def inner(request: Any) -> HttpResponse:
        for recording in current():
            recording.read_table("inner_table")
            recording.bound(5)
        return HttpResponse(request.COOKIES.get("inner", "inner"))

    def outer(request: Any) -> HttpResponse:
        response = WSGIHandler().get_response(RequestFactory().get("/inner/"))
        for recording in current():
            recording.depends_on(b"outer")
        return HttpResponse(b"outer " + response.content)

    both = [path("page/", outer), path("inner/", inner)]
    answer = site.ask(both)
    alone = site.ask(both, "/inner/")
    assert answer.body == b"outer inner" and answer.inputs == set()
    assert answer.record is not None and alone.record is not None
    assert set(alone.record.slots) | {tag_slot(b"outer", site.slots)} == set(answer.record.slots)
    assert answer.fields["uncork-cache-control"] == "max-age=5"


def test_named_twice_it_is_there_once(site: Site) -> None:
    answer = site.ask(page, middleware=[UNCORK])
    assert (answer.inputs, answer.fields["vary"]) == ({"cookie:a"}, "Cookie")
    assert site.ask(page, middleware=[UNCORK], asgi=True).inputs == {"cookie:a"}


def test_who_came_before_it_has_read_what_it_made(site: Site) -> None:
    class Early:
        def __init__(self, application: Any) -> None:
            kind = application.request_class

            class Request(kind):  # type: ignore[misc,valid-type]
                def __init__(self, environ: Any) -> None:
                    super().__init__(environ)
                    self.touched = (self.GET, self.COOKIES, self.headers)

            application.request_class = Request
            self.application = application

        def __call__(self, *arguments: Any) -> Any:
            return self.application(*arguments)

    answer = site.ask(lambda r: HttpResponse(r.headers["X-Custom"]), fields={"X-Custom": "1"}, wrap=Early)
    assert answer.inputs == {"query", "field:cookie", "field:x-custom"}


def test_an_error_of_ours_is_none_of_the_page(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("of ours")

    for place in ("what_is_said", "recordedrequest.record"):
        with monkeypatch.context() as patch:
            patch.setattr(f"uncork.django.middleware.{place}", fail)
            answer = site.ask(page)
        assert (answer.status, answer.body, answer.unshared) == (200, b"by nobody", "not-recorded")
        assert "uncork-cache-control" not in answer.fields
    assert caplog.text.count("A page could not be recorded") == 1


def test_nothing_stays_under_way(site: Site) -> None:
    site.ask(page)
    site.ask(raise_(ZeroDivisionError()))
    with pytest.raises(KeyboardInterrupt):
        site.ask(raise_(KeyboardInterrupt()))
    found: list[tuple[Recording, ...]] = []
    thread = threading.Thread(target=lambda: found.append(current()))
    thread.start()
    thread.join()
    assert found == [()]


# What the view says


@pytest.mark.parametrize(
    "said, bound, expected",
    [
        ({}, None, {"Cache-Control": "no-cache", "Uncork-Cache-Control": "max-age=600"}),
        ({}, 30.5, {"Cache-Control": "no-cache", "Uncork-Cache-Control": "max-age=30"}),
        ({}, 0.5, {"Cache-Control": "no-cache", "Uncork-Cache-Control": "no-store"}),
        ({}, 3600, {"Cache-Control": "no-cache", "Uncork-Cache-Control": "max-age=600"}),
        ({"Cache-Control": "no-store"}, None, {}),
        ({"Cache-Control": "private"}, None, {}),
        ({"Cache-Control": "no-cache"}, None, {}),
        ({"Cache-Control": "max-age=0"}, None, {}),
        ({"Cache-Control": "private, max-age=60"}, 10, {}),
        ({"Cache-Control": "max-age=60"}, None, {}),
        ({"Cache-Control": "max-age=60"}, 100, {}),
        (
            {"Cache-Control": "max-age=60"},
            10,
            {"Uncork-Cache-Control": "max-age=10, stale-while-revalidate=0, stale-if-error=0"},
        ),
        (
            {"Cache-Control": "public, max-age=5, s-maxage=60, stale-if-error=60"},
            10,
            {
                "Uncork-Cache-Control": "max-age=10, public, must-revalidate, "
                "stale-while-revalidate=0, stale-if-error=0"
            },
        ),
        ({"Cache-Control": "max-age=60"}, 0.1, {"Uncork-Cache-Control": "no-store"}),
        ({"Cache-Control": "public"}, None, {"Uncork-Cache-Control": "max-age=600, public"}),
        ({"Cache-Control": "no-transform"}, 30, {"Uncork-Cache-Control": "max-age=30, no-transform"}),
        (
            {"Cache-Control": "stale-while-revalidate=9"},
            None,
            {"Uncork-Cache-Control": "max-age=600, stale-while-revalidate=9"},
        ),
        ({"Uncork-Cache-Control": "max-age=3600"}, None, {}),
        (
            {"Uncork-Cache-Control": "max-age=3600"},
            60,
            {"Uncork-Cache-Control": "max-age=60, stale-while-revalidate=0, stale-if-error=0"},
        ),
        ({"CDN-Cache-Control": "no-store"}, None, {}),
        ({"Expires": "0"}, None, {}),
        ({"Expires": "Thu, 01 Jan 2150 00:00:00 GMT"}, None, {}),
        (
            {"Expires": "Thu, 01 Jan 2150 00:00:00 GMT"},
            60,
            {"Uncork-Cache-Control": "max-age=60, stale-while-revalidate=0, stale-if-error=0"},
        ),
    ],
)
def test_a_views_own_word_wins_where_it_is_more_careful(
    site: Site, said: dict[str, str], bound: float | None, expected: dict[str, str]
) -> None:
    def view(request: Any) -> HttpResponse:
        if bound is not None:
            for recording in current():
                recording.bound(bound)
        return HttpResponse(headers=said)

    answer = site.ask(view)
    fresh = ("cache-control", "uncork-cache-control", "cdn-cache-control", "expires")
    found = {name: value for name, value in answer.fields.items() if name in fresh}
    assert found == {name.lower(): value for name, value in (said | expected).items()}


def test_what_a_page_missed_in_a_cache_may_come(site: Site) -> None:
    def view(request: Any) -> HttpResponse:
        return HttpResponse(str(cache.get("nobody-puts-it-there")))

    assert site.ask(view).fields["uncork-cache-control"] == "max-age=10"


def test_the_projects_own_max_age(site: Site) -> None:
    answer = site.ask(page, UNCORK={"max_age": 7200})
    assert answer.fields["uncork-cache-control"] == "max-age=7200"


@pytest.mark.parametrize(
    "decorate, expected",
    [
        (never_cache, "max-age=0, no-cache, no-store, must-revalidate, private"),
        (cache_control(public=True, max_age=60), "public, max-age=60"),
        (cache_control(private=True), "private"),
    ],
)
def test_djangos_decorators(site: Site, decorate: Callable[[Any], Any], expected: str) -> None:
    answer = site.ask(decorate(page))
    assert answer.fields["cache-control"] == expected
    assert "uncork-cache-control" not in answer.fields


def test_what_is_for_one_client_and_says_nothing_is_private(site: Site) -> None:
    answer = site.ask(lambda r: HttpResponse(r.META["REMOTE_ADDR"]))
    assert answer.fields["cache-control"] == "private, no-cache"
    said = site.ask(lambda r: HttpResponse(r.META["REMOTE_ADDR"], headers={"Cache-Control": "max-age=60"}))
    assert (said.fields["cache-control"], said.unshared) == ("max-age=60", "client-address")


def test_a_page_with_a_cookie_of_its_own(site: Site) -> None:
    def view(request: Any) -> HttpResponse:
        response = HttpResponse()
        response.set_cookie("seen", "1")
        return response

    answer = site.ask(view)
    assert (answer.inputs, answer.unshared) == ({"cookie:seen"}, None)
    assert answer.fields["cache-control"] == "private, no-cache"


# Vary


@pytest.mark.parametrize(
    "given, expected, inputs",
    [
        (None, "Cookie, Accept-Language", {"cookie:a", "field:accept-language"}),
        ("Accept-Language", "Accept-Language, Cookie", {"cookie:a", "field:accept-language"}),
        (
            "accept-language, X",
            "accept-language, X, Cookie",
            {"cookie:a", "field:accept-language"},
        ),
        ("Cookie", "Cookie, Accept-Language", {"field:cookie", "field:accept-language"}),
        ("*", "*", {"cookie:a", "field:accept-language"}),
    ],
)
def test_vary_is_what_was_read_and_what_the_view_said(
    site: Site, given: str | None, expected: str, inputs: set[str]
) -> None:
    def view(request: Any) -> HttpResponse:
        request.COOKIES.get("a")
        request.headers.get("Accept-Language")
        return HttpResponse(headers={} if given is None else {"Vary": given})

    answer = site.ask(view)
    assert (answer.fields["vary"], answer.inputs) == (expected, inputs)


def test_a_vary_on_cookie_that_only_django_made_names_no_more_than_was_read(site: Site) -> None:
    def view(request: Any) -> HttpResponse:
        return HttpResponse(request.session.get("a", "") + request.COOKIES.get("a", ""))

    answer = site.ask(view, fields={"Cookie": "_ga=1"}, middleware=[SESSIONS])
    assert (answer.inputs, answer.fields["vary"]) == ({"cookie:a", "cookie:sessionid"}, "Cookie")
    own = site.ask(vary_on_cookie(page), fields={"Cookie": "_ga=1"}, middleware=[SESSIONS])
    assert own.inputs == {"field:cookie"}


def test_a_view_that_forgets_a_field_in_its_vary_is_told_of_once(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    @vary_on_headers("X-Requested-With")
    def forgetful(request: Any) -> HttpResponse:
        return HttpResponse(request.headers.get("User-Agent", "") + request.COOKIES.get("a", ""))

    line = forgetful.__wrapped__.__code__.co_firstlineno + 2
    with caplog.at_level(logging.WARNING, "uncork"):
        for _ in range(2):
            answer = site.ask(forgetful)
            assert answer.fields["vary"] == "X-Requested-With, Cookie, User-Agent"
    messages = sorted(record.getMessage() for record in caplog.records if record.name == "uncork")
    assert len(messages) == 2
    for message, field in zip(messages, ("cookie", "user-agent"), strict=True):
        assert "forgetful sets Vary: X-Requested-With" in message
        assert f"request field {field} " in message and f"{__file__}:{line}" in message


def test_a_view_that_remembers_all_or_has_no_vary_of_its_own_is_not(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    def view(request: Any) -> HttpResponse:
        request.headers.get("Accept-Language")
        response = HttpResponse(request.session.get("a"))
        patch_vary_headers(response, ["accept-language"])
        return response

    with caplog.at_level(logging.WARNING, "uncork"):
        site.ask(view, middleware=[SESSIONS])
        site.ask(page)
    assert not [record for record in caplog.records if record.name == "uncork"]


# Options


@pytest.mark.parametrize(
    "given, said",
    [
        ({"maxage": 3}, "settings.UNCORK has no option 'maxage'; did you mean 'max_age'?"),
        ({"x": 3}, "settings.UNCORK has no option 'x': there are state_dir, max_age, outbox"),
        ({"max_age": "3"}, "settings.UNCORK['max_age'] is a number of seconds above 0, not '3'"),
        ({"max_age": 0}, "settings.UNCORK['max_age'] is a number of seconds above 0, not 0"),
        ({"max_age": True}, "settings.UNCORK['max_age'] is a number of seconds above 0, not True"),
        ({"state_dir": 3}, "settings.UNCORK['state_dir'] is a path, or None, not 3"),
        ({"outbox": 1}, "settings.UNCORK['outbox'] is True or False, not 1"),
        ([], "settings.UNCORK is a dictionary of options, not []"),
    ],
)
def test_a_wrong_option_is_named(given: Any, said: str) -> None:
    with pytest.raises(ImproperlyConfigured) as raised:
        read_options(given)
    assert str(raised.value) == said


def test_a_wrong_option_is_said_when_the_site_starts(site: Site) -> None:
    with pytest.raises(ImproperlyConfigured, match="max_age"):
        site.ask(page, UNCORK={"maxage": 3})


def test_the_middleware_alone_would_not_see_the_database(site: Site) -> None:
    installed = [app for app in settings.INSTALLED_APPS if app != "uncork.django"]
    with pytest.raises(ImproperlyConfigured, match=r"needs 'uncork\.django' in INSTALLED_APPS"):
        site.ask(page, INSTALLED_APPS=installed)


def test_options(tmp_path: Path) -> None:
    assert read_options({}).max_age == 600
    assert read_options({"state_dir": str(tmp_path), "max_age": 2.5}).state_dir == tmp_path
    assert read_options({"state_dir": None}).state_dir is None


def test_a_context_may_be_a_pages_and_nobodys(site: Site) -> None:
    recording = start()
    with enter(recording):
        assert entered() is recording
    assert entered() is None
    recording.close()
