"""Random writes to the site's data, each told by its seed; and what of it a reader may hold us to.

A write answers {"rows": {"event 3": 7, "event 4": null}}: when it is acknowledged, row 3 is of version 7 or
later, and row 4 is gone for ever. It says nothing of rows that another write may have changed meanwhile, so
that what it says is true whatever runs beside it. Primary keys are never used again.

No write begins while the file `rest` of the site is locked by somebody else, who wants the site at rest.
"""

import fcntl
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction
from django.db.models import F, Model

from recorded.models import (
    Comment,
    Country,
    Event,
    Mark,
    Person,
    Place,
    Pointer,
    Profile,
    Topic,
    Venue,
)

KINDS = ("talk", "walk", "work")
COLOURS = ("red", "blue", "green")
FILES = 4


class Undone(Exception):
    """Rolls back whatever is open."""


class Busy(Exception):
    """The site is at rest."""


class Write:
    """One write: its dice, and what it did for certain."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.seed = seed
        self.rows: dict[str, int | None] = {}
        self._number = 0

    def name(self) -> str:
        """A new one, never used before."""
        self._number += 1
        return f"n{self.seed:x}-{self._number}"

    def pick(self, model: type[Model], using: str = "default") -> Any:
        """A random row; raises Undone when there is none."""
        keys = list(model._default_manager.using(using).order_by("pk").values_list("pk", flat=True))
        if not keys:
            raise Undone
        return model._default_manager.using(using).filter(pk=self.dice.choice(keys)).first() or self.undo()

    def maybe(self, model: type[Model]) -> Any:
        """A random row, or None."""
        try:
            return self.pick(model) if self.dice.random() < 0.8 else None
        except Undone:
            return None

    def undo(self) -> Any:
        raise Undone

    def changed(self, row: Any, version: int) -> None:
        known = self.rows.get(called(row), 0)
        if known is not None:
            self.rows[called(row)] = max(known, version)

    def gone(self, row: Any) -> None:
        self.rows[called(row)] = None

    def update(self, row: Any, **values: Any) -> None:
        """By a query. The row's version in memory is the one that was read, so the new one is later."""
        found = type(row)._default_manager.filter(pk=row.pk).update(version=F("version") + 1, **values)
        if found:
            self.changed(row, row.version + 1)

    def save(self, row: Any, *fields: str) -> None:
        before = row.version
        row.version = F("version") + 1
        row.save(force_update=True, update_fields=[*fields, "version"] if fields else None)
        self.changed(row, before + 1)

    def delete(self, row: Any) -> None:
        name = type(row).__name__
        key = row.pk
        _, counts = row.delete()
        row.pk = key
        if any(label.endswith(f".{name}") for label in counts):
            self.gone(row)

    @contextmanager
    def block(self) -> Iterator[None]:
        """A transaction or a savepoint; what it did is forgotten when it is rolled back."""
        before = dict(self.rows)
        try:
            with transaction.atomic():
                yield
        except BaseException:
            self.rows = before
            raise


def called(row: Any) -> str:
    """How pages call a row."""
    name = {"VisibleEvent": "event", "Venue": "place"}.get(type(row).__name__, type(row).__name__.lower())
    return f"{name} {row.pk}"


