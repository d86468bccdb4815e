"""Whatever is written, in whichever way: what the tables lost and gained is purged, and no more than that.

Random writes of all kinds, in random transactions of which some are rolled back, against both databases.
The tables are compared before and after every write.
"""

import uuid
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import DatabaseError, connections, transaction
from django.db.models import Case, F, Value, When
from django.db.models.functions import Concat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from testsite import models as site

from support.purged import Purged, blind, covers
from support.soak import soak
from uncork.django.columns import spelling, tracked
from uncork.pages.tags import (
    COMING_OR_GOING,
    READ_ANYTHING,
    READ_EVERYTHING,
    column_tag,
    existence_tag,
    row_tag,
    table_tag,
)

Table = dict[tuple[Any, ...], dict[str, Any]]


def models() -> list[Any]:
    return [
        model
        for model in apps.get_app_config("testsite").get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy
    ]


def snapshot(alias: str) -> dict[Any, Table]:
    """Every row of every table, as the driver gives it."""
    found: dict[Any, Table] = {}
    with connections[alias].cursor() as cursor:
        for model in models():
            cursor.execute(f"SELECT * FROM {model._meta.db_table}")
            names = [column[0] for column in cursor.description]
            key = names.index(model._meta.pk.column)
            found[model] = {
                row[key]: dict(zip(names, row, strict=True)) for row in map(tuple, cursor.fetchall())
            }
    return found


def tags_between(before: dict[Any, Table], after: dict[Any, Table], vendor: str) -> set[bytes]:
    """What a page may have that depends on a difference of the two, by the table in `pages.tags`."""
    tags: set[bytes] = set()
    for model in before:
        table = model._meta.db_table.encode()
        for key in before[model].keys() | after[model].keys():
            old, new = before[model].get(key), after[model].get(key)
            if old == new:
                continue
            tags |= {table_tag(table), READ_EVERYTHING}
            if old is None or new is None:
                tags.add(existence_tag(table))
                different = set()
            else:
                different = {name for name in old if old[name] != new[name]}
            tags |= {column_tag(table, name.encode()) for name in different}
            for name in tracked(model, vendor):
                values = [spelling(row[name]) for row in (old, new) if row is not None]
                for value in values:
                    assert value is not None
                    tags.add(row_tag(table, name.encode(), value))
                    tags |= {row_tag(table, name.encode(), value, other.encode()) for other in different}
                    if len(set(values)) > 1 or len(values) == 1:
                        tags.add(row_tag(table, name.encode(), value, COMING_OR_GOING))
    return tags


class World:
    """A database with some rows, of which numbers choose."""

    def __init__(self, alias: str) -> None:
        self.alias = alias

    def of(self, model: Any, number: int) -> Any:
        """One of its rows, or None."""
        rows = list(model.objects.using(self.alias).order_by("pk"))
        return rows[number % len(rows)] if rows else None

    def all(self, model: Any) -> Any:
        return model._base_manager.using(self.alias)


Op = Callable[[World, int, int], Any]
OPS: dict[str, Op] = {}
BLIND: dict[str, set[bytes]] = {}
"""Those that nobody looks at the rows of, and what they may purge."""


def op(function: Op) -> Op:
    OPS[function.__name__] = function
    return function


def blind_op(*tables: str) -> Callable[[Op], Op]:
    def mark(function: Op) -> Op:
        BLIND[function.__name__] = blind(*(f"testsite_{table}" for table in tables))
        return op(function)

    return mark


@op
def insert(world: World, a: int, b: int) -> None:
    site.Organisation(name=f"o{a}", code=f"c{b}", country="dn"[a % 2] + "e").save(using=world.alias)


@op
def insert_with_a_key(world: World, a: int, b: int) -> None:
    site.Topic(slug=f"s{a}", title=f"t{b}").save(using=world.alias, force_insert=True)


@op
def save_new_or_old(world: World, a: int, b: int) -> None:
    site.Topic(slug=f"s{a}", title=f"t{b}").save(using=world.alias)


