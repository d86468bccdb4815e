"""What a view says itself."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.test import RequestFactory, override_settings
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import cache_control

import uncork
from support.django_requests import Site
from uncork.django import cached, depends_on, if_match, never, purge
from uncork.pages.clock import Verdict
from uncork.pages.tags import tag_slot

ASGI = pytest.mark.parametrize("asgi", [False, True], ids=["wsgi", "asgi"])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.table.close()


def page(request: Any) -> HttpResponse:
    return HttpResponse("page")


async def apage(request: Any) -> HttpResponse:
    return HttpResponse("page")


class Page(View):
    def get(self, request: Any) -> HttpResponse:
        return HttpResponse("page")


class APage(View):
    async def get(self, request: Any) -> HttpResponse:
        return HttpResponse("page")


def of_class(kind: type[View], decorate: Callable[[Any], Any]) -> Any:
    made = type(kind.__name__, (kind,), {})
    return method_decorator(decorate, name="dispatch")(made).as_view()


WAYS: dict[str, Callable[[Any], Any]] = {
    "function": lambda decorate: decorate(page),
    "coroutine": lambda decorate: decorate(apage),
    "class": lambda decorate: of_class(Page, decorate),
    "asynchronous class": lambda decorate: of_class(APage, decorate),
    "URL of a class": lambda decorate: decorate(Page.as_view()),
    "URL of an asynchronous class": lambda decorate: decorate(APage.as_view()),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@ASGI
def test_every_kind_of_view_may_say_how_long(site: Site, way: Callable[[Any], Any], asgi: bool) -> None:
    answer = site.ask(way(cached(max_age=3600)), asgi=asgi)
    assert (answer.status, answer.body, answer.unshared) == (200, b"page", None)
    assert answer.fields["cache-control"] == "no-cache"
    assert answer.fields["uncork-cache-control"] == "max-age=3600"


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@ASGI
def test_every_kind_of_view_may_be_never_shared(site: Site, way: Callable[[Any], Any], asgi: bool) -> None:
    answer = site.ask(way(never), asgi=asgi)
    assert (answer.status, answer.body, answer.unshared) == (200, b"page", "never")
    assert answer.fields["cache-control"] == "private, no-cache"


def test_the_shortest_of_several_counts_whoever_said_it(site: Site) -> None:
    both = site.ask(cached(max_age=60)(cached(max_age=3600)(page)))
    assert both.fields["uncork-cache-control"] == "max-age=60"
    longer = cached(max_age=3600)(cache_control(max_age=60)(page))
    assert "uncork-cache-control" not in site.ask(longer).fields
    shorter = cached(max_age=60)(cache_control(max_age=3600)(page))
    assert site.ask(shorter).fields["uncork-cache-control"].startswith("max-age=60,")


def test_a_decorated_view_keeps_its_name_and_works_without_the_middleware() -> None:
    for decorate in (cached(max_age=1), never):
        view = decorate(page)
        assert view.__name__ == "page" and view(RequestFactory().get("/")).content == b"page"


@pytest.mark.parametrize("max_age", [0, -1, "60", None, True])
def test_a_max_age_that_is_none(max_age: Any) -> None:
    with pytest.raises(ValueError, match="max_age"):
        cached(max_age=max_age)


def test_a_decorator_without_its_argument_is_told() -> None:
    with pytest.raises(TypeError):
        cached(page)  # type: ignore[call-arg,misc]


# Tags


def test_a_page_has_the_tags_that_it_names(site: Site) -> None:
    def view(request: Any) -> HttpResponse:
        depends_on("weather", "wetter über Köln")
        return HttpResponse()

    answer = site.ask(view)
    assert answer.record is not None
    expected = {tag_slot(tag.encode(), site.slots) for tag in ("weather", "wetter über Köln")}
    assert set(answer.record.slots) == expected
    stamp = site.table.clock.stamp()
    with override_settings(UNCORK={"state_dir": str(site.state_dir)}):
        purge("wetter über Köln")
        assert site.table.clock.verdict(stamp, answer.record.slots) is Verdict.PURGED
        stamp = site.table.clock.stamp()
        purge("weather", soft=True)
    assert site.table.clock.verdict(stamp, answer.record.slots) is Verdict.SOFT


@pytest.mark.parametrize("tag", ["", " ", "db:", "db:auth_user"])
def test_a_tag_that_is_none(tag: str) -> None:
    with pytest.raises(ValueError, match="tag"):
        depends_on(tag)


def test_outside_of_a_page_a_tag_is_nobodys() -> None:
    depends_on("weather")


def test_a_purge_waits_for_the_commit_and_not_for_a_rollback(site: Site, sqlite: str) -> None:
    clock = site.table.clock
    with override_settings(UNCORK={"state_dir": str(site.state_dir)}):
        stamp = clock.stamp()
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            purge("weather")
            raise ZeroDivisionError
        assert clock.stamp() == stamp
        with transaction.atomic():
            purge("weather")
            assert clock.stamp() == stamp
        assert clock.verdict(stamp, [tag_slot(b"weather", site.slots)]) is Verdict.PURGED


def test_a_purge_without_a_clock_is_no_error(tmp_path: Path) -> None:
    with override_settings(UNCORK={"state_dir": str(tmp_path / "none")}):
        purge("weather")


def test_it_is_all_in_uncork_itself() -> None:
    assert (uncork.cached, uncork.never, uncork.depends_on) == (cached, never, depends_on)
    assert (uncork.purge, uncork.if_match) == (purge, if_match)
    with pytest.raises(AttributeError):
        _ = uncork.nothing_of_the_kind
    with pytest.raises(ImportError):
        from uncork.django import nothing_of_the_kind as _nothing  # noqa: F401


# If-Match


def put(value: str | None, method: str = "PUT") -> Any:
    fields = {} if value is None else {"HTTP_IF_MATCH": value}
    return RequestFactory().generic(method, "/", **fields)


@pytest.mark.parametrize(
    "value, current, passes",
    [
        (None, '"1"', True),
        ('"1"', '"1"', True),
        ('"1"', "1", True),
        ('"0", "1"', '"1"', True),
        ('"1-br"', '"1"', True),  # as the client has it, who got it compressed
        ('"1-gzip"', '"1"', True),
        ('"1-other"', '"1"', False),
        ('"2"', '"1"', False),
        ('W/"1"', '"1"', False),
        ('W/"1"', 'W/"1"', False),
        ("*", '"1"', True),
        ("*", None, False),
        ('"1"', None, False),
        ("nonsense", '"1"', False),
        ('"1"', HttpResponse(headers={"ETag": '"1"'}), True),
        ('"2"', HttpResponse(headers={"ETag": '"1"'}), False),
    ],
)
def test_if_match(value: str | None, current: Any, passes: bool) -> None:
    answer = if_match(put(value), current)
    assert (answer is None) == passes
    assert passes or (answer is not None and answer.status_code == 412)


def test_if_match_with_the_tag_that_the_edge_makes() -> None:
    from uncork.pages.pagefile import digest

    tag = '"' + digest(b"page").hex() + '"'
    assert if_match(put(tag), HttpResponse("page")) is None
    assert if_match(put(tag), HttpResponse("page, changed")) is not None


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_if_match_is_for_unsafe_methods(method: str) -> None:
    assert if_match(put('"2"', method), '"1"') is None
