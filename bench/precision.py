"""How precisely a change purges: pages purged ÷ pages whose bytes changed, over the example site.

    python -m bench.precision [--edits 40] [--pages 400] [--seed 1]

Lives here: the mix of edits, and the three counts after each: the pages that the recorder purged, those that
tracking whole tables would have, and those that came out different.
Doesn't know: the edge. A page is purged when the purge clock says so of what its response told.

Every page is made anew after each edit, so a page that changed and was not purged is found here as well: it
is counted as missed, and must not occur.
"""

import argparse
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SITE = Path(__file__).parents[1] / "examples" / "eventseer"


@dataclass
class Rendered:
    """A page as it was made: what it read, and when by the purge clock."""

    body: bytes
    status: int
    stamp: int
    slots: tuple[int, ...]
    tables: frozenset[bytes]


@dataclass
class Counts:
    """Of one kind of edit."""

    edits: int = 0
    changed: int = 0
    purged: int = 0
    by_tables: int = 0
    missed: int = 0
    causes: Counter[str] = field(default_factory=Counter)


def set_up(directory: Path) -> None:
    """The example site with the small data, its state in this directory. Its settings have the recorder."""
    state = directory / ".uncork"
    state.mkdir()
    os.environ.pop("DATABASE_URL", None)
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "eventseer.settings",
        "EVENTSEER_DATA": str(directory),
        "EVENTSEER_HOSTS": "testserver",
        "EVENTSEER_DEBUG": "1",  # static files keep their names
        "UNCORK_STATE_DIR": str(state),
    }
    sys.path.insert(0, str(SITE))
    from uncork.purging.table import ClockTable

    ClockTable(state).close()
    import django
    from django.core.management import call_command

    django.setup()
    from django.conf import settings

    settings.DEBUG = False
    call_command("migrate", verbosity=0)
    call_command("seed", scale="small")