@op
def save(world: World, a: int, b: int) -> None:
    if (one := world.of(site.Organisation, a)) is not None:
        one.country = ["de", "fr", "it"][b % 3]
        one.save()


@op
def save_a_column(world: World, a: int, b: int) -> None:
    if (one := world.of(site.Organisation, a)) is not None:
        one.name, one.rank = f"n{b}", b
        one.save(update_fields=["name"])


@op
def save_unique(world: World, a: int, b: int) -> None:
    if (one := world.of(site.Organisation, a)) is not None:
        one.code = f"c{b}"
        one.save()


@op
def update_by_expression(world: World, a: int, b: int) -> None:
    world.all(site.Organisation).filter(country="de").update(rank=F("rank") + b % 2, name=f"u{a}")


@op
def update_tracked_by_expression(world: World, a: int, b: int) -> None:
    world.all(site.Organisation).filter(rank__gte=b).update(country=Concat(Value("x"), Value(str(a % 3))))


@op
def update_by_join(world: World, a: int, b: int) -> None:
    world.all(site.Event).filter(organisation__country="de").update(seats=b, published=bool(a % 2))


@op
def update_all(world: World, a: int, b: int) -> None:
    world.all(site.Part).update(role=f"r{a % 2}")


@op
def insert_event(world: World, a: int, b: int) -> None:
    if (organisation := world.of(site.Organisation, a)) is not None:
        venue = world.of(site.Venue, b) if b % 2 else None
        site.Event.objects.using(world.alias).create(
            title=f"e{a}", organisation=organisation, venue=venue, details={"a": [b]}
        )


@op
def move_event(world: World, a: int, b: int) -> None:
    event, organisation = world.of(site.Event, a), world.of(site.Organisation, b)
    if event is not None:
        event.organisation = organisation
        event.save()


@op
def delete(world: World, a: int, b: int) -> None:
    model = [site.Organisation, site.Event, site.Person, site.Topic, site.Hall, site.Arena, site.Part][b % 7]
    if (one := world.of(model, a)) is not None:
        one.delete(using=world.alias)


@op
def delete_many(world: World, a: int, b: int) -> None:
    [
        lambda: world.all(site.Event).filter(organisation__rank__gte=b),
        lambda: world.all(site.Part).filter(role=f"r{a % 2}"),
        lambda: world.all(site.Comment).exclude(text="x"),
        lambda: world.all(site.Topic).filter(title__endswith=str(b % 3)),
        lambda: world.all(site.Report).filter(event=None),
    ][b % 5]().delete()


@op
def raw_delete(world: World, a: int, b: int) -> None:
    world.all(site.Part).filter(event__seats__gt=b)._raw_delete(world.alias)


@op
def bulk_create(world: World, a: int, b: int) -> None:
    organisation = world.of(site.Organisation, b)
    if organisation is not None:
        site.Event.objects.using(world.alias).bulk_create(
            [site.Event(title=f"b{n}", organisation=organisation) for n in range(a % 4)]
        )


@op
def bulk_create_ignoring(world: World, a: int, b: int) -> None:
    site.Topic.objects.using(world.alias).bulk_create(
        [site.Topic(slug=f"s{n}", title=f"i{b}") for n in range(a % 4, a % 4 + 3)], ignore_conflicts=True
    )


@blind_op("topic")
def upsert(world: World, a: int, b: int) -> None:
    site.Topic.objects.using(world.alias).bulk_create(
        [site.Topic(slug=f"s{n}", title=f"v{b}") for n in range(a % 4, a % 4 + 3)],
        update_conflicts=True,
        unique_fields=["slug"],
        update_fields=["title"],
    )


@op
def bulk_update(world: World, a: int, b: int) -> None:
    found = list(world.all(site.Organisation).order_by("pk")[: a % 4])
    for at, one in enumerate(found):
        one.name, one.country = f"m{b}", "df"[at % 2] + "e"
    site.Organisation.objects.using(world.alias).bulk_update(found, ["name", "country"])


