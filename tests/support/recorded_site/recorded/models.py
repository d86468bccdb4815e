"""The site's data. `version` counts the writes to a row, so that a page that shows it says how old it is."""

import uuid

from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models


class Versioned(models.Model):
    version = models.IntegerField(default=1)

    class Meta:
        abstract = True


class Country(Versioned):
    code = models.CharField(max_length=12, primary_key=True)
    name = models.CharField(max_length=40)
    marks = GenericRelation("Mark", object_id_field="object_key")


class Person(Versioned):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.CharField(max_length=40)
    email = models.CharField(max_length=60, unique=True)
    country = models.ForeignKey(Country, models.SET_NULL, null=True, blank=True)
    boss = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="team")


class Profile(Versioned):
    person = models.OneToOneField(Person, models.CASCADE)
    about = models.CharField(max_length=60)


class Place(Versioned):
    name = models.CharField(max_length=40)
    slug = models.SlugField(unique=True)
    country = models.ForeignKey(Country, models.SET_NULL, null=True, related_name="places")
    comments = GenericRelation("Comment")


class Venue(Place):
    """A table of its own, joined with that of its parent."""

    seats = models.IntegerField(default=0)


class Topic(Versioned):
    name = models.CharField(max_length=40)
    parent = models.ForeignKey("self", models.CASCADE, null=True, blank=True, related_name="children")


class Event(Versioned):
    title = models.CharField(max_length=40)
    slug = models.SlugField(unique=True)
    kind = models.CharField(max_length=10, db_index=True)
    starts = models.IntegerField()
    price = models.IntegerField(default=0)
    visible = models.BooleanField(default=True)
    data = models.JSONField(default=dict)
    place = models.ForeignKey(Place, models.SET_NULL, null=True, blank=True, related_name="events")
    topics = models.ManyToManyField(Topic, related_name="events")
    people = models.ManyToManyField(Person, through="Participation", related_name="events")
    comments = GenericRelation("Comment")


class VisibleManager(models.Manager):
    def get_queryset(self):
        return super().get_queryset().filter(visible=True)


class VisibleEvent(Event):
    """Another view of the same table."""

    objects = VisibleManager()

    class Meta:
        proxy = True


class Participation(Versioned):
    event = models.ForeignKey(Event, models.CASCADE)
    person = models.ForeignKey(Person, models.CASCADE)
    role = models.CharField(max_length=10)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["event", "person"], name="once"),)


class Comment(Versioned):
    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.PositiveIntegerField(db_index=True)
    about = GenericForeignKey("content_type", "object_id")
    text = models.CharField(max_length=60)


class Mark(Versioned):
    """Of anything with a key that is text."""

    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_key = models.CharField(max_length=40)
    about = GenericForeignKey("content_type", "object_key")
    text = models.CharField(max_length=60)


class Pointer(Versioned):
    """To an event that need not be there: its database doesn't look."""

    event = models.ForeignKey(Event, models.DO_NOTHING, null=True, db_constraint=False)


class Summary(models.Model):
    """A view of the database."""

    event_id = models.BigIntegerField(primary_key=True)
    title = models.CharField(max_length=40)
    members = models.IntegerField()

    class Meta:
        managed = False
        db_table = "recorded_summary"


SUMMARY = """
    CREATE VIEW recorded_summary AS
    SELECT e.id AS event_id, e.title AS title, count(p.id) AS members
    FROM recorded_event e LEFT JOIN recorded_participation p ON p.event_id = e.id
    GROUP BY e.id, e.title
"""
