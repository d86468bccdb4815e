"""How long a shared cache may keep a page, which tags it carries, and what a change of data purges.

A view says `@public`, and `depends_on(request, …)` with the objects that its page shows. This file is all
there is to it: once Uncork finds out by itself what a page read, it can be deleted, together with those
lines in the views.

The tags: `event-42`, `person-7`, `topic-3`, `organisation-9` for objects, and `events`, `people`, `topics`,
`organisations` for lists, which change when any of their kind does.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, time, timedelta
from functools import cache, wraps
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_save, pre_delete, pre_save
from django.http import HttpRequest, HttpResponse

from events.models import Attachment, Comment, Event, Organisation, Person, Role, Topic

View = Callable[..., HttpResponse]

# Seconds, after midnight: the page of yesterday may be shown while that of today is made, and for a day while
# the site is down. With `s-maxage` neither would be allowed: it implies `proxy-revalidate`.
# Source: RFC 9213, RFC 5861, RFC 9111 §5.2.2.10
_WHEN_STALE = "stale-while-revalidate=60, stale-if-error=86400"


def tag(thing: Model | str) -> str:
    """The tag of an object, `event-42`; a string is a tag already."""
    return thing if isinstance(thing, str) else f"{thing._meta.model_name}-{thing.pk}"


def series(event: Event) -> str:
    """The tag of all editions of an event."""
    return f"series-{event.acronym}".replace(" ", "-").replace(",", "-")


def depends_on(request: HttpRequest, *things: Model | str | None) -> None:
    """The page that answers this request shows these."""
    request.cache_tags.update((tag(thing), None) for thing in things if thing is not None)


def public(view: View) -> View:
    """For views whose response is the same for everybody: they look at no session, user or CSRF token."""

    @wraps(view)
    def shared(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        request.cache_tags = {}  # a dict for its order
        response = view(request, *args, **kwargs)
        if request.method in ("GET", "HEAD") and response.status_code in (200, 301):
            response["Cache-Control"] = "public, max-age=0"  # browsers ask again each time
            response["Uncork-Cache-Control"] = f"max-age={_seconds_to_midnight()}, {_WHEN_STALE}"
            if request.cache_tags:
                response["Cache-Tag"] = ", ".join(request.cache_tags)
        return response

    return shared


def _seconds_to_midnight() -> int:
    """At most a day: "three days left" is true until midnight, whatever is purged until then."""
    now = datetime.now(UTC)
    midnight = datetime.combine(now.date() + timedelta(days=1), time(), UTC)
    return max(1, int((midnight - now).total_seconds()))


# Purging


@cache
def _clock(state_dir: Path) -> Any:
    from uncork.purging.table import ClockTable

    return ClockTable(state_dir)


def _table() -> Any:
    """The purge clock that Uncork's workers look at; None when no Uncork has run or is installed here."""
    if not settings.UNCORK_STATE_DIR.is_dir():
        return None
    try:
        return _clock(settings.UNCORK_STATE_DIR)
    except ModuleNotFoundError:
        return None


def purge(tags: Iterable[str]) -> None:
    """Every stored page that carries one of the tags is not served again."""
    if (table := _table()) is not None:
        table.purge([tag.encode() for tag in tags])


def purge_all() -> None:
    if (table := _table()) is not None:
        table.purge_all()


def _purge_at_commit(*things: Model | str | None) -> None:
    tags = {tag(thing) for thing in things if thing is not None}
    transaction.on_commit(lambda: purge(tags))


def _surroundings(instance: Model) -> list[Model | str | None]:
    """The lists and objects whose pages an object is on, or moves about on."""
    around: list[Model | str | None] = [instance]
    match instance:
        case Event():
            topics = instance.topics.all() if instance.pk is not None else ()
            # The number of its events stands beside an organisation.
            around += ["events", "organisations", series(instance), instance.organisation, *topics]
        case Person():
            around += ["people", "organisations", instance.organisation, instance.topic]
        case Topic():
            around += ["topics"]
        case Organisation():
            around += ["organisations"]
        case Role():
            # People stand in the order of how much they do.
            around += [instance.event, *_surroundings(instance.person)]
        case Comment() | Attachment():
            around = [instance.event]
    return around


def _changing(sender: type[Model], instance: Model, **_: Any) -> None:
    """Before: as it is in the database, for it may move away from there."""
    if instance.pk is not None and (stored := sender.objects.filter(pk=instance.pk).first()) is not None:
        _purge_at_commit(*_surroundings(stored))


def _changed(instance: Model, **_: Any) -> None:
    _purge_at_commit(*_surroundings(instance))


def _topics_changed(
    instance: Event | Topic, action: str, pk_set: set[int] | None, reverse: bool, **_: Any
) -> None:
    others = "event" if reverse else "topic"
    around = instance.topics.all() if action == "pre_clear" and not reverse else ()
    _purge_at_commit(instance, "events", "topics", *around, *(f"{others}-{pk}" for pk in pk_set or ()))


def connect() -> None:
    """Listen to the models. Called once, by the application's `ready`."""
    for model in (Event, Person, Topic, Organisation, Role, Comment, Attachment):
        pre_save.connect(_changing, model)
        post_save.connect(_changed, model)
        pre_delete.connect(_changing, model)
    m2m_changed.connect(_topics_changed, Event.topics.through)