@op
def update_or_create(world: World, a: int, b: int) -> None:
    site.Organisation.objects.using(world.alias).update_or_create(
        code=f"c{a}", defaults={"name": f"uc{b}", "country": "ch"}
    )


@op
def get_or_create(world: World, a: int, b: int) -> None:
    site.Topic.objects.using(world.alias).get_or_create(slug=f"s{a}", defaults={"title": f"g{b}"})


@op
def insert_person(world: World, a: int, b: int) -> None:
    mentor = world.of(site.Person, a)
    site.Person(id=uuid.UUID(int=1000 + b), name=f"p{a}", mentor=mentor).save(using=world.alias)


@op
def insert_proxy(world: World, a: int, b: int) -> None:
    site.Famous(id=uuid.UUID(int=b), name=f"f{a}").save(using=world.alias)


@op
def update_proxy(world: World, a: int, b: int) -> None:
    site.Famous.objects.using(world.alias).filter(name__startswith="f").update(name=f"f{b}", mentor=None)


@op
def insert_part(world: World, a: int, b: int) -> None:
    event, person = world.of(site.Event, a), world.of(site.Person, b)
    if event is not None and person is not None:
        site.Part.objects.using(world.alias).create(event=event, person=person, role=f"r{a % 2}")


@op
def many_to_many(world: World, a: int, b: int) -> None:
    event, topic = world.of(site.Event, a), world.of(site.Topic, b)
    if event is not None and topic is not None:
        [
            lambda: event.topics.add(topic),
            lambda: event.topics.remove(topic),
            lambda: event.topics.set(list(world.all(site.Topic).order_by("pk")[: b % 3])),
            lambda: event.topics.clear(),
            lambda: topic.events.add(*world.all(site.Event)[:3]),
        ][(a + b) % 5]()


@op
def insert_child(world: World, a: int, b: int) -> None:
    model = [site.Hall, site.Arena, site.Venue][a % 3]
    model.objects.using(world.alias).create(name=f"h{b}", city=f"x{a % 2}")


@op
def save_child(world: World, a: int, b: int) -> None:
    if (one := world.of([site.Hall, site.Arena][a % 2], b)) is not None:
        one.capacity, one.city = b, f"y{a}"
        one.save()


@op
def update_child(world: World, a: int, b: int) -> None:
    world.all(site.Arena).filter(capacity__gte=b).update(city=f"z{a % 2}", capacity=b, roofed=bool(a % 2))


@op
def update_parent_by_child(world: World, a: int, b: int) -> None:
    world.all(site.Hall).filter(city__startswith="x").update(name=f"only{a}")


@op
def generic(world: World, a: int, b: int) -> None:
    event = world.of(site.Event, a)
    if event is not None:
        kind = ContentType.objects.db_manager(world.alias).get_for_model(site.Event)
        site.Comment(content_type=kind, object_pk=str(event.pk), text=f"{b}").save(using=world.alias)
        site.Tag(content_type=kind, object_id=event.pk, label=f"{b}").save(using=world.alias)


@op
def conditional(world: World, a: int, b: int) -> None:
    world.all(site.Event).update(seats=Case(When(published=True, then=Value(b)), default=F("seats")))


@blind_op("organisation")
def raw_update(world: World, a: int, b: int) -> None:
    with connections[world.alias].cursor() as cursor:
        cursor.execute("UPDATE testsite_organisation SET rank = %s WHERE rank < %s", [a, b])


@blind_op("topic")
def raw_insert(world: World, a: int, b: int) -> None:
    with connections[world.alias].cursor() as cursor:
        cursor.executemany(
            "INSERT INTO testsite_topic (slug, title) VALUES (%s, %s)", [(f"r{a}", "r"), (f"q{b}", "q")]
        )


