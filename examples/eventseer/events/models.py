"""What the site knows: events, their people, topics and organisations, and what visitors add.

Each index here belongs to a page: the comment beside it names it.
"""

import hashlib
import unicodedata
from datetime import date

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.text import slugify

from events import places


def fold(text: str) -> str:
    """Lower-case ASCII for sorting and searching: `Łukasz Čapek` gives `lukasz capek`."""
    text = text.replace("ø", "o").replace("Ø", "O").replace("ł", "l").replace("Ł", "L").replace("ß", "ss")
    text = text.replace("đ", "d").replace("Đ", "D").replace("ı", "i").replace("æ", "ae").replace("Æ", "Ae")
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()


def hue(text: str) -> int:
    """A colour of its own for a name: an angle on the colour wheel, the same on every machine."""
    return hashlib.blake2b(text.encode(), digest_size=2).digest()[0] * 360 // 256


class InCountry:
    """What has a place."""

    country: str

    @property
    def country_name(self) -> str:
        # get_country_display would go through all countries, for every row of a list.
        return places.COUNTRIES.get(self.country, self.country)


class Discipline(models.TextChoices):
    """The shelves on which topics stand."""

    AI = "ai", "Artificial intelligence"
    SYSTEMS = "systems", "Systems & networks"
    SOFTWARE = "software", "Software & languages"
    THEORY = "theory", "Theory of computing"
    DATA = "data", "Data & information"
    SECURITY = "security", "Security & privacy"
    HUMANS = "humans", "People & computers"
    MATHS = "maths", "Mathematics & statistics"
    PHYSICS = "physics", "Physics & astronomy"
    LIFE = "life", "Life sciences & medicine"
    EARTH = "earth", "Earth & environment"
    ENGINEERING = "engineering", "Engineering & materials"
    SOCIETY = "society", "Social sciences & economics"
    HUMANITIES = "humanities", "Humanities & education"


class TopicQuerySet(models.QuerySet["Topic"]):
    def for_chips(self) -> "TopicQuerySet":
        """All that a link to a topic shows, and not how many events there are."""
        return self.only("name", "slug", "discipline")


class Topic(models.Model):
    name = models.CharField(max_length=120, unique=True)
    slug = models.SlugField(max_length=120, db_index=False, editable=False)
    discipline = models.CharField(max_length=12, choices=Discipline.choices)
    summary = models.TextField(blank=True)
    events_count = models.PositiveIntegerField(default=0, editable=False)
    updated = models.DateTimeField(auto_now=True, db_index=True)  # sitemap

    objects = TopicQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        indexes = (
            models.Index(fields=["-events_count"], name="topic_by_size"),  # home, filter of the event list
            models.Index(fields=["discipline", "-events_count"], name="topic_by_discipline"),  # topic list
        )

    def __str__(self) -> str:
        return self.name

    def save(self, *args: object, **kwargs: object) -> None:
        self.slug = slugify(self.name)[:120] or "topic"
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        return reverse("topic", args=[self.pk, self.slug])

    @property
    def hue(self) -> int:
        return hue(self.discipline)


class Organisation(InCountry, models.Model):
    class Kind(models.TextChoices):
        UNIVERSITY = "university", "University"
        INSTITUTE = "institute", "Research institute"
        SOCIETY = "society", "Learned society"
        COMPANY = "company", "Company"

    name = models.CharField(max_length=160, unique=True)
    slug = models.SlugField(max_length=160, db_index=False, editable=False)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.UNIVERSITY)
    city = models.CharField(max_length=60)
    country = models.CharField(max_length=2, choices=places.choices)
    founded = models.PositiveSmallIntegerField(null=True, blank=True)
    website = models.URLField(blank=True)
    summary = models.TextField(blank=True)
    events_count = models.PositiveIntegerField(default=0, editable=False)
    people_count = models.PositiveIntegerField(default=0, editable=False)
    updated = models.DateTimeField(auto_now=True, db_index=True)  # sitemap

    class Meta:
        ordering = ("name",)
        indexes = (
            models.Index(fields=["country", "name"], name="organisation_by_country"),
        )  # organisation list

    def __str__(self) -> str:
        return self.name

    def save(self, *args: object, **kwargs: object) -> None:
        self.slug = slugify(self.name)[:160] or "organisation"
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        return reverse("organisation", args=[self.pk, self.slug])

    @property
    def hue(self) -> int:
        return hue(self.name)

    @property
    def initials(self) -> str:
        return "".join(word[0] for word in self.name.split() if word[0].isupper())[:3]


