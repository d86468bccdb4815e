"""Pages that show data: one for each way to ask for it. All return lines, and write none.

A line `@event 3 v7 …` shows a row and its version. What has no order of its own is sorted, for a page has
to be the same bytes whenever the data is.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import connection, connections
from django.db.models import (
    Count,
    Q,
)
from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from recorded.made import COLOURS, FILES, KINDS, called
from recorded.models import (
    Comment,
    Country,
    Event,
    Participation,
    Person,
    Place,
    Pointer,
    Summary,
    Topic,
    Venue,
)

Lines = Iterable[str]
Page = Callable[[HttpRequest, str], Lines]

PAGES: dict[str, tuple[str, Page]] = {}
"""By name: what its keys are (a name in `keys_of`), and the page."""


def page(keys: str) -> Callable[[Page], Page]:
    def known(function: Page) -> Page:
        PAGES[function.__name__] = keys, function
        return function

    return known


def keys_of() -> dict[str, list[str]]:
    """What a page may be asked for now, by the kind of its keys; some that there aren't as well."""

    def keys(model: Any, name: str = "pk") -> list[str]:
        return sorted(str(key) for key in model.objects.values_list(name, flat=True))

    return {
        "none": ["-"],
        "event": [*keys(Event), "999999"],
        "slug": [f"slug-{number}" for number in range(12)],
        "kind": list(KINDS),
        "colour": list(COLOURS),
        "person": keys(Person),
        "email": [f"p{number}@example.org" for number in range(10)],
        "country": keys(Country),
        "place": keys(Place),
        "topic": keys(Topic),
        "limit": ["20", "50", "80"],
        "file": [f"file-{number}" for number in range(FILES)],
        "session": keys(Session),
    }


def show(row: Any, *more: Any) -> str:
    if row is None:
        return "nobody"
    name = getattr(row, "title", None) or getattr(row, "name", None) or getattr(row, "text", "")
    return " ".join(map(str, (f"@{called(row)} v{row.version}", name, *more)))


# By a key


@page("event")
def event(request, key):
    found = get_object_or_404(Event, pk=key)
    yield show(found, found.kind, found.price, found.data)
    yield f"at {show(found.place)} in {show(found.place and found.place.country)}"
    yield from sorted(f"topic {show(topic)}" for topic in found.topics.all())
    yield from sorted(f"with {show(person)}" for person in found.people.all())


@page("event")
def event_joined(request, key):
    found = get_object_or_404(Event.objects.select_related("place__country"), pk=key)
    yield show(found) + f" at {show(found.place)} in {show(found.place and found.place.country)}"


@page("slug")
def by_slug(request, key):
    yield show(get_object_or_404(Event, slug=key))


@page("email")
def by_email(request, key):
    found = get_object_or_404(Person.objects.select_related("country"), email=key)
    yield show(found, found.id) + f" of {show(found.country)}"


@page("person")
def person(request, key):
    found = get_object_or_404(Person, pk=key)
    yield show(found, found.email)
    yield f"about {found.profile.about}" if hasattr(found, "profile") else "says nothing"
    yield from sorted(
        f"role {row.role} {row.version} at {show(row.event)}"
        for row in found.participation_set.select_related("event")
    )


@page("person")
def bosses(request, key):
    found = get_object_or_404(Person.objects.select_related("boss__boss", "profile"), pk=key)
    boss = found.boss
    yield show(found) + f" under {show(boss)} under {show(boss and boss.boss)}"
    yield from sorted(show(member) for member in found.team.all())


@page("country")
def country(request, key):
    found = get_object_or_404(Country, pk=key)
    yield show(found)
    yield from (show(place) for place in found.places.order_by("name"))
    yield from sorted(f"mark {show(mark)}" for mark in found.marks.all())


@page("country")
def country_elsewhere(request, key):
    """Countries of this name are in another database, or in none."""
    yield from (show(row) for row in Country.objects.using("other").order_by("code"))
    yield str(Country.objects.using("other").filter(code=key).exists())


