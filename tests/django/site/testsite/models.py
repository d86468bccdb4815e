"""A model for each way in which Django lays out a table, named after what it is the case of.

The story is the example site's: people take part in events, which organisations hold.
"""

import uuid

from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models


class Organisation(models.Model):
    """An integer as its primary key, a unique text, an indexed one, and one of neither kind."""

    name = models.CharField(max_length=100)
    code = models.CharField(max_length=20, unique=True)
    country = models.CharField(max_length=2, db_index=True, default="de")
    rank = models.IntegerField(default=0)


class Topic(models.Model):
    """A text as its primary key."""

    slug = models.SlugField(primary_key=True, max_length=40)
    title = models.CharField(max_length=100, default="")


class Person(models.Model):
    """A UUID as its primary key, and a nullable foreign key to its own table."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.CharField(max_length=100)
    mentor = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="students")
    topics = models.ManyToManyField(Topic, related_name="people")


class Profile(models.Model):
    """One to one."""

    person = models.OneToOneField(Person, models.CASCADE)
    biography = models.TextField(default="")


class Tag(models.Model):
    """Generic, by an integer."""

    label = models.CharField(max_length=40)
    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.PositiveIntegerField()
    tagged = GenericForeignKey()

    class Meta:
        indexes = (models.Index(fields=["content_type", "object_id"], name="tag_of"),)


class Published(models.Manager):
    def get_queryset(self):
        return super().get_queryset().filter(published=True)


class Event(models.Model):
    """Foreign keys with and without NULL, many-to-many of both kinds, JSON, a manager that filters."""

    title = models.CharField(max_length=100)
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="events")
    venue = models.ForeignKey("Venue", models.SET_NULL, null=True, blank=True, related_name="events")
    topics = models.ManyToManyField(Topic, related_name="events")
    people = models.ManyToManyField(Person, through="Part", related_name="events")
    published = models.BooleanField(default=True, db_index=True)
    seats = models.IntegerField(default=10)
    details = models.JSONField(default=dict)
    tags = GenericRelation(Tag)

    objects = models.Manager()
    public = Published()

    class Meta:
        base_manager_name = "objects"


class Part(models.Model):
    """A table in between that has more to say, and a constraint over two of its columns."""

    event = models.ForeignKey(Event, models.CASCADE, related_name="parts")
    person = models.ForeignKey(Person, models.CASCADE, related_name="parts")
    role = models.CharField(max_length=20, default="speaker")

    class Meta:
        constraints = (models.UniqueConstraint(fields=["event", "person"], name="part_once"),)


class Venue(models.Model):
    """The parent of tables that have a row of their own beside its row, and ordered by default."""

    name = models.CharField(max_length=100)
    city = models.CharField(max_length=100, db_index=True, default="")

    class Meta:
        ordering = ("name",)


class Hall(Venue):
    """Inherits by a table of its own."""

    capacity = models.IntegerField(default=100, db_index=True)


class Arena(Hall):
    """… and once more."""

    roofed = models.BooleanField(default=True)


class Dated(models.Model):
    """Inherited by copying its columns."""

    year = models.IntegerField(default=2026, db_index=True)

    class Meta:
        abstract = True


class Report(Dated):
    """Has a foreign key that the database doesn't hold anybody to."""

    event = models.ForeignKey(
        Event, models.DO_NOTHING, null=True, db_constraint=False, related_name="reports"
    )
    text = models.TextField(default="")


class Famous(Person):
    """Inherits by proxy."""

    class Meta:
        proxy = True
        ordering = ("name",)


class Comment(models.Model):
    """Generic, by a text, for any kind of primary key; no index is of use for it."""

    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_pk = models.CharField(max_length=40)
    about = GenericForeignKey("content_type", "object_pk")
    text = models.TextField(default="")
    event = models.ForeignKey(Event, models.CASCADE, null=True, related_name="comments")


class Crowd(models.Model):
    """Not managed: a view of the database, of how many take part in each event."""

    id = models.IntegerField(primary_key=True)
    title = models.CharField(max_length=100)
    people = models.IntegerField()

    class Meta:
        managed = False
        db_table = "testsite_crowd"


class Legacy(models.Model):
    """Not managed: somebody else's table, whose columns may be of other types than these."""

    code = models.CharField(max_length=10, primary_key=True)
    label = models.CharField(max_length=10, db_index=True)
    number = models.IntegerField(db_index=True)
    title = models.CharField(max_length=10, default="a")

    class Meta:
        managed = False
        db_table = "testsite_legacy"


CROWD = """
CREATE VIEW testsite_crowd AS
SELECT e.id AS id, e.title AS title, COUNT(p.id) AS people
FROM testsite_event e LEFT JOIN testsite_part p ON p.event_id = e.id
GROUP BY e.id, e.title
"""
