"""What a statement purges: of the rows that it wrote as exactly as pages know them, or blindly."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from django.apps import apps
from django.db import IntegrityError, OperationalError, connections, models, transaction
from django.db.migrations.state import ModelState, ProjectState
from django.db.models import F, Func
from testsite.models import Arena, Event, Hall, Organisation, Part, Person, Profile, Topic, Venue
from writesite.models import Generated, Pair

from support.purged import Purged, blind
from uncork.django import rows, write, writes
from uncork.django.columns import spelling
from uncork.django.recording import enter, start
from uncork.pages.tags import (
    COMING_OR_GOING,
    READ_ANYTHING,
    READ_EVERYTHING,
    column_tag,
    existence_tag,
    row_tag,
    table_tag,
)

UNKNOWN = {READ_ANYTHING, READ_EVERYTHING}
T = "testsite_"


def came_or_went(table: str, app: str = T, /, **values: Any) -> set[bytes]:
    """The tags of a row that was inserted or deleted, by the values of its tracked columns: all, of
    one that was inserted."""
    name = (app + table).encode()
    tags = {table_tag(name), existence_tag(name), READ_EVERYTHING}
    for column, value in values.items():
        spelled = spelling(value)
        assert spelled is not None
        tags.add(row_tag(name, column.encode(), spelled))
        tags.add(row_tag(name, column.encode(), spelled, COMING_OR_GOING))
    return tags


def changed(table: str, *columns: str, app: str = T, **values: Any) -> set[bytes]:
    """The tags of a row that changed in these columns. A pair of values is one before and one after."""
    name = (app + table).encode()
    tags = {table_tag(name), READ_EVERYTHING, *(column_tag(name, column.encode()) for column in columns)}
    for column, value in values.items():
        several = isinstance(value, tuple)
        for one in value if several else (value,):
            spelled = spelling(one)
            assert spelled is not None
            tags.add(row_tag(name, column.encode(), spelled))
            others = [*columns, "+"] if several else columns
            tags |= {row_tag(name, column.encode(), spelled, other.encode()) for other in others}
    return tags


def organisation(alias: str, code: str = "c", **more: Any) -> Organisation:
    return Organisation.objects.using(alias).create(name="n", code=code, **more)


@contextmanager
def defined(alias: str, *statements: str, back: Sequence[str]) -> Iterator[None]:
    """With the database so defined, and taken back afterwards."""
    with connections[alias].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        try:
            yield
        finally:
            for statement in back:
                cursor.execute(statement)


# Rows


def test_an_insert(database: str, purged: Purged) -> None:
    one = organisation(database)
    assert purged == came_or_went("organisation", id=one.pk, code="c", country="de")


def test_a_row_that_is_saved_changes_in_what_differs(database: str, purged: Purged) -> None:
    one = organisation(database)
    purged.clear()
    one.save()
    assert not purged
    one.name = "another"
    one.save()
    assert purged.take() == changed("organisation", "name", id=one.pk, code="c", country="de")
    one.country, one.rank = "fr", 7
    one.save()
    assert purged == changed("organisation", "country", "rank", id=one.pk, code="c", country=("de", "fr"))


def test_what_was_there_before_is_the_databases_word(database: str, purged: Purged) -> None:
    one = organisation(database)
    Organisation.objects.using(database).filter(pk=one.pk).update(country="fr")
    purged.clear()
    one.country = "it"
    one.save()
    assert purged == changed("organisation", "country", id=one.pk, code="c", country=("fr", "it"))


def test_an_update_of_several_rows(database: str, purged: Purged) -> None:
    one, two = organisation(database, "c", rank=1), organisation(database, "d", rank=2)
    organisation(database, "e", country="fr")
    purged.clear()
    found = Organisation.objects.using(database).filter(country="de").update(rank=F("rank") % 2)
    assert found == 2
    assert purged == changed("organisation", "rank", id=two.pk, code="d", country="de")
    purged.clear()
    Organisation.objects.using(database).filter(country="de").update(rank=F("rank") + 1, name="n")
    assert purged == (
        changed("organisation", "rank", id=one.pk, code="c", country="de")
        | changed("organisation", "rank", id=two.pk, code="d", country="de")
    )


def test_large_values_of_many_rows_are_not_looked_at(database: str, purged: Purged) -> None:
    """They may be too much for the memory: they count as changed."""
    people = Person.objects.using(database).bulk_create([Person(name=f"p{n}") for n in range(12)])
    profiles = Profile.objects.using(database).bulk_create(
        [Profile(person=one, biography="x") for one in people]
    )
    purged.clear()
    profiles[0].save()
    Profile.objects.using(database).filter(pk__in=[one.pk for one in profiles[:5]]).update(biography="x")
    assert not purged
    Profile.objects.using(database).update(biography="x")
    assert purged == {
        tag
        for one in profiles
        for tag in changed("profile", "biography", id=one.pk, person_id=one.person_id.hex)
    }


def test_values_that_can_not_be_compared(
    database: str, purged: Purged, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise ValueError("the truth value is ambiguous")

    one = organisation(database)
    purged.clear()
    monkeypatch.setattr(rows, "_same", fails)
    monkeypatch.setattr(write.Write, "told", False)
    one.rank = 3
    one.save()
    one.save()
    assert purged == blind("testsite_organisation")
    assert Organisation.objects.using(database).get().rank == 3
    assert caplog.text.count("can't be told apart") == 1


def test_what_matches_nothing_purges_nothing(database: str, purged: Purged) -> None:
    organisations = Organisation.objects.using(database)
    organisations.filter(code="x").update(name="y")
    organisations.filter(pk__in=[]).update(name="y")
    organisations.filter(code="x").delete()
    organisations.none().delete()
    organisations.filter(events__title="x").update(name="y")
    Hall.objects.using(database).filter(name="x").update(city="y", capacity=3)
    assert not purged


def test_a_delete(database: str, purged: Purged) -> None:
    one = organisation(database)
    key = one.pk
    purged.clear()
    one.delete()
    assert purged == came_or_went("organisation", id=key, code="c", country="de")


def test_a_delete_in_one_go(database: str, purged: Purged) -> None:
    one = organisation(database)
    event = Event.objects.using(database).create(title="t", organisation=one)
    person = Person.objects.using(database).create(name="p")
    part = Part.objects.using(database).create(event=event, person=person)
    purged.clear()
    assert Part.objects.using(database).filter(role="speaker")._raw_delete(database) == 1
    assert purged == came_or_went("part", id=part.pk, event_id=event.pk, person_id=person.pk.hex)


def test_many_to_many(database: str, purged: Purged) -> None:
    event = Event.objects.using(database).create(title="t", organisation=organisation(database))
    topics = [Topic.objects.using(database).create(slug=slug) for slug in ("x", "y")]
    purged.clear()
    links = [came_or_went("event_topics", event_id=event.pk, topic_id=topic.pk) for topic in topics]
    gone = [came_or_went("event_topics", event_id=event.pk, topic_id=topic.pk) for topic in topics]
    event.topics.add(topics[0])
    assert purged.take() == links[0]
    event.topics.add(topics[0])
    assert not purged
    event.topics.set([topics[1]])
    assert purged.take() == gone[0] | links[1]
    topics[1].events.remove(event)
    assert purged.take() == gone[1]
    event.topics.add(*topics)
    assert purged.take() == links[0] | links[1]
    event.topics.clear()
    assert purged == gone[0] | gone[1]


def test_parents_and_children(database: str, purged: Purged) -> None:
    arena = Arena.objects.using(database).create(name="a", city="b")
    assert purged.take() == (
        came_or_went("venue", id=arena.pk, city="b")
        | came_or_went("hall", venue_ptr_id=arena.pk, capacity=100)
        | came_or_went("arena", hall_ptr_id=arena.pk)
    )
    arena.city = "c"
    arena.save()
    assert purged.take() == changed("venue", "city", id=arena.pk, city=("b", "c"))
    Arena.objects.using(database).filter(roofed=True).update(name="z", capacity=7)
    assert purged.take() == (
        changed("venue", "name", id=arena.pk, city="c")
        | changed("hall", "capacity", venue_ptr_id=arena.pk, capacity=(100, 7))
    )
    Venue.objects.using(database).get().delete()
    assert {existence_tag((T + name).encode()) for name in ("venue", "hall", "arena")} <= purged


def test_bulk(database: str, purged: Purged) -> None:
    found = Organisation.objects.using(database).bulk_create(
        [Organisation(name="n", code=code) for code in ("c", "d")]
    )
    assert purged.take() == (
        came_or_went("organisation", id=found[0].pk, code="c", country="de")
        | came_or_went("organisation", id=found[1].pk, code="d", country="de")
    )
    found[1].name = "m"
    Organisation.objects.using(database).bulk_update(found, ["name", "rank"])
    assert purged == changed("organisation", "name", id=found[1].pk, code="d", country="de")


def test_columns_that_the_database_fills(database: str, purged: Purged) -> None:
    one = Generated.objects.using(database).create(name="ABC")
    rows = {"id": one.pk, "lower": "abc", "kind": "plain"}
    assert purged.take() == came_or_went("generated", "writesite_", **rows)
    one = Generated.objects.using(database).get()
    one.name = "XY"
    one.save()
    rows["lower"] = ("abc", "xy")
    assert purged.take() == changed("generated", "name", "lower", app="writesite_", **rows)
    one.name = F("kind")
    one.save()
    rows["lower"] = ("xy", "plain")
    assert purged.take() == changed("generated", "name", "lower", app="writesite_", **rows)


def test_a_primary_key_of_several_columns(database: str, purged: Purged) -> None:
    Pair.objects.using(database).bulk_create([Pair(left=1, right=2), Pair(left=1, right=3)])
    purged.clear()
    one = Pair.objects.using(database).get(right=3)
    one.note = "x"
    one.save()
    assert purged.take() == changed("pair", "note", app="writesite_")
    Pair.objects.using(database).filter(left=1).delete()
    assert purged == came_or_went("pair", "writesite_")


def test_a_value_too_long_for_a_tag_has_none(database: str, purged: Purged) -> None:
    from django.contrib.contenttypes.models import ContentType
    from testsite.models import Comment

    assert spelling("x" * 300) is None
    kind = ContentType.objects.db_manager(database).get_for_model(Event)
    purged.clear()
    one = Comment.objects.using(database).create(content_type=kind, object_pk="é", text="x" * 300)
    assert row_tag(b"testsite_comment", b"id", spelling(one.pk) or b"") in purged


def test_a_wrapper_that_changes_the_text(database: str, purged: Purged) -> None:
    def comment(execute: Any, sql: str, *rest: Any) -> Any:
        return execute(f"/* of a view */ {sql}", *rest)

    with connections[database].execute_wrapper(comment):
        one = organisation(database)
        assert purged.take() == came_or_went("organisation", id=one.pk, code="c", country="de")
        one.rank = 8
        one.save()
    assert purged == changed("organisation", "rank", id=one.pk, code="c", country="de")


def test_another_statement_within_one(database: str, purged: Purged) -> None:
    """A field may write when it is asked for its value."""

    def raw(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("INSERT") and "venue" not in sql:
            Venue.objects.using(database).create(name="v", city="x")
            with connections[database].cursor() as cursor:
                cursor.execute("UPDATE testsite_topic SET title = 'y'")
        return execute(sql, params, many, context)

    with connections[database].execute_wrapper(raw):
        one = organisation(database)
    venue = Venue.objects.using(database).get()
    assert purged == (
        came_or_went("organisation", id=one.pk, code="c", country="de")
        | came_or_went("venue", id=venue.pk, city="x")
        | blind("testsite_topic")
    )


def test_a_row_that_is_replaced_in_one_transaction(database: str, purged: Purged) -> None:
    """The constraint is looked at when the transaction ends: who refers to it finds another one."""
    event = Event.objects.using(database).create(title="a", organisation=organisation(database))
    person = Person.objects.using(database).create(name="p")
    Part.objects.using(database).create(event=event, person=person)
    parts = Part.objects.using(database).filter(event__title="a").values_list("id")
    recording = start()
    with enter(recording):
        assert parts.count() == 1
    recording.close()
    purged.clear()
    with transaction.atomic(using=database):
        Event.objects.using(database).filter(pk=event.pk)._raw_delete(database)
        event.title = "b"
        event.save(using=database, force_insert=True)
    assert not parts.count()
    assert purged & recording.all_tags()


# Blind ones


def test_more_rows_than_are_looked_at(database: str, purged: Purged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "MOST_ROWS", 3)
    topics = Topic.objects.using(database)
    topics.bulk_create([Topic(slug=f"s{n}") for n in range(4)])
    assert purged.take() == blind("testsite_topic")
    topics.update(title="t")
    assert purged.take() == blind("testsite_topic")
    topics.filter(slug__lte="s2").update(title="u")
    assert column_tag(b"testsite_topic", b"title") in purged.take()
    Topic.objects.using(database).exclude(title="x")._raw_delete(database)
    assert purged.take() == blind("testsite_topic")


def test_an_upsert(database: str, purged: Purged) -> None:
    Topic.objects.using(database).bulk_create(
        [Topic(slug="s", title="t")], update_conflicts=True, unique_fields=["slug"], update_fields=["title"]
    )
    assert purged == blind("testsite_topic")


def test_a_new_primary_key(database: str, purged: Purged) -> None:
    Topic.objects.using(database).create(slug="a")
    purged.clear()
    Topic.objects.using(database).filter(slug="a").update(slug="b")
    assert purged.take() == blind("testsite_topic")
    Topic.objects.using(database).filter(slug="x").update(slug="b")
    assert not purged


def test_a_model_of_former_times(database: str, purged: Purged) -> None:
    """A migration's may not have the index yet that the one of today has."""
    state = ProjectState(real_apps={"contenttypes"})
    state.add_model(
        ModelState(
            "testsite",
            "Organisation",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("name", models.CharField(max_length=100)),
                ("code", models.CharField(max_length=20)),
                ("country", models.CharField(max_length=2)),
                ("rank", models.IntegerField()),
            ],
        )
    )
    former = state.apps.get_model("testsite", "Organisation")
    assert former._meta.apps is not apps
    former.objects.using(database).create(name="n", code="c", country="de", rank=3)
    assert purged == blind("testsite_organisation")