def write(seed: int) -> dict[str, Any]:
    """Do what the seed says."""
    with open(settings.BASE_DIR / "rest", "ab") as rest:
        try:
            fcntl.flock(rest, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return {"rows": {}, "what": "at rest"}
        made = Write(seed)
        change = made.dice.choice(CHANGES)
        what = change.__name__
        try:
            if made.dice.random() < 0.5:
                what += " in a transaction"
                with made.block():
                    change(made)
                    if made.dice.random() < 0.15:
                        raise Undone
            else:
                change(made)
        except Undone:
            what += " (undone)"
        except DatabaseError as error:
            # What came before it, without a transaction, is done all the same.
            what += f" ({type(error).__name__}: {str(error).splitlines()[0]})"
        return {"rows": made.rows, "what": what, "pid": os.getpid()}


# The changes


def save_event(made: Write) -> None:
    event = made.pick(Event)
    event.title = made.name()
    if made.dice.random() < 0.3:
        event.kind = made.dice.choice(KINDS)
    if made.dice.random() < 0.3:
        event.visible = not event.visible
    made.save(event)


def save_some_fields(made: Write) -> None:
    event = made.pick(Event)
    event.price = made.dice.randrange(100)
    event.data = {"colour": made.dice.choice(COLOURS), "size": made.dice.randrange(9)}
    made.save(event, *made.dice.choice((["price"], ["data"], ["price", "data"])))


def save_locked(made: Write) -> None:
    with made.block():
        event = Event.objects.select_for_update().filter(pk=made.pick(Event).pk).first() or made.undo()
        event.starts = made.dice.randrange(1000)
        made.save(event)


def move(made: Write) -> None:
    """Another row to refer to."""
    match made.dice.randrange(6):
        case 0:
            event = made.pick(Event)
            event.place = made.maybe(Place)
            made.save(event, "place")
        case 1:
            made.update(made.pick(Person), boss=made.maybe(Person))
        case 2:
            person = made.pick(Person)
            person.country = made.maybe(Country)
            made.save(person)
        case 3:
            made.update(made.pick(Place), country=made.maybe(Country))
        case 4:
            comment = made.pick(Comment)
            comment.about = made.pick(made.dice.choice((Event, Place)))
            made.save(comment)
        case 5:
            made.update(made.pick(Pointer), event_id=made.dice.choice((None, made.pick(Event).pk, 999_999)))


def rename(made: Write) -> None:
    row = made.pick(made.dice.choice((Country, Person, Place, Topic)))
    made.update(row, name=made.name())


def new_unique_value(made: Write) -> None:
    """A page may be found by it, or no longer be."""
    if made.dice.random() < 0.5:
        event = made.pick(Event)
        made.update(event, slug=f"slug-{made.dice.randrange(12)}")
    else:
        person = made.pick(Person)
        person.email = f"p{made.dice.randrange(10)}@example.org"
        made.save(person, "email")


def update_many(made: Write) -> None:
    match made.dice.randrange(4):
        case 0:
            Event.objects.filter(kind=made.dice.choice(KINDS)).update(
                price=F("price") + 1, version=F("version") + 1
            )
        case 1:
            Event.objects.filter(place__country=made.pick(Country)).update(visible=True)
        case 2:
            Person.objects.filter(events__kind=made.dice.choice(KINDS)).update(name=made.name())
        case 3:
            Venue.objects.filter(seats__lt=made.dice.randrange(100)).update(
                name=made.name(), seats=F("seats") + 1
            )


def venue(made: Write) -> None:
    found = made.pick(Venue)
    found.seats = made.dice.randrange(100)
    if made.dice.random() < 0.5:
        found.name = made.name()
    made.save(found)


def insert_many(made: Write) -> None:
    if Comment.objects.count() < 40:
        about = made.pick(Event)
        Comment.objects.bulk_create([Comment(about=about, text=made.name()) for _ in range(3)])
    if Topic.objects.count() < 12:
        parent = made.maybe(Topic)
        Topic.objects.bulk_create([Topic(name=made.name(), parent=parent) for _ in range(2)])


def update_in_bulk(made: Write) -> None:
    events = {event.pk: event for event in (made.pick(Event), made.pick(Event))}
    for event in events.values():
        event.price, event.kind, event.version = made.dice.randrange(100), "walk", F("version") + 1
    Event.objects.bulk_update(events.values(), ["price", "kind", "version"])


def participations(made: Write) -> None:
    """Insert or update, in each of the ways there are."""
    event, person = made.pick(Event), made.pick(Person)
    through = Event.people.through
    role = made.dice.choice(("host", "guest", "cook"))
    match made.dice.randrange(7):
        case 0:
            through.objects.bulk_create(
                [through(event=event, person=person, role=role)],
                update_conflicts=True,
                update_fields=["role"],
                unique_fields=["event", "person"],
            )
        case 1:
            through.objects.bulk_create(
                [through(event=event, person=person, role=role)], ignore_conflicts=True
            )
        case 2:
            through.objects.update_or_create(event=event, person=person, defaults={"role": role})
        case 3:
            through.objects.get_or_create(event=event, person=person, defaults={"role": role})
        case 4:
            event.people.add(person, through_defaults={"role": role})
        case 5:
            person.events.remove(event)
        case 6:
            event.people.set([person, made.pick(Person)], through_defaults={"role": role})


def topics(made: Write) -> None:
    event, topic = made.pick(Event), made.pick(Topic)
    match made.dice.randrange(6):
        case 0 | 1:
            event.topics.add(topic, made.pick(Topic))
        case 2:
            event.topics.remove(topic)
        case 3:
            event.topics.set([topic])
        case 4:
            event.topics.clear()
        case 5:
            topic.events.set([event, made.pick(Event)])


def insert(made: Write) -> None:
    """One row of any kind, where there are few."""
    dice = made.dice
    model = dice.choice((Country, Person, Profile, Place, Venue, Topic, Event, Comment, Mark, Pointer))
    if model.objects.count() >= MOST[model]:
        raise Undone
    if model is Country:
        model.objects.create(code="c" + made.name()[:11], name=made.name())
    elif model is Person:
        Person.objects.create(
            name=made.name(),
            email=f"p{dice.randrange(10)}@example.org",
            country=made.maybe(Country),
            boss=made.maybe(Person),
            id=f"{dice.getrandbits(128):032x}",
        )
    elif model is Profile:
        Profile.objects.create(person=made.pick(Person), about=made.name())
    elif model is Place:
        Place.objects.create(name=made.name(), slug=made.name(), country=made.maybe(Country))
    elif model is Venue:
        Venue.objects.create(
            name=made.name(), slug=made.name(), country=made.maybe(Country), seats=dice.randrange(99)
        )
    elif model is Topic:
        Topic(name=made.name(), parent=made.maybe(Topic)).save()
    elif model is Event:
        event = Event(
            title=made.name(),
            slug=f"slug-{dice.randrange(12)}",
            kind=dice.choice(KINDS),
            starts=dice.randrange(1000),
            place=made.maybe(Place),
            visible=dice.random() < 0.8,
            data={"colour": dice.choice(COLOURS)},
        )
        event.save()
        event.topics.set(filter(None, (made.maybe(Topic), made.maybe(Topic))))
    elif model is Comment:
        Comment.objects.create(about=made.pick(dice.choice((Event, Place))), text=made.name())
    elif model is Mark:
        Mark.objects.create(about=made.pick(Country), text=made.name())
    else:
        Pointer.objects.create(event_id=dice.choice((None, made.pick(Event).pk, 999_999)))


MOST = {
    Country: 7,
    Person: 10,
    Profile: 8,
    Place: 9,
    Venue: 5,
    Topic: 8,
    Event: 12,
    Comment: 30,
    Mark: 8,
    Pointer: 5,
}


def delete(made: Write) -> None:
    """With all that goes with it, where there are enough."""
    model = made.dice.choice((*MOST, Event.people.through))
    if model.objects.count() <= MOST.get(model, 20) * 0.6:
        raise Undone
    made.delete(made.pick(model))


def delete_many(made: Write) -> None:
    match made.dice.randrange(3):
        case 0:
            Comment.objects.filter(object_id=made.pick(Event).pk).delete()
        case 1:
            Event.people.through.objects.filter(role="cook").delete()
        case 2:
            row = made.pick(Mark)
            Mark.objects.filter(pk=row.pk)._raw_delete("default")
            made.gone(row)


def by_sql(made: Write) -> None:
    """What the ORM knows nothing of."""
    event = made.pick(Event)
    with connection.cursor() as cursor:
        match made.dice.randrange(4):
            case 0:
                cursor.execute(
                    "UPDATE recorded_event SET title = %s, version = version + 1 WHERE id = %s",
                    [made.name(), event.pk],
                )
                if cursor.rowcount == 1:
                    made.changed(event, event.version + 1)
            case 1:
                cursor.executemany(
                    'UPDATE "recorded_topic" SET name = %s WHERE id = %s',
                    [(made.name(), made.pick(Topic).pk), (made.name(), made.pick(Topic).pk)],
                )
            case 2:
                cursor.execute(
                    "INSERT INTO recorded_profile (person_id, about, version)"
                    " SELECT id, name, 1 FROM recorded_person"
                    " WHERE id NOT IN (SELECT person_id FROM recorded_profile)"
                )
            case 3:
                cursor.execute(
                    "DELETE FROM recorded_participation WHERE event_id = %s AND role = 'guest'", [event.pk]
                )


def nested(made: Write) -> None:
    """Savepoints in savepoints, and some of it undone."""
    with made.block():
        for _ in range(made.dice.randrange(1, 4)):
            try:
                with made.block():
                    made.dice.choice(SIMPLE)(made)
                    if made.dice.random() < 0.3:
                        nested(made)
                    if made.dice.random() < 0.3:
                        raise Undone
            except (Undone, DatabaseError):
                pass
        if made.dice.random() < 0.1:
            raise Undone


def by_hand(made: Write) -> None:
    """A transaction that nobody but its own code begins and ends."""
    if connection.in_atomic_block:
        raise Undone
    before = dict(made.rows)
    transaction.set_autocommit(False)
    try:
        made.dice.choice(SIMPLE)(made)
        if made.dice.random() < 0.7:
            transaction.commit()
        else:
            raise Undone
    except BaseException:
        transaction.rollback()
        made.rows = before
        raise
    finally:
        transaction.set_autocommit(True)


def user(made: Write) -> None:
    found = made.pick(User)
    found.first_name = made.name()[:30]
    found.save(update_fields=["first_name"])


def session(made: Write) -> None:
    """What somebody's session holds."""
    from django.contrib.sessions.backends.db import SessionStore
    from django.contrib.sessions.models import Session

    store = SessionStore(made.pick(Session).session_key)
    store["note"] = made.name()
    store.save()


def other_database(made: Write) -> None:
    if Country.objects.using("other").count() < 4:
        Country(code="o" + made.name()[:11], name=made.name()).save(using="other")
    else:
        country = made.pick(Country, "other")
        country.name = made.name()
        country.save(using="other")


def file(made: Write) -> None:
    """What no database knows of."""
    from uncork import purge

    number = made.dice.randrange(FILES)
    name = settings.BASE_DIR / f"file-{number}"
    beside = name.with_name(made.name())
    beside.write_text(made.name())
    os.replace(beside, name)
    purge(f"file-{number}")


SIMPLE: tuple[Callable[[Write], None], ...] = (
    *(save_event, save_some_fields, save_locked, move, rename, new_unique_value, update_many, venue),
    *(insert_many, update_in_bulk, participations, topics, insert, insert, delete, delete_many, by_sql),
)
CHANGES = (*SIMPLE, *SIMPLE, nested, nested, by_hand, user, session, other_database, file)


def fill() -> None:
    """The first data, always the same but for dates."""
    for number in range(4):
        User.objects.create_user(f"user{number}", password="secret", first_name=f"first{number}")
        (settings.BASE_DIR / f"file-{number}").write_text("first")
    seed = 0
    while any(model.objects.count() < most * 0.8 for model, most in MOST.items()):
        seed += 1
        made = Write(seed)
        try:
            with transaction.atomic():
                made.dice.choice((insert, topics, participations))(made)
        except (Undone, DatabaseError):
            pass
    for number in range(3):
        Country(code=f"o{number}", name=f"other{number}").save(using="other")
