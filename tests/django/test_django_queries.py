"""What queries of the ORM read: rows, each a query and the tags that it must have."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connections, transaction
from django.db.models import (
    Count,
    Exists,
    F,
    FilteredRelation,
    Func,
    Max,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
    Value,
    Window,
)
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce, Lower, RowNumber
from testsite.models import (
    Arena,
    Comment,
    Crowd,
    Event,
    Famous,
    Hall,
    Organisation,
    Part,
    Person,
    Profile,
    Report,
    Tag,
    Topic,
    Venue,
)

from uncork.django import queries
from uncork.django.recording import Recording, enter, start

ANN, BOB, EVE = (uuid.UUID(int=number) for number in (1, 2, 3))
ALL = object()
"""What is expected of a query that may read everything."""


@pytest.fixture(autouse=True, scope="module")
def hooks() -> None:
    queries.install()


@pytest.fixture
def world(database: str) -> Iterator[str]:
    """A few rows of everything."""
    ContentType.objects.clear_cache()

    with transaction.atomic(database):
        fill(database)
    yield database


def fill(database: str) -> None:
    def make(model: Any, **values: Any) -> Any:
        return model.objects.using(database).create(**values)

    for key, code in ((1, "one"), (2, "two")):
        make(Organisation, id=key, name=code.title(), code=code, country="de" if key == 1 else "fr")
    for slug in ("art", "bio"):
        make(Topic, slug=slug, title=slug.title())
    make(Venue, id=21, name="Venue", city="bonn")
    make(Hall, id=22, name="Hall", city="bonn")
    make(Arena, id=23, name="Arena", city="kiel")
    make(Person, id=ANN, name="Ann")
    make(Person, id=BOB, name="Bob", mentor_id=ANN)
    make(Person, id=EVE, name="Eve")
    make(Profile, id=31, person_id=ANN)
    make(Event, id=11, title="Eleven", organisation_id=1, venue_id=21).topics.add("art")
    make(Event, id=12, title="Twelve", organisation_id=2, venue_id=22, published=False)
    make(Event, id=13, title="Thirteen", organisation_id=1)
    make(Part, id=41, event_id=11, person_id=ANN)
    make(Part, id=42, event_id=11, person_id=BOB)
    make(Report, id=51, event_id=11, year=2020)
    make(Report, id=52, event_id=99, year=2021)
    make(Report, id=53, year=2021)
    kind = ContentType.objects.db_manager(database).get_for_model(Event)
    make(Tag, id=61, label="x", content_type=kind, object_id=11)
    make(Comment, id=71, content_type=kind, object_pk="11", event_id=11)


def short(table: str) -> str:
    return table.removeprefix("testsite_").removeprefix("django_")


def text(value: bytes) -> Any:
    return int(value) if value.isdigit() and len(value) < 9 else value.decode()


def seen(recording: Recording) -> Any:
    """Tables of which any row counts, and of the others rows by table and column."""
    if recording.tags:
        return ALL
    rows: dict[str, set[Any]] = {}
    tables = {short(table) for table in recording.tables}
    for table, parts in recording.parts.items():
        if any(value is None for _, value, _ in parts):
            tables.add(short(table))
        elif short(table) != "content_type":
            for column, value, _ in parts:
                rows.setdefault(f"{short(table)}.{column}", set()).add(text(value))
    return tables, rows


def record(run: Callable[[], Any]) -> Recording:
    recording = start()
    try:
        with enter(recording):
            result = run()
            if isinstance(result, QuerySet):
                list(result)
    finally:
        recording.close()
    return recording


@dataclass
class Case:
    what: str
    query: Callable[[Any], Any]
    tables: Any = frozenset()
    rows: Any = None
    only: str = ""


def case(what: str, query: Callable[[Any], Any], *tables: str, only: str = "", **rows: Any) -> Case:
    """Rows are `table__column=values`."""
    return Case(what, query, set(tables), {name.replace("__", "."): set(v) for name, v in rows.items()}, only)


def everything(what: str, query: Callable[[Any], Any], only: str = "") -> Case:
    return Case(what, query, ALL, None, only)


def of(model: Any) -> Callable[[str], Any]:
    return lambda using: model._base_manager.using(using)


events, people, organisations = of(Event), of(Person), of(Organisation)
Anns, Bobs, Eves = ANN.hex, BOB.hex, EVE.hex


class Opaque(Func):
    """A function of nobody knows what."""

    function = "ABS"


CASES = [
    # Equality with constants
    case("by its key", lambda db: events(db).get(pk=11), event__id=[11]),
    case("by a key that isn't there", lambda db: events(db).filter(pk=99), event__id=[99]),
    case("by keys", lambda db: events(db).filter(pk__in=[11, 12, 99]), event__id=[11, 12, 99]),
    case("by keys, one of them NULL", lambda db: events(db).filter(pk__in=[11, None]), event__id=[11]),
    case("in_bulk", lambda db: events(db).in_bulk([11, 12]), event__id=[11, 12]),
    case("by a UUID", lambda db: people(db).get(pk=ANN), person__id=[Anns]),
    case("by a UUID as text", lambda db: people(db).get(pk=str(ANN).upper()), person__id=[Anns]),
    case("by a text key", lambda db: of(Topic)(db).get(pk="art"), topic__slug=["art"]),
    case("by a foreign key", lambda db: events(db).filter(organisation_id=1), event__organisation_id=[1]),
    case(
        "by an object", lambda db: events(db).filter(organisation=Organisation(1)), event__organisation_id=[1]
    ),
    case(
        "by objects", lambda db: events(db).filter(venue__in=[Venue(21), Venue(3)]), event__venue_id=[21, 3]
    ),
    case("by a relation's key", lambda db: events(db).filter(organisation__id=1), event__organisation_id=[1]),
    case("by a unique column", lambda db: organisations(db).filter(code="one"), organisation__code=["one"]),
    case(
        "by an indexed column",
        lambda db: organisations(db).filter(country="de"),
        organisation__country=["de"],
    ),
    case("by a column without an index", lambda db: organisations(db).filter(rank=0), "organisation"),
    case(
        "by the best of several",
        lambda db: organisations(db).filter(country="de", code="one", pk=1),
        organisation__id=[1],
    ),
    case("by the fewest values", lambda db: events(db).filter(pk__in=[11, 12]).filter(pk=11), event__id=[11]),
    case(
        "within parentheses", lambda db: events(db).filter(Q(Q(pk=11), seats=10), title="x"), event__id=[11]
    ),
    case("no condition", lambda db: events(db).all(), "event"),
    case("an inequality", lambda db: events(db).filter(pk__gte=11), "event"),
    case("negated", lambda db: events(db).exclude(pk=11), "event"),
    case("twice negated", lambda db: events(db).filter(~Q(~Q(pk=11))), "event"),
    case("OR", lambda db: events(db).filter(Q(pk=11) | Q(title="x")), "event"),
    case("AND around OR", lambda db: events(db).filter(Q(pk=11), Q(seats=1) | Q(title="x")), event__id=[11]),
    case("XOR", lambda db: events(db).filter(Q(pk=11) ^ Q(pk=12)), "event"),
    case("NULL", lambda db: events(db).filter(venue=None), "event"),
    case("an expression", lambda db: events(db).filter(pk=F("seats") + 1), "event"),
    case("another column", lambda db: events(db).filter(pk=F("seats")), "event"),
    case(
        "a transform", lambda db: organisations(db).annotate(l=Lower("code")).filter(l="one"), "organisation"
    ),
    case("without case", lambda db: organisations(db).filter(code__iexact="one"), "organisation"),
    case("JSON", lambda db: events(db).filter(details__a=1), "event"),
    case("JSON of a row", lambda db: events(db).filter(details__a=1, pk=11), event__id=[11]),
    case("a text that is long", lambda db: organisations(db).filter(code="x" * 300), "organisation"),
    case("nothing can match", lambda db: events(db).filter(pk__in=[])),
    case("none()", lambda db: events(db).none()),
    case("a number that no column holds", lambda db: events(db).filter(seats=2**70)),
    case("a boolean", lambda db: events(db).filter(published=True), "event", only="default"),
    case("a boolean", lambda db: events(db).filter(published=True), event__published=[1], only="postgresql"),
    case(
        "a manager that filters",
        lambda db: Event.public.using(db).filter(organisation=1),
        event__organisation_id=[1],
    ),
    case("a proxy", lambda db: of(Famous)(db).get(pk=ANN), person__id=[Anns]),
    case("its own table", lambda db: people(db).filter(mentor=ANN), person__mentor_id=[Anns]),
    # What is asked of the rows
    case("exists()", lambda db: events(db).filter(pk=11).exists(), event__id=[11]),
    case("count()", lambda db: events(db).filter(organisation=1).count(), event__organisation_id=[1]),
    case(
        "count() of a slice",
        lambda db: events(db).filter(organisation=1)[:1].count(),
        event__organisation_id=[1],
    ),
    case(
        "count() of distinct",
        lambda db: events(db).filter(organisation=1).distinct().count(),
        event__organisation_id=[1],
    ),
    case(
        "aggregate()",
        lambda db: events(db).filter(organisation=1).aggregate(Max("seats")),
        event__organisation_id=[1],
    ),
    case("values()", lambda db: events(db).filter(pk=11).values("title"), event__id=[11]),
    case(
        "values_list(), flat",
        lambda db: list(events(db).filter(pk=11).values_list("title", flat=True)),
        event__id=[11],
    ),
    case("first()", lambda db: events(db).filter(organisation=1).first(), event__organisation_id=[1]),
    case("a slice", lambda db: events(db).filter(organisation=1)[1:2], event__organisation_id=[1]),
    case("distinct()", lambda db: events(db).filter(organisation=1).distinct(), event__organisation_id=[1]),
    case("defer()", lambda db: events(db).defer("title").get(pk=11), event__id=[11]),
    case("a deferred field", lambda db: events(db).only("id").get(pk=11).title, event__id=[11]),
    case("refresh_from_db()", lambda db: events(db).get(pk=11).refresh_from_db(), event__id=[11]),
    case(
        "dates",
        lambda db: list(events(db).filter(pk=11).values_list("seats").order_by("-seats")),
        event__id=[11],
    ),
    case("iterator()", lambda db: list(events(db).filter(pk=11).iterator()), event__id=[11]),
    # Relations
    case(
        "an object's relation",
        lambda db: events(db).get(pk=11).organisation,
        event__id=[11],
        organisation__id=[1],
    ),
    case(
        "select_related",
        lambda db: events(db).select_related("organisation").get(pk=11),
        event__id=[11],
        organisation__id=[1],
    ),
    case(
        "select_related of a list",
        lambda db: events(db).select_related("organisation", "venue"),
        "event",
        organisation__id=[1, 2],
        venue__id=[21, 22],
    ),
    case(
        "… sliced",
        lambda db: events(db).select_related("organisation").order_by("-id")[:2],
        "event",
        organisation__id=[1, 2],
    ),
    case(
        "… ordered by it, sliced",
        lambda db: events(db).select_related("organisation").order_by("organisation__name")[:1],
        "event",
        "organisation",
    ),
    case(
        "… ordered by it",
        lambda db: events(db).select_related("organisation").order_by("organisation__name"),
        "event",
        organisation__id=[1, 2],
    ),
    case(
        "… filtered by it",
        lambda db: events(db).select_related("organisation").filter(organisation__country="de"),
        "event",
        organisation__country=["de"],
    ),
    case(
        "… filtered by it, vaguely",
        lambda db: events(db).select_related("organisation").filter(organisation__rank=0),
        "event",
        "organisation",
    ),
    case(
        "… lazily",
        lambda db: list(events(db).select_related("organisation").iterator(chunk_size=1)),
        "event",
        organisation__id=[1, 2],
    ),
    case(
        "… with a count",
        lambda db: events(db).select_related("organisation").annotate(n=Count("parts")),
        "event",
        "part",
        organisation__id=[1, 2],
    ),
    case(
        "… a maximum of it",
        lambda db: events(db).select_related("organisation").annotate(n=Max("organisation__rank")),
        "event",
        organisation__id=[1, 2],
    ),
    case(
        "… and a window",
        lambda db: events(db).select_related("organisation").annotate(n=Window(RowNumber(), order_by="id")),
        "event",
        organisation__id=[1, 2],
    ),
    case(
        "… a window over it",
        lambda db: (
            events(db)
            .select_related("organisation")
            .annotate(n=Window(RowNumber(), order_by="organisation__name"))
        ),
        "event",
        "organisation",
    ),
    case(
        "… two tables away",
        lambda db: of(Part)(db).select_related("event__organisation"),
        "part",
        event__id=[11],
        organisation__id=[1],
    ),
    case(
        "… that may be missing, two away",
        lambda db: of(Part)(db).select_related("event__venue"),
        "part",
        event__id=[11],
        venue__id=[21],
    ),
    case(
        "… filtered two away",
        lambda db: of(Part)(db).select_related("event").filter(event__organisation__rank=0),
        "part",
        "event",
        "organisation",
    ),
    case(
        "… without its key",
        lambda db: events(db).values("title", "organisation__name"),
        "event",
        "organisation",
    ),
    case(
        "… with the key that leads to it",
        lambda db: events(db).values("organisation_id", "organisation__name"),
        "event",
        organisation__id=[1, 2],
    ),
    case(
        "… deferred",
        lambda db: events(db).select_related("organisation").only("title", "organisation__name"),
        "event",
        organisation__id=[1, 2],
    ),
    case(
        "… with text that nobody reads",
        lambda db: events(db).select_related("organisation").extra(select={"n": "1"}),
        "event",
        "organisation",
    ),
    case(
        "… with a function of nobody knows what",
        lambda db: events(db).select_related("organisation").annotate(n=Opaque("seats")),
        "event",
        "organisation",
    ),
    case(
        "a foreign key nobody holds to",
        lambda db: of(Report)(db).select_related("event"),
        "report",
        event__id=[11, 99],
    ),
    case(
        "… asked for",
        lambda db: of(Report)(db).filter(event__isnull=False).select_related("event"),
        "report",
        "event",
    ),
    case(
        "… without the key",
        lambda db: of(Report)(db).values("text", "event__title"),
        "report",
        "event",
    ),
    case(
        "… joined",
        lambda db: of(Report)(db).filter(event__title="x").select_related("event"),
        "report",
        "event",
    ),
    case(
        "one to one, from behind",
        lambda db: people(db).select_related("profile"),
        "person",
        profile__person_id=[Anns, Bobs, Eves],
    ),
    case(
        "… of an object",
        lambda db: people(db).get(pk=ANN).profile,
        person__id=[Anns],
        profile__person_id=[Anns],
    ),
    case(
        "… of an object that has none",
        lambda db: hasattr(people(db).get(pk=BOB), "profile"),
        person__id=[Bobs],
        profile__person_id=[Bobs],
    ),
    case(
        "… that must be there",
        lambda db: people(db).filter(profile__isnull=False).select_related("profile"),
        "person",
        "profile",
    ),
    case(
        "to its own table",
        lambda db: people(db).select_related("mentor").get(pk=BOB),
        person__id=[Anns, Bobs],
    ),
    case(
        "an object's many",
        lambda db: list(events(db).get(pk=11).parts.all()),
        event__id=[11],
        part__event_id=[11],
    ),
    case(
        "… counted",
        lambda db: events(db).filter(pk=11).annotate(n=Count("parts")),
        event__id=[11],
        part__event_id=[11],
    ),
    case("… of a list, counted", lambda db: events(db).annotate(n=Count("parts")), "event", "part"),
    case(
        "many to many",
        lambda db: list(Event(id=11).topics.using(db).all()),
        event_topics__event_id=[11],
        topic__slug=["art"],
    ),
    case(
        "… from behind",
        lambda db: list(Topic("art").events.using(db).all()),
        event_topics__topic_id=["art"],
        event__id=[11],
    ),
    case(
        "… with a table of its own",
        lambda db: list(Event(id=11).people.using(db).all()),
        part__event_id=[11],
        person__id=[Anns, Bobs],
    ),
    case(
        "… filtered",
        lambda db: list(Event(id=11).people.using(db).filter(name="Ann")),
        "person",
        part__event_id=[11],
    ),
    case(
        "… filtered behind it",
        lambda db: list(Event(id=11).people.using(db).filter(profile__biography="")),
        "person",
        "profile",
        part__event_id=[11],
    ),
    case(
        "… and what lies behind it",
        lambda db: list(Event(id=11).people.using(db).select_related("profile")),
        part__event_id=[11],
        person__id=[Anns, Bobs],
        profile__person_id=[Anns, Bobs],
    ),
    case(
        "… with a NULL behind it",
        lambda db: list(Event(id=11).people.using(db).filter(mentor__isnull=False).select_related("mentor")),
        "person",
        part__event_id=[11],
    ),
    case(
        "… sliced",
        lambda db: list(Event(id=11).people.using(db).order_by("parts__role")[:1]),
        part__event_id=[11],
        person__id=[Anns],
    ),
    case(
        "… ordered by itself, sliced",
        lambda db: list(Event(id=11).people.using(db).order_by("name")[:1]),
        "person",
        part__event_id=[11],
    ),
    case(
        "… only its keys",
        lambda db: list(Event(id=11).people.using(db).values_list("pk")),
        part__event_id=[11],
        person__id=[Anns, Bobs],
    ),
    case(
        "… without its keys",
        lambda db: list(Event(id=11).people.using(db).values_list("name")),
        "person",
        part__event_id=[11],
    ),
    case("… counted", lambda db: Event(id=11).topics.using(db).count(), event_topics__event_id=[11]),
    case(
        "prefetch",
        lambda db: (
            events(db).filter(pk__in=[11, 12]).prefetch_related("topics", "parts__person", "organisation")
        ),
        event__id=[11, 12],
        event_topics__event_id=[11, 12],
        topic__slug=["art"],
        part__event_id=[11, 12],
        person__id=[Anns, Bobs],
        organisation__id=[1, 2],
    ),
    case(
        "prefetch of a query",
        lambda db: (
            events(db).filter(pk=11).prefetch_related(Prefetch("parts", of(Part)(db).filter(role="x")))
        ),
        event__id=[11],
        part__event_id=[11],
    ),
    case(
        "a reverse filter",
        lambda db: organisations(db).filter(events=11),
        event__id=[11],
        organisation__id=[1],
    ),
    case(
        "a reverse filter over two",
        lambda db: people(db).filter(events__organisation=1),
        "person",
        "part",
        event__organisation_id=[1],
    ),
    case(
        "a filter that is kept apart",
        lambda db: events(db).exclude(parts__person=ANN),
        "event",
        part__person_id=[Anns],
    ),
    case(
        "a filtered relation",
        lambda db: (
            events(db)
            .annotate(p=FilteredRelation("parts", condition=Q(parts__person=ANN)))
            .values("id", "p__role")
        ),
        "event",
        "part",
    ),
    case(
        "… of a row",
        lambda db: (
            events(db)
            .annotate(p=FilteredRelation("parts", condition=Q(parts__person=ANN)))
            .filter(pk=11)
            .values("id", "p__role")
        ),
        event__id=[11],
        part__event_id=[11],
    ),
    # Inheritance
    case("a child of a table", lambda db: of(Hall)(db).get(pk=22), hall__venue_ptr_id=[22], venue__id=[22]),
    case(
        "a grandchild",
        lambda db: of(Arena)(db).get(pk=23),
        arena__hall_ptr_id=[23],
        hall__venue_ptr_id=[23],
        venue__id=[23],
    ),
    case("children, all", lambda db: of(Hall)(db).order_by("capacity"), "hall", venue__id=[22, 23]),
    case("children, ordered by the parent", lambda db: of(Hall)(db).all(), "hall", venue__id=[22, 23]),
    case(
        "children, by the parent's column",
        lambda db: of(Hall)(db).filter(city="bonn"),
        "hall",
        venue__city=["bonn"],
    ),
    case(
        "children, by their own",
        lambda db: of(Hall)(db).filter(capacity=100),
        hall__capacity=[100],
        venue__id=[22, 23],
    ),
    case(
        "from a parent to its child",
        lambda db: of(Venue)(db).get(pk=22).hall,
        venue__id=[22],
        hall__venue_ptr_id=[22],
    ),
    case(
        "parents with their children",
        lambda db: of(Venue)(db).select_related("hall"),
        "venue",
        hall__venue_ptr_id=[21, 22, 23],
    ),
    case("an abstract parent", lambda db: of(Report)(db).filter(year=2020), report__year=[2020]),
    # Generic relations
    case(
        "a generic relation",
        lambda db: list(events(db).get(pk=11).tags.all()),
        event__id=[11],
        tag__object_id=[11],
    ),
    case("a generic key", lambda db: of(Tag)(db).get(pk=61).tagged, tag__id=[61], event__id=[11]),
    case("… by a text", lambda db: of(Comment)(db).get(pk=71).about, comment__id=[71], event__id=[11]),
    case(
        "generic keys, prefetched",
        lambda db: list(of(Tag)(db).filter(pk=61).prefetch_related("tagged")),
        tag__id=[61],
        event__id=[11],
    ),
    case("a generic relation, joined", lambda db: events(db).filter(tags__label="x"), "event", "tag"),
    # Queries within queries
    case(
        "IN",
        lambda db: events(db).filter(organisation__in=organisations(db).filter(code="one")),
        "event",
        organisation__code=["one"],
    ),
    case(
        "… within what is held",
        lambda db: events(db).filter(pk=11, organisation__in=organisations(db).filter(rank=0)),
        "organisation",
        event__id=[11],
    ),
    case(
        "EXISTS",
        lambda db: events(db).filter(Exists(of(Part)(db).filter(event=OuterRef("pk")))),
        "event",
        "part",
    ),
    case(
        "EXISTS of a row",
        lambda db: events(db).annotate(x=Exists(of(Part)(db).filter(event=OuterRef("pk")))).get(pk=11),
        event__id=[11],
        part__event_id=[11],
    ),
    case(
        "a value",
        lambda db: (
            events(db)
            .filter(pk=11)
            .annotate(x=Subquery(of(Part)(db).filter(event=OuterRef("pk")).values("role")[:1]))
        ),
        event__id=[11],
        part__event_id=[11],
    ),
    case(
        "a value of others",
        lambda db: (
            events(db)
            .filter(pk=11)
            .annotate(x=Subquery(of(Part)(db).filter(event__gt=OuterRef("pk")).values("role")[:1]))
        ),
        "part",
        event__id=[11],
    ),
    case(
        "a value, two deep",
        lambda db: (
            events(db)
            .filter(pk=11)
            .annotate(
                x=Exists(
                    of(Part)(db).filter(
                        event=OuterRef("pk"), person__in=people(db).filter(pk=OuterRef("person"))
                    )
                )
            )
        ),
        "person",
        event__id=[11],
        part__event_id=[11],
    ),
    case(
        "union",
        lambda db: events(db).filter(pk=11).union(events(db).filter(organisation=2)),
        event__id=[11],
        event__organisation_id=[2],
    ),
    case(
        "union of tables",
        lambda db: events(db).filter(pk=11).values_list("title").union(organisations(db).values_list("name")),
        "organisation",
        event__id=[11],
    ),
    case("difference", lambda db: events(db).difference(events(db).filter(pk=11)), "event"),
    case(
        "a window, filtered",
        lambda db: (
            events(db).filter(organisation=1).annotate(n=Window(RowNumber(), order_by="id")).filter(n=1)
        ),
        event__organisation_id=[1],
    ),
    case(
        "HAVING",
        lambda db: events(db).filter(pk=11).annotate(n=Count("parts")).filter(n__gt=1),
        event__id=[11],
        part__event_id=[11],
    ),
    case(
        "values and a count",
        lambda db: events(db).values("organisation__country").annotate(n=Count("id")),
        "event",
        "organisation",
    ),
    case(
        "a condition that may be a count",
        lambda db: events(db).annotate(n=Count("parts")).filter(Q(pk=11) | Q(n=2)),
        "event",
        "part",
    ),
    # Text
    case("a view", lambda db: of(Crowd)(db).filter(pk=11), "event", "part", "crowd"),
    case(
        "raw()",
        lambda db: list(Event.objects.using(db).raw("SELECT * FROM testsite_event WHERE id = %s", [11])),
        "event",
    ),
    case(
        "raw(), and a deferred field",
        lambda db: [
            e.title for e in Event.objects.using(db).raw("SELECT id FROM testsite_event WHERE id = 11")
        ],
        "event",
    ),
    case(
        "a cursor",
        lambda db: connections[db].cursor().execute("SELECT 1 FROM testsite_event, testsite_crowd"),
        "event",
        "part",
    ),
    case(
        "a cursor, many",
        lambda db: connections[db].cursor().executemany("UPDATE testsite_topic SET title = %s", [("a",)]),
        "topic",
    ),
    case("extra(where)", lambda db: events(db).filter(pk=11).extra(where=["seats = 1 OR 1 = 1"]), "event"),
    case(
        "extra(tables)",
        lambda db: events(db).filter(pk=11).extra(tables=["testsite_topic"]),
        "topic",
        event__id=[11],
    ),
    case(
        "extra(select)",
        lambda db: events(db).filter(pk=11).extra(select={"n": "SELECT COUNT(*) FROM testsite_topic"}),
        "topic",
        event__id=[11],
    ),
    case(
        "text that reads the same table",
        lambda db: events(db).filter(pk=11).annotate(n=RawSQL("SELECT COUNT(*) FROM testsite_event", ())),
        "event",
    ),
    case(
        "text as a set",
        lambda db: events(db).filter(pk__in=RawSQL("SELECT event_id FROM testsite_part", ())),
        "event",
        "part",
    ),
    case(
        "text that only computes",
        lambda db: events(db).filter(pk=11).annotate(n=RawSQL("1 + %s", (1,))),
        event__id=[11],
    ),
    case(
        "a function of nobody knows what",
        lambda db: events(db).filter(pk=11).annotate(n=Opaque("seats")),
        event__id=[11],
    ),
    case(
        "… as a condition",
        lambda db: events(db).filter(pk=11).annotate(n=Opaque("seats")).filter(n=10),
        "event",
    ),
    everything("the database's own tables", lambda db: connections[db].introspection.table_names()),
    everything("EXPLAIN", lambda db: events(db).filter(pk=11).explain()),
    # Writes
    case("update()", lambda db: events(db).filter(pk=11).update(title="x"), event__id=[11]),
    case("update() of several", lambda db: events(db).filter(seats=10).update(seats=1), "event"),
    case(
        "update() by another table",
        lambda db: events(db).filter(organisation__code="one").update(seats=1),
        "event",
        "organisation",  # it is made before it is executed, to see what it writes
    ),
    case(
        "update() of a parent's column",
        lambda db: of(Hall)(db).filter(pk=22).update(name="x"),
        hall__venue_ptr_id=[22],
        venue__id=[22],
    ),
    case("save()", lambda db: Topic(slug="art", title="x").save(using=db), topic__slug=["art"]),
    case("a row that is new", lambda db: of(Topic)(db).create(slug=uuid.uuid4().hex, title="x")),
    case("delete()", lambda db: of(Tag)(db).filter(pk=61).delete(), tag__id=[61]),
    case(
        "bulk_create(), ignoring",
        lambda db: of(Topic)(db).bulk_create([Topic(slug="art")], ignore_conflicts=True),
        "topic",
    ),
    case("get_or_create()", lambda db: of(Topic)(db).get_or_create(slug="art"), topic__slug=["art"]),
    # What Django keeps
    case(
        "coalesce",
        lambda db: events(db).filter(pk=11).annotate(v=Coalesce("venue__name", Value("-"))).values("v"),
        "venue",
        event__id=[11],
    ),
    case(
        "coalesce, with the key",
        lambda db: events(db).annotate(v=Coalesce("venue__name", Value("-"))).values("v", "venue"),
        "event",
        venue__id=[21, 22],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.what for case in CASES])
def test_what_a_query_reads(world: str, case: Case) -> None:
    if case.only and case.only != world:
        return
    expected = ALL if case.tables is ALL else (case.tables, case.rows)
    for _ in range(2):  # by a new plan, and by a kept one
        recording = record(lambda: case.query(world))
        assert seen(recording) == expected, dict(recording.fallbacks)
