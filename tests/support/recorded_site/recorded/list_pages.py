"""Pages that show several rows, found by all kinds of conditions; and what comes from elsewhere than the
database."""

import time

from django.contrib.contenttypes.prefetch import GenericPrefetch
from django.core.cache import cache, caches
from django.db.models import (
    Avg,
    Case,
    Count,
    Exists,
    F,
    FilteredRelation,
    Max,
    OuterRef,
    Prefetch,
    Q,
    Subquery,
    Sum,
    Value,
    When,
    Window,
)
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce, Lower, Rank
from django.http import Http404

from recorded.data_pages import PAGES, page, show
from recorded.models import (
    Comment,
    Country,
    Event,
    Mark,
    Participation,
    Person,
    Place,
    Profile,
    Summary,
    Topic,
    Venue,
    VisibleEvent,
)

# Lists


@page("kind")
def by_kind(request, key):
    rows = Event.objects.filter(kind=key).select_related("place").order_by("starts", "pk")
    yield from (show(row) + f" at {show(row.place)}" for row in rows)


@page("kind")
def sliced(request, key):
    """A page of a list. The number is asked for only where it has a meaning."""
    rows = Event.objects.filter(kind=key).order_by("-starts", "pk")
    start = int(request.GET["page"]) * 2 if "page" in request.GET else 0
    yield from (show(row) for row in rows[start : start + 2])


@page("kind")
def extremes(request, key):
    rows = Event.objects.filter(kind=key)
    yield show(rows.order_by("starts", "pk").first()) + show(rows.order_by("starts", "pk").last())
    yield str(rows.aggregate(Max("price"), Avg("starts"), total=Sum("price")))


@page("none")
def everything(request, key):
    yield from (show(row, row.visible) for row in Event.objects.order_by("title"))


@page("kind")
def slowly(request, key):
    """Whatever is written meanwhile, is written after it was read."""
    lines = [show(row, row.starts) for row in Event.objects.filter(kind=key).order_by("title")]
    time.sleep(0.03)
    return lines


@page("none")
def visible(request, key):
    yield from sorted(show(row) for row in VisibleEvent.objects.all())


@page("none")
def venues(request, key):
    yield from (show(row, row.seats) for row in Venue.objects.order_by("name"))


@page("none")
def newest_comments(request, key):
    rows = Comment.objects.order_by("-pk")[:4].prefetch_related("about")
    yield from (show(row) + f" about {show(row.about)}" for row in rows)


@page("none")
def generic(request, key):
    some = GenericPrefetch("about", [Event.objects.select_related("place"), Place.objects.all()])
    for row in Comment.objects.order_by("pk").prefetch_related(some):
        yield show(row) + f" about {show(row.about)}"


@page("none")
def marks(request, key):
    yield from (show(row) + f" of {show(row.about)}" for row in Mark.objects.order_by("pk"))


@page("none")
def prefetched(request, key):
    rows = Event.objects.order_by("pk").prefetch_related(
        "topics__parent", Prefetch("people", Person.objects.filter(country=None), to_attr="stateless")
    )
    for row in rows.iterator(chunk_size=3):
        yield show(row) + "".join(
            sorted(f" {show(topic)}<{show(topic.parent)}" for topic in row.topics.all())
        )
        yield "stateless " + "".join(sorted(show(person) for person in row.stateless))


@page("none")
def summaries(request, key):
    yield from (f"{row.event_id} {row.members}" for row in Summary.objects.order_by("event_id"))


# Conditions


@page("colour")
def by_colour(request, key):
    yield from (show(row) for row in Event.objects.filter(data__colour=key).order_by("pk"))


@page("kind")
def either(request, key):
    yield from (show(row) for row in Event.objects.filter(Q(kind=key) | Q(visible=False)).order_by("pk"))


@page("kind")
def neither(request, key):
    yield from (show(row) for row in Event.objects.exclude(kind=key).exclude(visible=False).order_by("pk"))


@page("person")
def looked_up_by_condition(request, key):
    """Rows that one is looked up for, though another condition holds of it."""
    rows = Participation.objects.filter(person=key, event__price__gt=50).select_related("event")
    yield from sorted(f"{row.role} at {show(row.event)}" for row in rows)


@page("country")
def through_relations(request, key):
    rows = Event.objects.filter(Q(people__country=key) | Q(place__country=key)).distinct().order_by("pk")
    yield from (show(row) for row in rows)


