"""Each a query and a write that changes its result: a page made of the one is purged by the other."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import (
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
from django.db.models.functions import Rank, RowNumber, Upper
from testsite.models import Crowd, Event, Organisation, Part, Person, Report, Topic, Venue

from support.purged import Purged
from uncork.django.recording import enter, start


class World:
    """Two of each: the second event has no venue."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.one = self.of(Organisation).create(name="o", code="c", rank=3)
        self.two = self.of(Organisation).create(name="p", code="d", rank=1)
        self.venue = self.of(Venue).create(name="v", city="x")
        self.first = self.of(Event).create(title="e", organisation=self.one, venue=self.venue, seats=10)
        self.second = self.of(Event).create(title="f", organisation=self.two, seats=20)
        self.topic, self.other = self.of(Topic).create(slug="t"), self.of(Topic).create(slug="u")
        self.first.topics.add(self.topic)
        self.person = self.of(Person).create(name="p")
        self.of(Report).create(event=self.first)

    def of(self, model: Any) -> Any:
        return model._base_manager.using(self.alias)

    @property
    def events(self) -> Any:
        return self.of(Event)

    @property
    def organisations(self) -> Any:
        return self.of(Organisation)

    def change(self, one: Any, **values: Any) -> None:
        self.of(type(one)).filter(pk=one.pk).update(**values)

    def add(self, **values: Any) -> None:
        self.events.create(**{"title": "n", "organisation": self.one} | values)


def titles_by_organisation(w: World, events: Any) -> list[list[str]]:
    found = w.organisations.order_by("id").prefetch_related(Prefetch("events", queryset=events))
    return [[event.title for event in one.events.all()] for one in found]


def first_of(rows: Any) -> Any:
    return next(rows.iterator(chunk_size=1)).pk


Step = Callable[[World], Any]

