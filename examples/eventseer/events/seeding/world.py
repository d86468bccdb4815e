"""A world of events and people, made from a seed: the same seed, scale and day give the same world.

Lives here: how many of each there are and who belongs to whom. Yields unsaved rows in the order in which
they can be inserted; knows no database.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from django.utils.text import slugify

from events.models import Comment, Event, Organisation, Person, Role, Topic, fold
from events.places import CITIES, COUNTRIES
from events.seeding import names, prose


@dataclass(frozen=True)
class Scale:
    """Numbers of rows."""

    events: int
    people: int
    topics: int
    organisations: int

    @property
    def roles_per_event(self) -> int:
        """Enough that nearly everybody serves somewhere, and those in the middle of a field often."""
        return max(10, round(self.people / self.events * 1.33))


SCALES = {
    "small": Scale(events=200, people=1_000, topics=40, organisations=60),
    "default": Scale(events=8_000, people=60_000, topics=400, organisations=600),
    "full": Scale(events=20_000, people=573_000, topics=4_000, organisations=3_000),
}

_SUBJECTS = tuple(
    (discipline, name)
    for line in Path(__file__).with_name("subjects.txt").read_text("utf-8").splitlines()
    for discipline, _, listed in (line.partition(": "),)
    for name in listed.split("; ")
)
# What makes ten topics of one, for the full scale.
_SHADES = (
    "{}", "Applied {}", "Foundations of {}", "Advanced {}", "{} in Practice", "Teaching {}", "Ethics of {}",
    "Frontiers of {}", "Methods for {}", "History of {}",
)  # fmt: skip
_ORGANISATIONS = (
    ("university", "University of {}"), ("university", "Technical University of {}"),
    ("institute", "{} Institute of Advanced Studies"), ("university", "{} Institute of Technology"),
    ("university", "{} School of Economics"), ("society", "{} Academy of Sciences"),
    ("institute", "Computing Research Centre {}"), ("university", "{} Metropolitan University"),
    ("institute", "{} Laboratory for Life Sciences"), ("university", "{} University of Applied Sciences"),
    ("company", "{} Data Works"), ("society", "{} Mathematical Society"),
    ("institute", "Institute for Climate Research {}"),
)  # fmt: skip
_TITLES = {
    Event.Kind.CONFERENCE: (
        "International Conference on {}",
        "European Conference on {}",
        "Conference on {}",
        "World Congress on {}",
        "International Joint Conference on {}",
        "Asian Conference on {}",
    ),
    Event.Kind.SYMPOSIUM: (
        "International Symposium on {}",
        "Symposium on Principles of {}",
        "Nordic Symposium on {}",
    ),
    Event.Kind.WORKSHOP: (
        "International Workshop on {}",
        "Workshop on Advances in {}",
        "Workshop on Tools for {}",
    ),
    Event.Kind.SCHOOL: ("Summer School on {}", "Doctoral School on {}"),
}
_SUFFIXES = (
    "",
    "",
    "",
    " and Applications",
    " and Practice",
    " Systems",
    " and its Foundations",
    " and Engineering",
)
_KINDS = (tuple(_TITLES), (52, 16, 26, 6))
_SMALL_WORDS = {"on", "of", "and", "in", "for", "its", "the"}


class World:
    """The rows of each kind: to be asked for in the order in which the methods stand here."""

    def __init__(self, scale: Scale, seed: int, today: date) -> None:
        self.scale, self.today = scale, today
        self._seed = seed
        self._topics: list[Topic] = []
        self._organisations: list[Organisation] = []
        self._by_discipline: dict[str, list[int]] = {}  # numbers of topics
        self._topics_of: list[list[int]] = []  # of each event: numbers of topics, the main one first
        self._created_events: list[
            tuple[date, datetime]
        ] = []  # of each event: first day, when it was announced
        self._bounds: list[int] = []  # the people of topic i have the numbers from bounds[i] to bounds[i+1]
        self._now = datetime.combine(today, time(5, 0), UTC)

    def _chance(self, what: str) -> random.Random:
        # One sequence for each kind of row: more comments do not change the names of people.
        return random.Random(f"{self._seed}/{what}")

    def topics(self) -> Iterator[Topic]:
        chance = self._chance("topics")
        wanted = self.scale.topics
        subjects = _SUBJECTS[:: max(1, len(_SUBJECTS) // wanted)]
        shaded = [(kind, shade.format(name)) for shade in _SHADES for kind, name in subjects][:wanted]
        for number, (discipline, _) in enumerate(shaded):
            self._by_discipline.setdefault(discipline, []).append(number)
        # A few fields are large and many are small, as in life.
        self._weights = [1 / (1 + chance.random() * 12) for _ in shaded]
        total = sum(self._weights)
        bound = 0.0
        for weight in self._weights:
            self._bounds.append(round(bound))
            bound += self.scale.people * weight / total
        self._bounds.append(self.scale.people)
        for number, (discipline, name) in enumerate(shaded):
            others = chance.choices(self._by_discipline[discipline], k=2)
            self._topics.append(
                Topic(
                    pk=number + 1,
                    name=name,
                    slug=slugify(name),
                    discipline=discipline,
                    summary=prose.topic_summary(chance, name, *(shaded[other][1] for other in others)),
                    updated=self._now,
                )
            )
        yield from self._topics

    def organisations(self) -> Iterator[Organisation]:
        chance = self._chance("organisations")
        places = list(CITIES)
        chance.shuffle(places)
        made = [(kind, pattern, place) for kind, pattern in _ORGANISATIONS for place in places]
        for number, (kind, pattern, (city, country)) in enumerate(made[: self.scale.organisations]):
            name = pattern.format(city)
            founded = chance.randint(1950, 2015)
            if kind == "university":
                founded = chance.choice((1409, 1583, 1737)) + chance.randint(0, 240)
            self._organisations.append(
                Organisation(
                    pk=number + 1,
                    name=name,
                    slug=slugify(fold(name)),
                    kind=kind,
                    city=city,
                    country=country,
                    founded=founded,
                    website=f"https://{slugify(fold(name))}.example/",
                    summary=f"{Organisation.Kind(kind).label} in {city}, {COUNTRIES[country]}.",
                    updated=self._now,
                )
            )
        yield from self._organisations

    def people(self) -> Iterator[Person]:
        chance = self._chance("people")
        organisations = self._organisations
        large = [1 / (1 + chance.random() * 8) for _ in organisations]
        employers = chance.choices(range(len(organisations)), large, k=self.scale.people)
        for number, topic in enumerate(self._topics):
            neighbours = self._by_discipline[topic.discipline]
            for index in range(self._bounds[number], self._bounds[number + 1]):
                given, family = names.person(chance)
                other = self._topics[chance.choice(neighbours)].name
                organisation = organisations[employers[index]]
                organisation.people_count += 1
                person = Person(
                    pk=index + 1,
                    given=given,
                    family=family,
                    position=prose.position(chance),
                    organisation_id=organisation.pk,
                    topic_id=topic.pk,
                    bio=prose.biography(
                        chance,
                        given=given,
                        topic=topic.name,
                        other=other,
                        city=chance.choice(CITIES)[0],
                        city2=chance.choice(CITIES)[0],
                    ),
                    updated=self._now,
                )
                person.derive()
                person.homepage = f"https://people.example/{person.slug}/" if chance.random() < 0.4 else ""
                yield person

    def events(self) -> Iterator[Event]:
        """Series of editions, a year apart: the acronym and the main topic stay, place and day change."""
        chance = self._chance("events")
        taken: set[str] = set()
        number = 0
        while number < self.scale.events:
            main = chance.choices(range(len(self._topics)), self._weights)[0]
            neighbours = self._by_discipline[self._topics[main].discipline]
            kind = chance.choices(*_KINDS)[0]
            title = chance.choice(_TITLES[kind]).format(self._topics[main].name + chance.choice(_SUFFIXES))
            acronym = _acronym(chance, title, taken)
            first = self.today.year - chance.randint(3, 28)
            latest = self.today.year + 1
            # Most series still run, and the next edition of each is known.
            editions = min(chance.randint(1, 6), self.scale.events - number)
            day = chance.randint(1, 365)
            host = chance.choice(self._organisations)
            for year in range(latest - editions + 1, latest + 1):
                if chance.random() < 0.6:
                    host = chance.choice(self._organisations)
                topics = list(dict.fromkeys([main, *chance.choices(neighbours, k=chance.randint(1, 3))]))
                self._topics_of.append(topics)
                starts = date(year, 1, 1) + timedelta(days=day + chance.randint(-10, 10))
                event = self._edition(chance, number, acronym, title, kind, host, first, starts, topics)
                self._created_events.append((event.starts, event.created))
                host.events_count += 1
                for topic in topics:
                    self._topics[topic].events_count += 1
                yield event
                number += 1

    def _edition(
        self,
        chance: random.Random,
        number: int,
        acronym: str,
        title: str,
        kind: Event.Kind,
        host: Organisation,
        first: int,
        starts: date,
        topics: list[int],
    ) -> Event:
        starts -= timedelta(days=starts.weekday() if chance.random() < 0.8 else 0)  # on a Monday
        year = starts.year
        deadline = starts - timedelta(days=chance.randint(75, 190))
        announced = deadline - timedelta(days=chance.randint(40, 150))
        if announced >= self.today:
            announced = self.today - timedelta(days=chance.randint(1, 40))
        created = datetime.combine(announced, time(chance.randint(6, 20), chance.randint(0, 59)), UTC)
        city, country = (host.city, host.country) if chance.random() < 0.5 else chance.choice(CITIES)
        venue = prose.venue(chance, city, host.name if city == host.city else None)
        edition = prose.ordinal(max(1, year - first + 1))
        event = Event(
            pk=number + 1,
            acronym=acronym,
            title=f"{edition} {title}",
            kind=kind,
            starts=starts,
            ends=starts + timedelta(days=chance.choice((1, 2, 2, 3, 4))),
            deadline=deadline,
            notification=deadline + timedelta(days=chance.randint(35, 60)),
            city=city,
            country=country,
            venue=venue,
            website=f"https://{acronym.lower()}{year}.example/",
            organisation_id=host.pk,
            created=created,
            updated=created,
            description=prose.description(
                chance,
                [self._topics[topic].name for topic in topics],
                name=f"{acronym} {year}",
                title=title,
                ordinal=edition,
                previous=f"{chance.choice(CITIES)[0]} and {chance.choice(CITIES)[0]}",
                first=str(first),
                kind=Event.Kind(kind).label.lower(),
                city=city,
                country=COUNTRIES[country],
                host=host.name,
                venue=venue,
            ),
        )
        event.derive()
        return event

    def links(self) -> Iterator[tuple[int, int]]:
        """(event, topic), as primary keys."""
        for number, topics in enumerate(self._topics_of):
            for topic in topics:
                yield number + 1, topic + 1

    def roles(self) -> Iterator[Role]:
        """A committee from each event's main field: some of its well-known people, the others by turns."""
        chance = self._chance("roles")
        turns = list(self._bounds)
        self.events_of = [0] * (self.scale.people + 1)  # by primary key
        most = self.scale.roles_per_event
        pk = 0
        for number, topics in enumerate(self._topics_of):
            main = topics[0]
            low, high = self._bounds[main], self._bounds[main + 1]
            if low == high:
                continue
            members: dict[int, None] = {}
            wanted = max(4, round(chance.gauss(most, most / 5)))
            for _ in range(wanted // 4):  # the closer to the front of a field, the better known
                members[low + int((high - low) * chance.random() ** 2 * 0.25)] = None
            while len(members) < wanted and len(members) < high - low:
                members[turns[main]] = None
                turns[main] += 1
                if turns[main] >= high:
                    turns[main] = low
            keynotes, organisers = chance.randint(1, 3), chance.randint(0, 2)
            kinds = [Role.Kind.CHAIR, Role.Kind.PROGRAM_CHAIR, *[Role.Kind.KEYNOTE] * keynotes]
            kinds += [Role.Kind.ORGANISER] * organisers
            for place, person in enumerate(members):
                pk += 1
                self.events_of[person + 1] += 1
                kind = kinds[place] if place < len(kinds) else Role.Kind.COMMITTEE
                yield Role(pk=pk, event_id=number + 1, person_id=person + 1, kind=kind)

    def comments(self) -> Iterator[Comment]:
        chance = self._chance("comments")
        for number, (_, announced) in enumerate(self._created_events):
            if chance.random() < 0.3:
                said = announced
                for _ in range(chance.randint(1, 4)):
                    said += timedelta(minutes=chance.randint(200, 30_000))
                    if said > self._now:
                        break
                    name = " ".join(names.person(chance))
                    yield Comment(event_id=number + 1, name=name, text=prose.comment(chance), created=said)


def _acronym(chance: random.Random, title: str, taken: set[str]) -> str:
    words = [
        word for word in title.replace("-", " ").replace(",", " ").split() if word.lower() not in _SMALL_WORDS
    ]
    plain = "".join(word[0] for word in words).upper()
    last = fold(words[-1]).upper()
    for acronym in (plain[:7], plain[:4] + last[1:4], plain[-5:], plain[:3] + last[:5]):
        if len(acronym) > 2 and acronym not in taken:
            taken.add(acronym)
            return acronym
    while True:  # the way out that real conferences take: some more letters
        more = chance.choices("ABCDEFGIKLMNOPRSTUX", k=chance.randint(1, 4))
        acronym = plain[: chance.randint(2, 5)] + "".join(more)
        if acronym not in taken:
            taken.add(acronym)
            return acronym
