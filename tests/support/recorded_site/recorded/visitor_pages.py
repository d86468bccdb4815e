"""Pages that read something of who asks for them: a cookie, a field, a parameter, a session; and those that
are made in some other way than by a function that returns them whole."""

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib import messages
from django.db import connections
from django.http import (
    Http404,
    HttpResponse,
    HttpResponseGone,
    HttpResponsePermanentRedirect,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.middleware.csrf import get_token
from django.shortcuts import aget_object_or_404, get_object_or_404
from django.template.response import TemplateResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.vary import vary_on_headers

from recorded.data_pages import show
from recorded.models import Event, Person, Topic
from uncork import cached, depends_on, never

VISITS: dict[str, tuple[str, Callable[..., Any]]] = {}
"""By name: what its keys are, as in `data_pages.keys_of`, and the view."""


def visit(keys: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def known(view: Callable[..., Any]) -> Callable[..., Any]:
        VISITS[view.__name__] = keys, view
        return view

    return known


def text(*lines: Any) -> HttpResponse:
    return HttpResponse("\n".join(map(str, lines)) + "\n", content_type="text/plain")


# Sessions, and what hangs on them


@visit("none")
def who(request, key):
    """Whoever asks. Nothing is asked of the database for those who have no session."""
    if not request.user.is_authenticated:
        return text("nobody in particular")
    return text(f"you are {request.user.username}", request.user.first_name, request.session.get("note"))


@visit("event")
def greeting(request, key):
    found = get_object_or_404(Event, pk=key)
    hello = f"hello {request.user.first_name}" if request.user.is_authenticated else "hello"
    return text(hello, show(found))


@visit("kind")
def for_members(request, key):
    """A session is asked for only where there is something to hide."""
    rows = list(Event.objects.filter(kind=key).order_by("pk"))
    if any(not row.visible for row in rows) and not request.user.is_authenticated:
        rows = [row for row in rows if row.visible]
    return text(*map(show, rows))


@visit("none")
def note(request, key):
    return text(f"your note is {request.session.get('note')}")


@visit("event")
def form(request, key):
    """A token of one visitor's own."""
    get_token(request)
    secret = request.META["CSRF_COOKIE"]
    known = request.COOKIES.get(settings.CSRF_COOKIE_NAME) == secret
    return text(secret if known else "a new one", show(get_object_or_404(Event, pk=key)))


@visit("none")
def told(request, key):
    """What is said to one visitor."""
    return text("you were told", *[str(message) for message in messages.get_messages(request)])


# Cookies, fields, parameters


@visit("event")
def theme(request, key):
    """What the second cookie holds matters to some only."""
    found = show(Event.objects.filter(pk=key).first())
    if request.COOKIES.get("theme") == "dark":
        return text("dark", request.COOKIES.get("accent", "no accent"), found)
    return text("bright", found)


@visit("topic")
def beta(request, key):
    found = show(get_object_or_404(Topic, pk=key))
    return text(found, "with more to see") if "beta" in request.COOKIES else text(found)


@visit("topic")
def language(request, key):
    wanted = request.headers.get("Accept-Language", "")
    word = "Thema" if wanted.startswith("de") else "Topic"
    return text(f"{word} {show(Topic.objects.filter(pk=key).first())}")


@visit("person")
def agent(request, key):
    small = "Mobile" in request.META.get("HTTP_USER_AGENT", "")
    found = get_object_or_404(Person, pk=key)
    return text(found.name) if small else text(found.name, show(found), show(found.boss))


@visit("none")
def search(request, key):
    """Each parameter is read only where the one before was given."""
    rows = Event.objects.order_by("pk")
    if wanted := request.GET.get("q"):
        rows = rows.filter(title__contains=wanted)
        if request.GET.get("order") == "price":
            rows = rows.order_by("price", "pk")
        if place := request.GET.getlist("place"):
            rows = rows.filter(place__in=place)
    return text(*map(show, rows))


@visit("none")
def echo(request, key):
    return text(request.META["QUERY_STRING"])


@visit("none")
def parameters(request, key):
    return text(sorted(request.GET.items()))


@visit("none")
def address(request, key):
    return text(request.get_host(), request.get_full_path())


@visit("event")
def host(request, key):
    return text(request.get_host(), show(Event.objects.filter(pk=key).first()))


# Other statuses


@visit("slug")
def go(request, key):
    found = get_object_or_404(Event, slug=key)
    return HttpResponseRedirect(f"/data/event/{found.pk}/")


@visit("place")
def go_for_ever(request, key):
    found = Event.objects.filter(place=key).order_by("pk").first()
    if found is None:
        raise Http404
    return HttpResponsePermanentRedirect(f"/data/event/{found.pk}/?from={key}")


@visit("event")
def gone(request, key):
    found = get_object_or_404(Event, pk=key)
    return text(show(found)) if found.visible else HttpResponseGone(f"{key} was here")


# What a view says itself


@visit("event")
@cache_control(private=True)
def private(request, key):
    return text(request.COOKIES.get("theme"), show(Event.objects.filter(pk=key).first()))


@visit("event")
@cache_control(public=True, max_age=600)
def public(request, key):
    return text(show(Event.objects.filter(pk=key).first()))


@visit("event")
@vary_on_headers("Accept-Language")
def varied(request, key):
    """Its own Vary says less than it reads."""
    theme = request.COOKIES.get("theme")
    return text(request.headers.get("Accept-Language"), theme, show(Event.objects.filter(pk=key).first()))


@visit("event")
@never
def nobody_elses(request, key):
    return text(show(Event.objects.filter(pk=key).first()))


@visit("event")
@cached(max_age=300)
def bounded(request, key):
    return text(show(Event.objects.filter(pk=key).first()))


@visit("file")
def from_a_file(request, key):
    depends_on(key)
    return text((settings.BASE_DIR / key).read_text())


# Made in another way


@visit("topic")
def late(request, key):
    """The template asks, when the view is over."""
    return TemplateResponse(
        request,
        "recorded/topic.txt",
        {"topic": Topic.objects.filter(pk=key), "events": Event.objects.filter(topics=key).order_by("pk")},
        content_type="text/plain",
    )


@visit("topic")
def fragment(request, key):
    """Part of it is kept by the template."""
    found = get_object_or_404(Topic, pk=key)
    return TemplateResponse(request, "recorded/fragment.txt", {"topic": found}, content_type="text/plain")


@visit("event")
async def awaited(request, key):
    found = await aget_object_or_404(Event.objects.select_related("place"), pk=key)
    names = sorted([person.name async for person in found.people.all()])
    return text(show(found, request.COOKIES.get("theme")), show(found.place), *names)


@visit("event")
async def awaited_in_threads(request, key):
    def ask() -> str:
        try:
            return show(Event.objects.filter(pk=key).first())
        finally:
            connections.close_all()

    first = await sync_to_async(ask, thread_sensitive=False)()
    return text(first, await Event.objects.filter(kind="talk").acount())


@visit("person")
def in_a_thread(request, key):
    lines: list[str] = []

    def ask() -> None:
        try:
            lines.append(show(Person.objects.filter(pk=key).first(), request.COOKIES.get("theme")))
        finally:
            connections.close_all()

    thread = threading.Thread(target=copy_context().run, args=[ask])
    thread.start()
    thread.join()
    return text(*lines)


@visit("kind")
def stream(request, key):
    rows = Event.objects.filter(kind=key).order_by("pk").iterator()
    return StreamingHttpResponse((show(row) + "\n" for row in rows), content_type="text/plain")