CHANGES: list[tuple[str, Step, Step]] = [
    # What all rows are ordered by
    (
        "an order by what isn't shown",
        lambda w: list(w.events.order_by("seats").values_list("title")),
        lambda w: w.change(w.first, seats=30),
    ),
    (
        "… of what is loaded only in part",
        lambda w: [one.pk for one in w.events.only("title").order_by("seats")],
        lambda w: w.change(w.first, seats=30),
    ),
    (
        "… by another table",
        lambda w: list(w.events.order_by("organisation__rank").values_list("id")),
        lambda w: w.change(w.one, rank=0),
    ),
    (
        "… by an expression",
        lambda w: list(w.organisations.order_by(Case(When(rank=3, then=1), default=0)).values_list("id")),
        lambda w: w.change(w.two, rank=3) or w.change(w.one, rank=0),
    ),
    (
        "… by a key in JSON",
        lambda w: list(w.events.order_by("details__k", "-id").values_list("id")),
        lambda w: w.change(w.second, details={"k": 2}) or w.change(w.first, details={"k": 1}),
    ),
    (
        "… by a query",
        lambda w: list(
            w.organisations.order_by(
                Subquery(w.events.filter(organisation=OuterRef("pk")).values("seats")[:1])
            ).values_list("id")
        ),
        lambda w: w.change(w.first, seats=30),
    ),
    (
        "… by how many there are",
        lambda w: list(w.organisations.annotate(n=Count("events")).order_by("n", "id").values_list("id")),
        lambda w: w.add(),
    ),
    (
        "… where a row is held to a constant",
        lambda w: list(w.events.filter(published=True).order_by("seats").values_list("title")),
        lambda w: w.change(w.first, seats=30),
    ),
    (
        "… of what is prefetched",
        lambda w: titles_by_organisation(w, w.events.only("title", "organisation").order_by("-seats")),
        lambda w: w.add(seats=99),
    ),
    # Which rows are taken
    (
        "a slice",
        lambda w: list(w.events.order_by("title")[1:].values("id")),
        lambda w: w.change(w.first, title="z"),
    ),
    ("the last", lambda w: w.events.order_by("seats").last().pk, lambda w: w.change(w.first, seats=30)),
    (
        "the first of an iterator",
        lambda w: first_of(w.events.order_by("seats")),
        lambda w: w.change(w.second, seats=1),
    ),
    (
        "… of two tables",
        lambda w: first_of(w.events.select_related("organisation").order_by("-organisation__rank")),
        lambda w: w.change(w.two, rank=9),
    ),
    ("in_bulk", lambda w: len(w.events.in_bulk([w.first.pk, 99_999])), lambda w: w.add(pk=99_999)),
    # Conditions
    (
        "OR",
        lambda w: list(w.events.filter(Q(pk=w.first.pk) | Q(seats=5))),
        lambda w: w.change(w.second, seats=5),
    ),
    (
        "XOR",
        lambda w: list(w.events.filter(Q(pk=w.first.pk) ^ Q(seats=5))),
        lambda w: w.change(w.second, seats=5),
    ),
    ("exclude", lambda w: list(w.events.exclude(topics="t")), lambda w: w.second.topics.add(w.topic)),
    (
        "a relation with a condition",
        lambda w: list(
            w.organisations.annotate(
                x=FilteredRelation("events", condition=Q(events__published=True))
            ).values_list("id", "x__title")
        ),
        lambda w: w.change(w.first, published=False),
    ),
    (
        "a query by a constant of the one around",
        lambda w: list(
            w.organisations.filter(code="c").values_list(
                Exists(w.events.filter(organisation__code=OuterRef("code"), seats=7))
            )
        ),
        lambda w: w.change(w.first, seats=7),
    ),
    (
        "without a constraint",
        lambda w: list(w.of(Report).filter(event__title="e")),
        lambda w: w.change(w.first, title="x"),
    ),
    (
        "a number as text",
        lambda w: list(w.events.filter(pk=f"0{w.first.pk}").values_list("title")),
        lambda w: w.change(w.first, title="x"),
    ),
    # Sets, groups, windows
    (
        "a union",
        lambda w: list(w.organisations.values_list("name").union(w.events.values_list("title"))),
        lambda w: w.change(w.first, title="x"),
    ),
    (
        "how many there are of a union",
        lambda w: w.organisations.values_list("name").union(w.events.values_list("title")).count(),
        lambda w: w.change(w.first, title="o"),
    ),
    (
        "distinct",
        lambda w: list(w.events.values_list("title").distinct()),
        lambda w: w.change(w.first, title="f"),
    ),
    (
        "what groups must meet",
        lambda w: list(w.organisations.annotate(n=Sum("events__seats")).filter(n__gt=100)),
        lambda w: w.change(w.first, seats=101),
    ),
    ("an aggregate", lambda w: w.events.aggregate(Max("seats")), lambda w: w.change(w.first, seats=99)),
    (
        "an aggregate of some",
        lambda w: w.events.aggregate(n=Count("id", filter=Q(topics="t"))),
        lambda w: w.second.topics.add(w.topic),
    ),
    (
        "ranks",
        lambda w: list(w.events.values_list("id", Window(Rank(), order_by=F("seats").desc()))),
        lambda w: w.change(w.first, seats=30),
    ),
    (
        "the first of each",
        lambda w: list(
            w.events.annotate(
                n=Window(RowNumber(), partition_by="organisation", order_by=F("seats").desc())
            ).filter(n=1)
        ),
        lambda w: w.add(seats=99),
    ),
    # Values
    (
        "a function",
        lambda w: list(w.events.values_list(Upper("title"))),
        lambda w: w.change(w.first, title="x"),
    ),
    ("a constant for each", lambda w: list(w.events.values_list(Value(1))), lambda w: w.add()),
    (
        "a view",
        lambda w: list(w.of(Crowd).filter(id=w.first.pk).values_list("people")),
        lambda w: w.of(Part).create(event=w.first, person=w.person),
    ),
    # Writes
    (
        "F()",
        lambda w: w.events.get(pk=w.first.pk).seats,
        lambda w: w.events.filter(organisation__code="c").update(seats=F("seats") + 1),
    ),
    (
        "an upsert",
        lambda w: w.organisations.get(code="c").name,
        lambda w: w.organisations.bulk_create(
            [Organisation(name="U", code="c")],
            update_conflicts=True,
            update_fields=["name"],
            unique_fields=["code"],
        ),
    ),
    ("a cascade", lambda w: w.events.filter(organisation__code="c").count(), lambda w: w.one.delete()),
    ("a cascade to NULL", lambda w: w.events.get(pk=w.first.pk).venue_id, lambda w: w.venue.delete()),
]


@pytest.mark.parametrize(
    ("read", "write"), [steps for _, *steps in CHANGES], ids=[what for what, *_ in CHANGES]
)
def test_what_changes_a_result_purges_it(database: str, purged: Purged, read: Step, write: Step) -> None:
    world = World(database)
    before: Any = None
    for _ in range(2):  # by a new plan, and by a kept one
        recording = start()
        with enter(recording):
            before = read(world)
        recording.close()
    purged.clear()
    write(world)
    tags = set(purged)
    assert read(world) != before
    assert tags & recording.all_tags()
