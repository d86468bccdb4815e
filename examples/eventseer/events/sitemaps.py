"""The sitemap and its index. Source: https://www.sitemaps.org/protocol.html"""

from datetime import datetime

from django.contrib.sitemaps import Sitemap
from django.db.models import Max, Model, QuerySet
from django.urls import reverse

from events.models import Event, Organisation, Person, Topic


class Pages(Sitemap):
    """Those which stand for no object."""

    def items(self) -> list[str]:
        return ["home", "events", "people", "topics", "organisations"]

    def location(self, item: str) -> str:
        return reverse(item)


class Objects(Sitemap):
    """Every object of a model that has a page."""

    # The protocol allows 50,000 URLs a file; this many take a tenth of a second.
    limit = 2_000

    def __init__(self, model: type[Model], *fields: str) -> None:
        self._rows = model.objects.order_by("pk").only("slug", "updated", *fields)

    def items(self) -> "QuerySet":
        return self._rows.all()

    def lastmod(self, item: Event | Person | Topic | Organisation) -> datetime:
        return item.updated

    def get_latest_lastmod(self) -> datetime | None:
        # Django's own way asks every object.
        return self._rows.aggregate(latest=Max("updated"))["latest"]


SITEMAPS = {
    "pages": Pages(),
    "events": Objects(Event),
    "people": Objects(Person),
    "topics": Objects(Topic),
    "organisations": Objects(Organisation),
}