class PersonQuerySet(models.QuerySet["Person"]):
    def for_lists(self) -> "PersonQuerySet":
        """All that a list shows of somebody: the name, and where they work."""
        return self.select_related("organisation").only("given", "family", "slug", "organisation__name")


class Person(models.Model):
    given = models.CharField("given names", max_length=60)
    family = models.CharField("family name", max_length=60)
    slug = models.SlugField(max_length=120, db_index=False, editable=False)
    family_key = models.CharField(max_length=130, editable=False)  # "family given", folded: lists and search
    given_key = models.CharField(max_length=130, editable=False)  # "given family", folded: search
    position = models.CharField(max_length=60, blank=True)
    organisation = models.ForeignKey(
        Organisation, models.SET_NULL, null=True, blank=True, related_name="people", db_index=False
    )
    topic = models.ForeignKey(
        Topic,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="people",
        verbose_name="field of work",
        db_index=False,
    )
    homepage = models.URLField(blank=True)
    bio = models.TextField(blank=True)
    events_count = models.PositiveIntegerField(default=0, editable=False)
    updated = models.DateTimeField(auto_now=True, db_index=True)  # sitemap

    objects = PersonQuerySet.as_manager()

    class Meta:
        ordering = ("family_key", "pk")
        verbose_name_plural = "people"
        indexes = (
            models.Index(fields=["family_key"], name="person_by_family"),  # A to Z, search
            models.Index(fields=["given_key"], name="person_by_given"),  # search
            models.Index(
                fields=["organisation", "-events_count"], name="person_by_organisation"
            ),  # organisation page
            models.Index(fields=["topic", "-events_count"], name="person_by_topic"),  # topic page
            models.Index(fields=["-events_count"], name="person_by_activity"),  # people list
        )

    def __str__(self) -> str:
        return f"{self.given} {self.family}".strip()

    def derive(self) -> None:
        """Set what follows from the name. `save` calls it; who saves in bulk calls it himself."""
        given, family = fold(self.given), fold(self.family)
        self.family_key = f"{family} {given}"
        self.given_key = f"{given} {family}"
        self.slug = slugify(self.given_key)[:120] or "person"

    def save(self, *args: object, **kwargs: object) -> None:
        self.derive()
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        return reverse("person", args=[self.pk, self.slug])

    def get_image_url(self) -> str:
        return reverse("person-image", args=[self.pk, self.slug])

    @property
    def initials(self) -> str:
        return f"{self.given[:1]}{self.family[:1]}".upper()

    @property
    def hue(self) -> int:
        return (self.pk or 0) * 137 % 360


class EventQuerySet(models.QuerySet["Event"]):
    def open(self, today: date) -> "EventQuerySet":
        """Those which still take submissions, the most urgent first."""
        return self.filter(deadline__gte=today).order_by("deadline", "pk")

    def upcoming(self, today: date) -> "EventQuerySet":
        return self.filter(starts__gte=today).order_by("starts", "pk")

    def past(self, today: date) -> "EventQuerySet":
        return self.filter(starts__lt=today).order_by("-starts", "-pk")

    def for_cards(self) -> "EventQuerySet":
        """All that a card of an event shows, and nothing of what only its own page does."""
        return self.for_lines("title", "kind", "ends", "deadline", "country")

    def for_lines(self, *more: str) -> "EventQuerySet":
        """What a line about an event shows: its name, city and year, and these fields."""
        return self.only("acronym", "slug", "starts", "city", *more)

    def with_topics(self) -> "EventQuerySet":
        return self.prefetch_related(models.Prefetch("topics", Topic.objects.for_chips()))


