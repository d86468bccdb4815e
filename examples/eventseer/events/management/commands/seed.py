"""`manage.py seed`: fills the site with a generated world, and says what it does."""

from collections.abc import Iterable
from datetime import date
from itertools import islice
from time import monotonic
from typing import Any

from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.core.management.base import BaseCommand, CommandParser
from django.core.management.color import no_style
from django.db import connection, models, transaction
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from events.models import Attachment, Comment, Event, Follow, Organisation, Person, Role, Topic
from events.seeding import prose
from events.seeding.world import SCALES, World

# Rows of one INSERT; SQLite takes 32,766 parameters at once, and Django splits where that is exceeded.
_CHUNK = 2_000
_MODELS = (Attachment, Follow, Comment, Role, Event.topics.through, Event, Person, Organisation, Topic)


class Command(BaseCommand):
    help = "Fill the site with generated events, people, topics and organisations."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--scale", choices=SCALES, default="default", help="how much (default: %(default)s)")
        add("--seed", type=int, default=1, help="another number gives another world (default: 1)")
        add("--today", type=date.fromisoformat, help="the day around which the events lie (default: today)")
        add("--force", action="store_true", help="throw away what is there and load again")

    def handle(
        self, *args: Any, scale: str, seed: int, today: date | None, force: bool, **options: Any
    ) -> None:
        console = Console(file=self.stdout._out, highlight=False, soft_wrap=True)
        if Event.objects.exists() and not force:
            console.print(
                f"The data is there already: {Event.objects.count():,} events. (--force loads it again.)"
            )
            return
        began = monotonic()
        world = World(SCALES[scale], seed, today or timezone.localdate())
        columns = (
            TextColumn("{task.description:<14}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console) as progress, transaction.atomic():
            self._empty()
            _load(progress, world)
            _users(world)
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            cursor.execute("ANALYZE")
        took = f"{monotonic() - began:.0f} s"
        console.print(
            f"{world.scale.events:,} events and {world.scale.people:,} people in {took}. "
            "Log in as demo/demo, or admin/admin in /admin/. Both are for this machine only."
        )

    def _empty(self) -> None:
        for model in _MODELS:
            model.objects.all()._raw_delete(connection.alias)


def _load(progress: Progress, world: World) -> None:
    scale = world.scale

    def insert(model: type[models.Model], rows: Iterable[Any], about: int, name: str = "") -> None:
        task = progress.add_task(name or model._meta.verbose_name_plural.capitalize(), total=about)
        rows = iter(rows)
        while chunk := list(islice(rows, _CHUNK)):
            model.objects.bulk_create(chunk)
            progress.advance(task, len(chunk))
        progress.update(task, total=progress.tasks[task].completed)

    def count(model: type[models.Model], rows: Iterable[Any], field: str, name: str) -> None:
        rows = list(rows)
        task = progress.add_task(name, total=len(rows))
        by_number: dict[int, list[int]] = {}
        for pk, number in rows:
            by_number.setdefault(number, []).append(pk)
        for number, pks in by_number.items():
            for start in range(0, len(pks), 900):
                part = pks[start : start + 900]
                model.objects.filter(pk__in=part).update(**{field: number})
                progress.advance(task, len(part))

    through = Event.topics.through
    # Topics and organisations go in first, and count along while people and events are made.
    topics, organisations = list(world.topics()), list(world.organisations())
    insert(Topic, topics, scale.topics)
    insert(Organisation, organisations, scale.organisations)
    insert(Person, world.people(), scale.people)
    insert(Event, world.events(), scale.events)
    links = (through(event_id=event, topic_id=topic) for event, topic in world.links())
    insert(through, links, scale.events * 3, "Topics of events")
    insert(Role, world.roles(), scale.events * scale.roles_per_event)
    insert(Comment, world.comments(), scale.events // 2)
    count(Person, ((pk, n) for pk, n in enumerate(world.events_of) if n), "events_count", "Counts")
    Topic.objects.bulk_update(topics, ["events_count"], batch_size=400)
    Organisation.objects.bulk_update(organisations, ["events_count", "people_count"], batch_size=400)
    _attach(world)
    # PostgreSQL's sequences did not see the primary keys that came with the rows.
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(
            no_style(), [Topic, Organisation, Person, Event, Role]
        ):
            cursor.execute(statement)


def _attach(world: World) -> None:
    """A plain call for papers for some of the next events, so that there is something to download."""
    for event in Event.objects.open(world.today)[:40]:
        call = (
            f"{event.title}\n{event.name}, {event.city}, {event.starts:%d %B %Y}\n\n{event.description}\n\n"
            f"Submission deadline: {event.deadline:%d %B %Y}\n{event.website}\n"
        )
        attachment = Attachment(event=event, title="Call for papers (plain text)")
        name = f"{event.slug}-call-for-papers.txt"
        path = f"events/{event.pk}/{name}"
        attachment.file.storage.delete(path)  # of an earlier load
        attachment.file.save(name, ContentFile(call.encode()), save=True)


def _users(world: World) -> None:
    users = get_user_model().objects
    if not users.filter(username="admin").exists():
        users.create_superuser("admin", password="admin")
    demo = users.filter(username="demo").first() or users.create_user(
        "demo", password="demo", first_name="Demo"
    )
    chance = world._chance("follows")
    soon = list(Event.objects.upcoming(world.today)[:400])
    for event in chance.sample(soon, min(8, len(soon))):
        Follow.objects.create(user=demo, event=event, note=prose.note(chance))