@page("place")
def place(request, key):
    found = get_object_or_404(Place, pk=key)
    yield show(found)
    yield f"seats {found.venue.seats}" if hasattr(found, "venue") else "no seats"
    yield from sorted(show(comment) for comment in found.comments.all())
    yield from (show(row) for row in found.events.order_by("starts", "pk")[:3])


@page("place")
def venue(request, key):
    found = get_object_or_404(Venue.objects.select_related("country"), pk=key)
    yield show(found, found.seats) + f" in {show(found.country)}"


@page("topic")
def topic(request, key):
    found = get_object_or_404(Topic.objects.select_related("parent__parent"), pk=key)
    yield show(found) + f" of {show(found.parent)}"
    yield from sorted(show(child) for child in found.children.all())
    yield from sorted(show(row) for row in Event.objects.filter(topics=key))


@page("event")
def comments(request, key):
    yield from sorted(show(row) for row in get_object_or_404(Event, pk=key).comments.all())
    kind = ContentType.objects.get_for_model(Event)
    yield str(Comment.objects.filter(content_type=kind, object_id=key).count())


@page("event")
def summary(request, key):
    found = get_object_or_404(Summary, pk=key)
    yield f"{found.title}: {found.members}"


@page("event")
def deferred(request, key):
    found = get_object_or_404(Event.objects.defer("title", "data"), pk=key)
    yield f"{found.starts} {found.title} {found.data}"


@page("event")
def only(request, key):
    found = Event.objects.only("slug", "place").filter(pk=key).first()
    yield f"{found.slug} {show(found.place)}" if found else "none"


@page("event")
def in_bulk(request, key):
    found = Event.objects.in_bulk([int(key), int(key) + 1, int(key) + 2])
    yield from (show(found[number]) for number in sorted(found))


@page("event")
def values(request, key):
    rows = Event.objects.filter(pk=key).values_list("title", "place__name", "place__country__name")
    yield str(list(rows))
    yield str(sorted(Participation.objects.filter(event=key).values_list("person__name", "role")))


@page("event")
def exists(request, key):
    yield str(Participation.objects.filter(event=key, role="host").exists())
    yield str(Event.objects.filter(pk=key, visible=True).exists())


@page("event")
def numbers(request, key):
    yield str(Participation.objects.filter(event=key).count())
    yield str(
        Event.objects.filter(pk=key)
        .annotate(members=Count("people"))
        .values_list("members", flat=True)
        .first()
    )


@page("event")
def raw(request, key):
    rows = Event.objects.raw("SELECT * FROM recorded_event WHERE id = %s", [key])
    yield from (show(row, row.place_id) for row in rows)


@page("event")
def cursor(request, key):
    with connection.cursor() as found:
        found.execute(
            "SELECT e.title, p.name FROM recorded_event e"
            " LEFT OUTER JOIN recorded_place p ON p.id = e.place_id WHERE e.id = %s",
            [key],
        )
        yield str([tuple(row) for row in found.fetchall()])


@page("event")
def not_understood(request, key):
    """Something of the database's own."""
    known = {"sqlite": ("sqlite_master", "name"), "postgresql": ("pg_catalog.pg_class", "relname")}
    table, name = known[connection.vendor]
    with connection.cursor() as found:
        found.execute(
            f"SELECT e.title, (SELECT count(*) FROM {table} WHERE {name} = 'recorded_event')"
            " FROM recorded_event e WHERE e.id = %s",
            [key],
        )
        yield str([tuple(row) for row in found.fetchall()])


@page("event")
def asked_in_a_thread(request, key):
    """Of which nobody knows whose it is."""
    lines: list[str] = []

    def ask() -> None:
        try:
            lines.append(show(Event.objects.filter(pk=key).first()))
        finally:
            connections.close_all()

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return lines


@page("event")
def left_alone(request, key):
    """Rows that refer to nothing, or to what isn't there."""
    rows = Pointer.objects.select_related("event").order_by("pk")
    yield from (
        show(row) + f" to {row.event_id} {show(row.event)}"
        for row in rows.filter(Q(event=key) | Q(event=None))
    )