@page("country")
def subquery(request, key):
    rows = Event.objects.filter(place__in=Place.objects.filter(country=key)).order_by("pk")
    yield from (show(row) for row in rows)
    yield str(Person.objects.exclude(events__place__country=key).count())


@page("country")
def outer_reference(request, key):
    hosts = Participation.objects.filter(event=OuterRef("pk"), role="host", person__country=key)
    name = Participation.objects.filter(event=OuterRef("pk")).order_by("pk").values("person__name")[:1]
    rows = Event.objects.annotate(hosted=Exists(hosts), first=Subquery(name)).order_by("pk")
    yield from (show(row, row.hosted, row.first) for row in rows)


@page("person")
def union(request, key):
    mine = Event.objects.filter(people=key).values_list("title", "version")
    teams = Event.objects.filter(people__boss=key).values_list("title", "version")
    yield str(sorted(mine.union(teams)))
    yield str(sorted(mine.intersection(teams)))


@page("limit")
def compared(request, key):
    rows = Event.objects.filter(price__gt=key).exclude(place__name__startswith="n1").order_by("pk")
    yield from (show(row) for row in rows)
    yield str(Event.objects.filter(price__lt=F("starts")).count())


@page("topic")
def grouped(request, key):
    rows = Topic.objects.filter(parent=key).annotate(many=Count("events"), dear=Sum("events__price"))
    yield from sorted(show(row, row.many, row.dear) for row in rows)
    yield str(
        sorted(
            Event.objects.filter(topics=key).values_list("kind").annotate(many=Count("pk")).order_by("kind")
        )
    )


@page("kind")
def ranked(request, key):
    rank = Window(Rank(), order_by=[F("price").desc(), F("pk").asc()])
    rows = Event.objects.filter(kind=key).annotate(rank=rank).order_by("pk")
    yield from (show(row, row.rank) for row in rows)


@page("country")
def filtered_relation(request, key):
    rows = Place.objects.annotate(
        dear=FilteredRelation("events", condition=Q(events__price__gt=50)), title=F("dear__title")
    )
    yield from sorted(f"{row.name} {row.title}" for row in rows.filter(country=key))


@page("kind")
def expressions(request, key):
    rows = Event.objects.annotate(
        cost=Case(When(price__gt=50, then=Value("dear")), default=Value("cheap")),
        where=Coalesce("place__name", Value("nowhere")),
        lower=Lower("title"),
        comments_on_it=RawSQL(
            "(SELECT count(*) FROM recorded_comment c WHERE c.object_id = recorded_event.id)", []
        ),
    )
    for row in rows.filter(kind=key).order_by("pk"):
        yield f"{row.lower} {row.cost} {row.where} {row.comments_on_it}"


@page("kind")
def extra(request, key):
    rows = Event.objects.extra(
        select={
            "members": "SELECT count(*) FROM recorded_participation p WHERE p.event_id = recorded_event.id"
        },
        where=["kind = %s"],
        params=[key],
    )
    yield from sorted(show(row, row.members) for row in rows)


@page("topic")
def through_many(request, key):
    rows = Person.objects.filter(events__topics=key, participation__role="host").distinct()
    yield from sorted(show(row) for row in rows)
    yield str(Profile.objects.filter(person__events__topics=key).distinct().count())


@page("none")
def counted(request, key):
    yield str([model.objects.count() for model in (Event, Person, Comment, Profile, Country)])
    yield str(Event.topics.through.objects.count())


# What comes from elsewhere than the database


@page("topic")
def cached(request, key):
    """What the cache that all processes share has of a topic, for pages of several colours."""

    def made() -> list[str]:
        rows = Event.objects.filter(topics=key).select_related("place").order_by("pk")
        return [show(row) + f" at {show(row.place)}" for row in rows]

    if "colour" in request.GET:
        yield request.GET["colour"]
    yield from caches["shared"].get_or_set(f"topic-{key}", made)


@page("event")
def cached_by_version(request, key):
    """What a process has made of this version of an event is good for ever."""
    found = Event.objects.filter(pk=key).first()
    if found is None:
        raise Http404
    yield cache.get_or_set(f"event-{key}-{found.version}", lambda: f"{key} of version {found.version}")


CONCURRENT = frozenset(PAGES) - {"cached"}
"""Those that don't go wrong by themselves when somebody writes meanwhile: whoever puts into a shared cache
what he has read before may put it there after another has forgotten it."""