def urls(count: int, dice: random.Random) -> list[str]:
    """Pages of every kind: all that stand for no single object, and of objects so many as fit."""
    from events.models import Event, Organisation, Person, Topic

    found = ["/", "/events/", "/events/?when=open", "/events/?page=2", "/people/", "/topics/"]
    found += ["/organisations/", "/feeds/events.rss", "/feeds/events.atom", "/sitemap.xml", "/robots.txt"]
    found += [f"/people/{letter}/" for letter in "abcms"] + ["/search/?q=data", "/topics/?shelf=ai"]
    found += [f"/sitemap-{kind}.xml" for kind in ("events", "people", "topics", "organisations")]
    each = (count - len(found)) // 10
    for model, share in ((Event, 4), (Person, 3), (Topic, 1), (Organisation, 1)):
        rows = list(model.objects.order_by("pk"))
        found += [row.get_absolute_url() for row in dice.sample(rows, min(len(rows), share * each))]
    events = list(Event.objects.order_by("pk"))
    for event in dice.sample(events, each // 2):
        found += [f"/api/events/{event.pk}.json", event.get_ical_url()]
    return found


class Edits:
    """What editors and visitors do, each in one transaction, as the admin and the forms do it."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.number = 0

    def _one(self, model: Any) -> Any:
        return self.dice.choice(list(model.objects.order_by("pk")))

    def add_an_event(self) -> None:
        from datetime import timedelta

        from django.utils import timezone

        from events.models import Event, Organisation, Person, Role, Topic

        self.number += 1
        starts = timezone.localdate() + timedelta(days=self.dice.randrange(30, 300))
        event = Event(
            acronym=f"NEW{self.number}",
            title=f"A new conference, number {self.number}",
            starts=starts,
            ends=starts + timedelta(days=3),
            deadline=starts - timedelta(days=self.dice.randrange(20, 29)),
            city="Delft",
            country="NL",
            organisation=self._one(Organisation),
            description="It is new.",
        )
        event.save()
        event.topics.set(self.dice.sample(list(Topic.objects.order_by("pk")), 3))
        for kind, person in enumerate(self.dice.sample(list(Person.objects.order_by("pk")), 5), 1):
            Role.objects.create(event=event, person=person, kind=kind)

    def edit_a_person(self) -> None:
        from events.models import Person

        self.number += 1
        person = self._one(Person)
        if self.dice.random() < 0.5:
            person.bio = f"{person.bio}\n\nEdit {self.number}."
        else:
            person.position = f"Professor no. {self.number}"
        person.save()

    def comment(self) -> None:
        from events.models import Comment, Event

        self.number += 1
        Comment.objects.create(event=self._one(Event), name="A visitor", text=f"Comment {self.number}.")

    def change_a_title(self) -> None:
        from events.models import Event

        self.number += 1
        event = self._one(Event)
        event.title = f"{event.title.partition(' (')[0]} ({self.number})"
        event.save()

    def delete_an_event(self) -> None:
        from events.models import Event

        self._one(Event).delete()

    def all(self) -> list[Callable[[], None]]:
        """By weight: most edits are comments and corrections."""
        return [
            *(self.add_an_event,) * 2,
            *(self.edit_a_person,) * 3,
            *(self.comment,) * 3,
            *(self.change_a_title,) * 3,
            self.delete_an_event,
        ]


def run(edits: int, pages: int, seed: int, say: Callable[[str], None] = print) -> dict[str, Counts]:
    """The counts by kind of edit. The site must be set up."""
    from django.db import transaction
    from django.test import Client

    from uncork.django.clock import clock_table
    from uncork.django.recording import Recording
    from uncork.pages.clock import Verdict
    from uncork.pages.record import parse_record
    from uncork.purging.table import ClockTable
    from uncork.semantics.fields import Fields

    found = clock_table()
    assert found is not None
    table: ClockTable = found
    dice = random.Random(seed)
    client = Client(headers={"Uncork-Edge": table.name.decode()})
    read: list[set[bytes]] = []
    closed, purge = Recording.close, ClockTable.purge
    written: set[bytes] = set()

    def close(self: Recording) -> None:
        read.append(self.all_tags())
        closed(self)

    def purge_and_tell(self: ClockTable, tags: Any, soft: bool = False) -> int:
        written.update(tags := list(tags))
        return purge(self, tags, soft)

    Recording.close, ClockTable.purge = close, purge_and_tell  # type: ignore[method-assign]

    def render(url: str) -> Rendered:
        stamp = table.clock.stamp()
        read.clear()
        response = client.get(url)
        fields = Fields([(name.lower().encode(), value.encode()) for name, value in response.items()])
        record = parse_record(fields, table.name, table.clock.slots)
        assert record is not None and record.unshared is None, (url, record, dict(response.items()))
        (tags,) = read
        return Rendered(response.content, response.status_code, stamp, record.slots, frozenset(_tables(tags)))

    chosen = urls(pages, dice)
    known = {url: render(url) for url in chosen}
    say(f"{len(chosen)} pages of the example site, {edits} edits")
    todo, result = Edits(dice), dict[str, Counts]()
    for _ in range(edits):
        edit = dice.choice(todo.all())
        counts = result.setdefault(edit.__name__.replace("_", " "), Counts())
        written.clear()
        with transaction.atomic():
            edit()
        tables = set(_tables(written))
        counts.edits += 1
        for url, before in known.items():
            purged = table.clock.verdict(before.stamp, before.slots) is not Verdict.VALID
            after = render(url)
            changed = (after.body, after.status) != (before.body, before.status)
            counts.changed += changed
            counts.purged += purged
            counts.by_tables += bool(tables & before.tables)
            if changed and not purged:
                counts.missed += 1
                say(f"missed: {url} after {edit.__name__}")
            if purged and not changed:
                counts.causes[url.split("/")[1] or "home"] += 1
            known[url] = after
    return result


def _tables(tags: set[bytes]) -> Iterator[bytes]:
    for tag in tags:
        if tag.startswith(b"db:") and tag[3:4] not in (b"*", b"?"):
            yield tag[3:].partition(b".")[0]


def table_of(result: dict[str, Counts]) -> str:
    """As Markdown."""
    lines = [
        "| edit | times | pages changed | purged | ÷ changed | by whole tables | ÷ changed |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    total = Counts()
    for name, counts in sorted(result.items()):
        lines.append(_row(name, counts))
        total.edits += counts.edits
        total.changed += counts.changed
        total.purged += counts.purged
        total.by_tables += counts.by_tables
    return "\n".join([*lines, _row("**all**", total)])


def _row(name: str, counts: Counts) -> str:
    def ratio(part: int) -> str:
        return f"{part / counts.changed:.2f}" if counts.changed else "–"

    return (
        f"| {name} | {counts.edits} | {counts.changed} | {counts.purged} | {ratio(counts.purged)} |"
        f" {counts.by_tables} | {ratio(counts.by_tables)} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--edits", type=int, default=40)
    parser.add_argument("--pages", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--causes", action="store_true", help="say which pages were purged and not changed")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        set_up(Path(directory))
        result = run(arguments.edits, arguments.pages, arguments.seed)
    print(table_of(result))
    if arguments.causes:
        for name, counts in result.items():
            print(name, dict(counts.causes.most_common()))
    return int(any(counts.missed for counts in result.values()))


if __name__ == "__main__":
    sys.exit(main())