@pytest.mark.parametrize(
    ("sql", "tags"),
    [
        ("UPDATE testsite_organisation SET rank = 1", blind("testsite_organisation")),
        ("DELETE FROM testsite_organisation", blind("testsite_organisation")),
        ("SELECT 1", set()),
        ("SELECT 1 FROM testsite_organisation", set()),
        ("VALUES (1)", set()),
        ("CREATE TEMPORARY TABLE a_new_one (id integer)", UNKNOWN),
        ("something else", UNKNOWN),
    ],
)
def test_sql(database: str, purged: Purged, sql: str, tags: set[bytes]) -> None:
    with connections[database].cursor() as cursor:
        try:
            cursor.execute(sql)
        except Exception:
            assert sql == "something else"
    assert purged == tags


def test_statements_by_the_dozen(database: str, purged: Purged) -> None:
    with connections[database].cursor() as cursor:
        cursor.executemany("INSERT INTO testsite_topic (slug, title) VALUES (%s, '')", [["a"], ["b"]])
    assert purged == blind("testsite_topic")


def test_functions_that_write(postgresql: str, purged: Purged) -> None:
    with (
        defined(
            postgresql,
            "CREATE FUNCTION writes() RETURNS integer LANGUAGE sql AS $$"
            " INSERT INTO testsite_topic (slug, title) VALUES (gen_random_uuid()::text, '') RETURNING 1 $$",
            "CREATE FUNCTION computes(integer) RETURNS integer LANGUAGE sql STABLE AS $$ SELECT $1 $$",
            back=["DROP FUNCTION writes()", "DROP FUNCTION computes(integer)"],
        ),
        connections[postgresql].cursor() as cursor,
    ):
        purged.clear()
        cursor.execute("SELECT computes(1), upper('a'), count(*) FROM testsite_topic WHERE slug IN ('x')")
        assert not purged
        cursor.execute("SELECT writes()")
        assert purged.take() == UNKNOWN
        cursor.execute("UPDATE testsite_topic SET title = 'a' WHERE slug = writes()::text")
        assert purged.take() == UNKNOWN
        Topic.objects.using(postgresql).update(title=Func(function="writes", output_field=models.TextField()))
        assert purged.take() >= UNKNOWN
        Topic.objects.using(postgresql).update(title=Func(3, function="computes"))
        assert not purged & UNKNOWN - {READ_EVERYTHING} and purged.take()
        cursor.callproc("computes", [1])
        assert purged.take() == UNKNOWN