@blind_op("report")
def raw_delete_text(world: World, a: int, b: int) -> None:
    with connections[world.alias].cursor() as cursor:
        cursor.execute("/* all */ DELETE FROM testsite_report")


@op
def fails_midway(world: World, a: int, b: int) -> None:
    """The second one has the key of the first."""
    with transaction.atomic(using=world.alias):
        insert_with_a_key(world, 100 + a, b)
        insert_with_a_key(world, 100 + a, b)


class Undo(Exception):
    pass


node = st.recursive(
    st.tuples(st.sampled_from(sorted(OPS)), st.integers(0, 7), st.integers(0, 7)),
    lambda children: st.builds(
        lambda nodes, undo, savepoint: (nodes, undo, savepoint or undo),
        st.lists(children, max_size=4),
        st.booleans(),
        st.booleans(),
    ),
    max_leaves=8,
)


class Run:
    """Does it, and keeps what each write that stayed may have purged."""

    def __init__(self, alias: str) -> None:
        self.world = World(alias)
        self.vendor = connections[alias].vendor

    def do(self, nodes: Any) -> set[bytes]:
        allowed: set[bytes] = set()
        for node in nodes:
            if isinstance(node[0], str):
                allowed |= self.write(*node)
            else:
                inner, undo, savepoint = node
                try:
                    with transaction.atomic(using=self.world.alias, savepoint=savepoint):
                        found = self.do(inner)
                        if undo:
                            raise Undo
                    allowed |= found
                except Undo:
                    pass
        return allowed

    def write(self, name: str, a: int, b: int) -> set[bytes]:
        before = snapshot(self.world.alias)
        with ExitStack() as stack:
            within = not connections[self.world.alias].get_autocommit()
            if within:
                stack.enter_context(transaction.atomic(using=self.world.alias))
            try:
                OPS[name](self.world, a, b)
            except DatabaseError:
                if within:
                    transaction.set_rollback(True, using=self.world.alias)
        found = tags_between(before, snapshot(self.world.alias), self.vendor)
        return found | BLIND.get(name, set())


START = [(name, n, n) for name in ("insert", "insert_person", "insert_child") for n in range(3)] + [
    *[("save_new_or_old", n, n) for n in range(3)],
    *[
        (name, n, m)
        for name in ("insert_event", "insert_part", "many_to_many")
        for n in range(2)
        for m in (0, 1)
    ],
]


@pytest.mark.parametrize("manual", [False, True])
@given(nodes=st.lists(node, max_size=6), undo=st.booleans())
@settings(
    max_examples=int(soak(40)),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_what_is_written_is_purged(
    database: str, purged: Purged, manual: bool, nodes: Any, undo: bool
) -> None:
    connection = connections[database]
    with transaction.atomic(using=database):
        for model in reversed(models()):
            model._base_manager.using(database).all()._raw_delete(database)
    run = Run(database)
    run.do(START)
    before = snapshot(database)
    purged.clear()
    if manual:
        connection.set_autocommit(False)
        try:
            allowed = run.do(nodes)
            # To SQLite, the end of an atomic block that nobody had begun a transaction for is a commit.
            assert not purged or connection.vendor == "sqlite"
            (connection.rollback if undo else connection.commit)()
            if undo and connection.vendor != "sqlite":
                allowed = set()
        finally:
            connection.rollback()
            connection.set_autocommit(True)
    else:
        allowed = run.do(nodes)
    needed = tags_between(before, snapshot(database), run.vendor)
    assert not [tag for tag in needed if not covers(purged, tag)]
    assert not needed or READ_EVERYTHING in purged
    # A row that comes where others went may stand for one of them to who refers to it.
    again = {tag for tag in purged if tag.endswith(b"~") and existence_tag(_table_of(tag)) in allowed}
    assert purged <= allowed | again | {READ_EVERYTHING}
    assert READ_ANYTHING not in purged


def _table_of(tag: bytes) -> bytes:
    return tag.removeprefix(b"db:").partition(b".")[0]