class Event(InCountry, models.Model):
    class Kind(models.TextChoices):
        CONFERENCE = "conference", "Conference"
        SYMPOSIUM = "symposium", "Symposium"
        WORKSHOP = "workshop", "Workshop"
        SCHOOL = "school", "Summer school"

    acronym = models.CharField(max_length=24, db_index=True)  # other editions of the same series
    title = models.CharField(max_length=200)
    slug = models.SlugField(max_length=80, db_index=False, editable=False)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.CONFERENCE)
    starts = models.DateField()
    ends = models.DateField()
    deadline = models.DateField("submission deadline", null=True, blank=True)
    notification = models.DateField("notification of authors", null=True, blank=True)
    city = models.CharField(max_length=60)
    country = models.CharField(max_length=2, choices=places.choices)
    venue = models.CharField(max_length=120, blank=True)
    website = models.URLField(blank=True)
    organisation = models.ForeignKey(
        Organisation, models.SET_NULL, null=True, blank=True, related_name="events", db_index=False
    )
    topics = models.ManyToManyField(Topic, related_name="events", blank=True)
    people = models.ManyToManyField(Person, through="Role", related_name="events")
    description = models.TextField(blank=True)
    keywords = models.CharField(
        max_length=360, editable=False
    )  # acronym, title, year and place, folded: search
    created = models.DateTimeField(default=timezone.now, editable=False)
    updated = models.DateTimeField(auto_now=True, db_index=True)  # sitemap

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering = ("-starts", "-pk")
        indexes = (
            models.Index(fields=["starts"], name="event_by_start"),  # event list
            models.Index(fields=["deadline"], name="event_by_deadline"),  # home, open calls
            models.Index(fields=["-created"], name="event_by_creation"),  # home, feeds
            models.Index(fields=["country", "starts"], name="event_by_country"),  # filter of the event list
            models.Index(
                fields=["organisation", "starts"], name="event_by_organisation"
            ),  # organisation page
            models.Index(
                fields=["keywords"], name="event_by_keywords"
            ),  # search reads this instead of the table
        )

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return f"{self.acronym} {self.starts.year}"

    def derive(self) -> None:
        """Set what follows from the other fields. `save` calls it; who saves in bulk calls it himself."""
        self.slug = slugify(fold(self.name))[:80] or "event"
        self.keywords = fold(f"{self.name} {self.title} {self.city} {self.country_name}")[:360]

    def save(self, *args: object, **kwargs: object) -> None:
        self.derive()
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        return reverse("event", args=[self.pk, self.slug])

    def get_image_url(self) -> str:
        return reverse("event-image", args=[self.pk, self.slug])

    def get_ical_url(self) -> str:
        return reverse("event-ical", args=[self.pk, self.slug])

    @property
    def days_left(self) -> int | None:
        """Days until the deadline; None when there is none, or when it has passed."""
        if self.deadline is None:
            return None
        days = (self.deadline - timezone.localdate()).days
        return days if days >= 0 else None


class Role(models.Model):
    class Kind(models.IntegerChoices):
        """In the order in which a page names them."""

        CHAIR = 1, "General chair"
        PROGRAM_CHAIR = 2, "Programme chair"
        KEYNOTE = 3, "Keynote speaker"
        ORGANISER = 4, "Organiser"
        COMMITTEE = 5, "Programme committee"

    event = models.ForeignKey(Event, models.CASCADE, related_name="roles", db_index=False)
    person = models.ForeignKey(Person, models.CASCADE, related_name="roles")
    kind = models.PositiveSmallIntegerField("role", choices=Kind.choices, default=Kind.COMMITTEE)

    class Meta:
        ordering = ("kind", "pk")
        constraints = (models.UniqueConstraint(fields=["event", "person", "kind"], name="role_once"),)

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.event}: {self.person}"


class Comment(models.Model):
    event = models.ForeignKey(Event, models.CASCADE, related_name="comments")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, editable=False)
    name = models.CharField("your name", max_length=60)
    text = models.TextField("comment", max_length=4000)
    created = models.DateTimeField(default=timezone.now, editable=False, db_index=True)

    class Meta:
        ordering = ("created", "pk")

    def __str__(self) -> str:
        return f"{self.name} on {self.event}"

    def get_absolute_url(self) -> str:
        return f"{self.event.get_absolute_url()}#comment-{self.pk}"

    @property
    def hue(self) -> int:
        return hue(self.name)


class Follow(models.Model):
    """An event in somebody's calendar, with a note that nobody else sees."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="follows", db_index=False)
    event = models.ForeignKey(Event, models.CASCADE, related_name="follows")
    note = models.TextField(max_length=2000, blank=True)
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("event__starts",)
        constraints = (models.UniqueConstraint(fields=["user", "event"], name="follow_once"),)

    def __str__(self) -> str:
        return f"{self.user} follows {self.event}"


def _upload_path(attachment: "Attachment", filename: str) -> str:
    return f"events/{attachment.event_id}/{filename}"


class Attachment(models.Model):
    event = models.ForeignKey(Event, models.CASCADE, related_name="attachments")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, editable=False)
    title = models.CharField(max_length=100)
    file = models.FileField(upload_to=_upload_path, max_length=200)
    size = models.PositiveIntegerField("size in bytes", editable=False)
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("created", "pk")

    def __str__(self) -> str:
        return self.title

    def save(self, *args: object, **kwargs: object) -> None:
        self.size = self.file.size
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        return self.file.url

    @property
    def is_image(self) -> bool:
        return self.file.name.lower().endswith((".png", ".jpg", ".jpeg", ".webp"))