def test_copy(postgresql: str, purged: Purged) -> None:
    with connections[postgresql].cursor() as cursor:
        with cursor.copy("COPY testsite_topic (slug, title) FROM STDIN") as copy:
            copy.write_row(["a", "b"])
            purged.clear()
        assert purged == UNKNOWN
    assert Topic.objects.using(postgresql).get().slug == "a"


def test_a_script(sqlite: str, purged: Purged) -> None:
    with connections[sqlite].cursor() as cursor:
        cursor.executescript("UPDATE testsite_topic SET title = 'a'; DELETE FROM testsite_topic")
    assert purged == UNKNOWN


# What the database does by itself

FOLLOWER = "CREATE TABLE follower (id integer PRIMARY KEY, of_id varchar(40) REFERENCES testsite_topic {})"
SECOND = "CREATE TABLE second (id integer PRIMARY KEY, of_id integer REFERENCES follower ON DELETE SET NULL)"


@pytest.mark.parametrize(
    ("rule", "reached"),
    [
        ("ON DELETE CASCADE", ["follower", "second"]),
        ("ON DELETE SET NULL", ["follower", "second"]),
        ("", []),
    ],
)
def test_cascades_of_the_database(database: str, purged: Purged, rule: str, reached: list[str]) -> None:
    both = "DROP TABLE second", "DROP TABLE follower"
    with defined(database, FOLLOWER.format(rule), SECOND, back=both):
        topic = Topic.objects.using(database).create(slug="a")
        purged.clear()
        topic.title = "b"
        topic.save()
        assert purged.take() == changed("topic", "title", slug="a")
        Topic.objects.using(database).filter(title="x").delete()
        assert not purged
        topic.delete()
        more = blind(*reached) if reached else set()
        assert purged.take() == came_or_went("topic", slug="a") | more
        with connections[database].cursor() as cursor:
            cursor.execute("DELETE FROM testsite_topic")
        assert purged.take() == blind("testsite_topic", *reached)


