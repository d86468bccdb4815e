"""The changes that a write may make: one for each way to write there is."""

import os
from collections.abc import Callable
from contextlib import nullcontext

from django.conf import settings
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction
from django.db.models import F

from recorded.made import COLOURS, FILES, KINDS, Undone, Write
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
from uncork import purge


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
    """What no database knows of, and no transaction takes back."""
    if connection.in_atomic_block:
        raise Undone
    number = made.dice.randrange(FILES)
    name = settings.BASE_DIR / f"file-{number}"
    beside = name.with_name(made.name())
    beside.write_text(made.name())
    with transaction.atomic() if made.dice.random() < 0.5 else nullcontext():
        os.replace(beside, name)
        purge(f"file-{number}")


SIMPLE: tuple[Callable[[Write], None], ...] = (
    *(save_event, save_some_fields, save_locked, move, rename, new_unique_value, update_many, venue),
    *(insert_many, update_in_bulk, participations, topics, insert, insert, delete, delete_many, by_sql),
)
CHANGES = (*SIMPLE, *SIMPLE, nested, nested, by_hand, user, session, other_database, file, file, file)
