"""The tests' own project: its tables are there, on both kinds of database."""

from testsite.models import Crowd, Event, Organisation, Part, Person


def test_tables_and_views_are_made_and_empty(database: str) -> None:
    assert not Event.objects.using(database).exists()
    organisation = Organisation.objects.using(database).create(name="O", code="o")
    event = Event.objects.using(database).create(title="E", organisation=organisation)
    person = Person.objects.using(database).create(name="P")
    Part.objects.using(database).create(event=event, person=person)
    assert [(crowd.title, crowd.people) for crowd in Crowd.objects.using(database).all()] == [("E", 1)]