if hasattr(models, "DB_CASCADE"):

    def test_cascades_of_the_models(database: str, purged: Purged) -> None:
        from writesite.models import Kept, Owned, Owner

        owner = Owner.objects.using(database).create(name="o")
        Kept.objects.using(database).create(owned=Owned.objects.using(database).create(owner=owner))
        purged.clear()
        key = owner.pk
        owner.delete()
        assert not Owned.objects.using(database).exists()
        assert purged == came_or_went("owner", "writesite_", id=key) | blind(
            "writesite_owned", "writesite_kept"
        )


TRIGGER = """
CREATE TRIGGER follows AFTER UPDATE ON testsite_topic BEGIN
    UPDATE {} SET title = 'x' WHERE title = 'y';
END
"""


def test_triggers_of_sqlite(sqlite: str, purged: Purged) -> None:
    Topic.objects.using(sqlite).create(slug="a", title="b")
    with defined(sqlite, TRIGGER.format("testsite_event"), back=["DROP TRIGGER follows"]):
        purged.clear()
        Topic.objects.using(sqlite).update(title="c")
        assert purged == changed("topic", "title", slug="a") | blind("testsite_event")
    with defined(sqlite, TRIGGER.format("testsite_topic"), back=["DROP TRIGGER follows"]):
        purged.clear()
        Topic.objects.using(sqlite).update(title="d")
        assert purged == blind("testsite_topic")
    purged.clear()
    Topic.objects.using(sqlite).update(title="e")
    assert purged == changed("topic", "title", slug="a")


