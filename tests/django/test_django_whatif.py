"""What a change would purge is what an UPDATE then purges, but for what is only known by its new values."""

import uuid
from typing import Any

import pytest
from testsite.models import Arena, Crowd, Event, Famous, Hall, Organisation, Person, Topic, Venue

from support.purged import Purged
from uncork.django import whatif
from uncork.django.answers import Refused
from uncork.django.collected import UNKNOWN
from uncork.django.columns import spelling

ANN = uuid.UUID(int=7)


@pytest.fixture
def world(database: str) -> str:
    """A few rows in either database."""
    made = Organisation.objects.using(database).create(pk=1, name="n", code="c")
    Organisation.objects.using(database).create(pk=2, name="m", code="d")
    venue = Venue.objects.using(database).create(pk=1, name="v", city="Delft")
    Venue.objects.using(database).create(pk=2, name="w")
    Arena.objects.using(database).create(pk=3, name="a", city="Rome", capacity=9)
    Topic.objects.using(database).create(slug="a=b~c", title="t")
    Person.objects.using(database).create(pk=ANN, name="Ann")
    Event.objects.using(database).create(pk=1, title="t", organisation=made, venue=venue)
    return database


@pytest.mark.parametrize(
    ("model", "key", "values", "new"),
    [
        (Organisation, 1, {"rank": 5}, {}),
        (Organisation, 1, {"name": "other", "rank": 7}, {}),
        (Organisation, 1, {"code": "x"}, {"code": "x"}),
        (Event, 1, {"title": "u", "seats": 3}, {}),
        (Event, 1, {"organisation_id": 2, "venue_id": 2}, {"organisation_id": 2, "venue_id": 2}),
        (Event, 1, {"published": False}, {"published": False}),
        (Event, 1, {"details": {"a": 1}}, {}),
        (Topic, "a=b~c", {"title": "u"}, {}),
        (Person, ANN, {"name": "Anna"}, {}),
        (Arena, 3, {"roofed": False}, {}),
        (Hall, 3, {"capacity": 10}, {"capacity": 10}),
        (Venue, 3, {"city": "Oslo"}, {"city": "Oslo"}),
    ],
)
def test_it_is_what_the_update_purges(
    world: str, purged: Purged, model: Any, key: Any, values: dict[str, Any], new: dict[str, Any]
) -> None:
    told, unknown = whatif.tags_of_update(model, world, key, [*values])
    assert sorted(unknown) == sorted(new) and not purged.take()
    model.objects.using(world).filter(pk=key).update(**values)
    by_new = {b".%s=%s" % (column.encode(), spelling(value) or b"") for column, value in new.items()}
    found = purged.take()
    assert told <= found
    assert all(any(one in tag for one in by_new) for tag in found - told)


def test_a_view_of_the_database_may_be_anything(world: str, purged: Purged) -> None:
    assert whatif.tags_of_update(Crowd, world, 1, ["title"]) == (set(UNKNOWN), [])


def found(label: str, key: str, *names: str) -> dict[str, Any]:
    model = whatif._model(label)
    return whatif._tags(model, key, whatif._fields(model, names))


def test_rows_are_found_by_any_key(sqlite: str, purged: Purged) -> None:
    Topic.objects.create(slug="a,b")
    Person.objects.create(pk=ANN, name="Ann")
    Arena.objects.create(pk=3, name="a")
    assert "db:testsite_topic.slug=a,b" in found("testsite.topic", "a,b")["tags"]
    for label in ("Person", "testsite_person", "testsite.Famous"):
        for key in (str(ANN), ANN.hex):
            assert f"db:testsite_person.id={ANN.hex}~name" in found(label, key, "name")["tags"]
    assert found("Arena", "3")["tables"] == ["testsite_arena", "testsite_hall", "testsite_venue"]
    assert found("Arena", "3", "city")["columns"] == ["city"]
    assert "db:testsite_venue.id=3~city" in found("Arena", "3", "city")["tags"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("testsite.Person", "x"), "there is no testsite.Person x"),
        (("testsite.Person", str(uuid.UUID(int=9))), "there is no testsite.Person 0000"),
        (("testsite.Nothing", "1"), "there is no model 'testsite.Nothing'; there are "),
        (("Organisaton", "1"), "no model 'Organisaton'; did you mean testsite.Organisation?"),
        (("Venue", "1", "nam"), "testsite.Venue has no column 'nam'; did you mean name?"),
        (("Event", "1", "topics"), "topics of testsite.Event is in rows of testsite.Event_topics"),
    ],
)
def test_what_is_not_there(sqlite: str, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(Refused) as refused:
        found(*arguments)
    assert said in str(refused.value)


def test_a_proxy_is_its_model(sqlite: str, purged: Purged) -> None:
    Famous.objects.create(pk=ANN, name="Ann")
    assert found("Famous", str(ANN), "name")["tags"] == found("Person", str(ANN), "name")["tags"]
