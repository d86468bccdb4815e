"""Finding events and people by words.

Events: every word somewhere in acronym, title, year or place. People: every word the beginning of the
family name or of the given names. Both are answered from indexes, without a search engine and alike on
SQLite and PostgreSQL.
"""

from django.db.models import Q, QuerySet

from events.models import Event, Person, fold

# More words than that narrow nothing down.
_MOST_WORDS = 6


def words(query: str) -> list[str]:
    # PostgreSQL has no text with NUL in it.
    return list(dict.fromkeys(fold(query).replace(",", " ").replace("\0", " ").split()))[:_MOST_WORDS]


def prefix(column: str, start: str) -> Q:
    """`column` begins with `start`, as a range: LIKE would not use the index in SQLite."""
    return Q(**{f"{column}__gte": start, f"{column}__lt": start[:-1] + chr(ord(start[-1]) + 1)})


def find_events(query: str) -> "QuerySet[Event]":
    wanted = words(query)
    if not wanted:
        return Event.objects.none()
    matching = Event.objects.order_by()
    for word in wanted:
        matching = matching.filter(keywords__contains=word)
    # In two steps, because the inner one needs nothing but the index on the keywords.
    return Event.objects.for_cards().filter(pk__in=matching.values("pk")).order_by("-starts", "-pk")


def find_people(query: str) -> "QuerySet[Person]":
    wanted = words(query)
    if not any(len(word) > 1 for word in wanted):
        return Person.objects.none()
    people = Person.objects.select_related("organisation")
    for word in sorted(wanted, key=len, reverse=True):
        people = people.filter(prefix("family_key", word) | prefix("given_key", word))
    return people.order_by("-events_count", "family_key", "pk")