def test_triggers_of_postgresql(postgresql: str, purged: Purged) -> None:
    Topic.objects.using(postgresql).create(slug="a", title="b")
    function = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$"
    trigger = "CREATE TRIGGER follows BEFORE UPDATE ON testsite_topic FOR EACH ROW EXECUTE FUNCTION {}()"
    drop = "DROP TRIGGER follows ON testsite_topic"
    with defined(postgresql, function, trigger.format("f"), back=[drop, "DROP FUNCTION f()"]):
        purged.clear()
        Topic.objects.using(postgresql).update(title="c")
        assert purged == UNKNOWN
    trigger = trigger.format("suppress_redundant_updates_trigger")
    with defined(postgresql, trigger, back=[drop]):
        purged.clear()
        Topic.objects.using(postgresql).update(title="c")
        assert not purged
        Topic.objects.using(postgresql).update(title="d")
        assert purged == blind("testsite_topic")


def test_a_view_that_can_be_written_to(postgresql: str, purged: Purged) -> None:
    class Shown(models.Model):
        slug = models.CharField(max_length=40, primary_key=True)
        title = models.CharField(max_length=100)

        class Meta:
            app_label = "nobodys"
            managed = False
            db_table = "shown"
            apps = ProjectState().apps

    Topic.objects.using(postgresql).create(slug="a")
    with defined(postgresql, "CREATE VIEW shown AS SELECT * FROM testsite_topic", back=["DROP VIEW shown"]):
        purged.clear()
        Shown.objects.using(postgresql).update(title="x")
    assert purged == UNKNOWN
    assert Topic.objects.using(postgresql).get().title == "x"


