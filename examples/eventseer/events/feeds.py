"""The newest events as RSS and Atom, of the whole site and of each topic."""

from datetime import datetime
from typing import Any

from django.contrib.syndication.views import Feed
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.feedgenerator import Atom1Feed, Rss201rev2Feed

from events.models import Event, Topic
from events.views.browsing import get_or_404


class NewestEvents(Feed):
    feed_type = Rss201rev2Feed
    title = "Eventseer: new events"
    description = subtitle = "Calls for papers, conferences and workshops as they become known."

    def link(self) -> str:
        return reverse("events")

    def items(self, topic: Topic | None = None) -> "QuerySet[Event]":
        events = topic.events if topic else Event.objects
        shown = events.for_lines("title", "description", "created", "updated")
        topics = Prefetch("topics", Topic.objects.only("name"))
        return shown.prefetch_related(topics).order_by("-created", "-pk")[:30]

    def item_title(self, item: Event) -> str:
        return f"{item.name}: {item.title}"

    def item_description(self, item: Event) -> str:
        return item.description.partition("\n\n")[0]

    def item_pubdate(self, item: Event) -> datetime:
        return item.created

    def item_updateddate(self, item: Event) -> datetime:
        return item.updated

    def item_categories(self, item: Event) -> list[str]:
        return [topic.name for topic in item.topics.all()]


class NewestEventsAtom(NewestEvents):
    feed_type = Atom1Feed


class TopicFeed(NewestEvents):
    def get_object(self, request: HttpRequest, **arguments: Any) -> Topic:
        return get_or_404(Topic.objects.only("name", "slug"), arguments["pk"])

    def title(self, topic: Topic) -> str:
        return f"Eventseer: {topic.name}"

    def link(self, topic: Topic) -> str:
        return topic.get_absolute_url()


class TopicFeedAtom(TopicFeed):
    feed_type = Atom1Feed