# Others write at the same time


def in_a_thread(alias: str, act: Callable[[], object]) -> threading.Thread:
    def run() -> None:
        try:
            act()
        finally:
            connections[alias].close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_row_that_comes_in_between_makes_it_blind(postgresql: str, purged: Purged) -> None:
    """After the rows were looked at, and before they are written."""
    Topic.objects.using(postgresql).create(slug="a")

    def another(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith("UPDATE"):
            topic = Topic(slug="b")
            in_a_thread(postgresql, lambda: topic.save(using=postgresql)).join()
            purged.clear()
        return execute(sql, *rest)

    with connections[postgresql].execute_wrapper(another):
        assert Topic.objects.using(postgresql).update(title="x") == 2
    assert purged == blind("testsite_topic")


def test_nobody_changes_a_row_that_was_looked_at(postgresql: str, purged: Purged) -> None:
    one = organisation(postgresql)
    waiting: list[threading.Thread] = []

    def another(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith("UPDATE") and not waiting:
            others = Organisation.objects.using(postgresql)
            waiting.append(in_a_thread(postgresql, lambda: others.update(country="it")))
            with connections[postgresql].cursor() as cursor:
                while not waits(cursor):
                    pass
        return execute(sql, *rest)

    def waits(cursor: Any) -> bool:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])

    purged.clear()
    with connections[postgresql].execute_wrapper(another):
        Organisation.objects.using(postgresql).update(country="fr")
    waiting[0].join()
    # Whoever came second found what the first had made of it.
    assert purged == (
        changed("organisation", "country", id=one.pk, code="c", country=("de", "fr"))
        | changed("organisation", "country", id=one.pk, code="c", country=("fr", "it"))
    )


def test_sqlite_refuses_nobody_who_waits(sqlite: str, purged: Purged) -> None:
    """To read first and then write is refused at once when somebody else wrote in between: we lock first."""
    organisation(sqlite, rank=0)
    failures: list[BaseException] = []

    def count() -> None:
        try:
            for _ in range(20):
                Organisation.objects.using(sqlite).update(rank=F("rank") + 1)
                with transaction.atomic(using=sqlite):
                    Organisation.objects.using(sqlite).update(rank=F("rank") + 1)
        except OperationalError as error:
            failures.append(error)

    threads = [in_a_thread(sqlite, count) for _ in range(4)]
    for thread in threads:
        thread.join()
    assert not failures
    assert Organisation.objects.using(sqlite).get().rank == 160


def test_an_error_is_the_applications(database: str, purged: Purged) -> None:
    organisation(database, "c")
    two = organisation(database, "d")
    purged.clear()
    with pytest.raises(IntegrityError):
        Organisation.objects.using(database).filter(code="d").update(code="c")
    with transaction.atomic(using=database):
        with pytest.raises(IntegrityError), transaction.atomic(using=database):
            Organisation.objects.using(database).filter(code="d").update(code="c")
        two.rank = 5
        two.save()
    assert purged == changed("organisation", "rank", id=two.pk, code="d", country="de")


def test_a_key_that_goes_and_comes_in_one_transaction(database: str, purged: Purged) -> None:
    """Who refers to it finds another row then; in two transactions nobody can refer to it in between."""
    name = column_tag(b"testsite_organisation", b"name")

    def replace(one: Organisation) -> None:
        Organisation.objects.using(database).filter(pk=one.pk).delete()
        Organisation.objects.using(database).create(pk=one.pk, name="m", code="c")

    one = organisation(database)
    purged.clear()
    replace(one)
    assert name not in purged.take()
    with transaction.atomic(using=database):
        replace(one)
    assert name in purged.take()
    replace(one)
    assert name not in purged
