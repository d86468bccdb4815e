"""The public pages. Each is the same for everybody: no session, user or CSRF token is looked at here."""

from datetime import timedelta
from typing import Any

from django.db.models import Count, Min, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from events.forms import CommentForm
from events.models import Discipline, Event, Organisation, Person, Role, Topic
from events.paging import number, page_of
from events.places import COUNTRIES
from events.searching import find_events, find_people, prefix

_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_SHOWN_OF_A_SHELF = 40

# A page loads the columns that it shows, and is made anew when one of these changes: not when a count does,
# that it has no use for, or the time of the latest edit.
SHOWN_OF_AN_EVENT = (
    *("acronym", "title", "slug", "kind", "starts", "ends", "deadline", "notification"),
    *("city", "country", "venue", "website", "description", "organisation__name", "organisation__slug"),
)
_SHOWN_OF_A_PERSON = (
    *("given", "family", "slug", "position", "homepage", "bio"),
    *("organisation__name", "organisation__slug", "topic__name", "topic__slug", "topic__discipline"),
)
_SHOWN_OF_A_MEMBER = ("person__given", "person__family", "person__slug", "person__organisation__name")


def get_or_404(rows: "QuerySet[Any]", pk: int) -> Any:
    """As Django's own, with a message for people."""
    found = rows.filter(pk=pk).order_by("pk").first()
    if found is None:
        raise Http404(f"There is no {rows.model._meta.verbose_name} {pk}.")
    return found


def home(request: HttpRequest) -> HttpResponse:
    today = timezone.localdate()
    soon = Q(events__deadline__range=(today, today + timedelta(days=60)))
    context = {
        "deadlines": Event.objects.for_cards().with_topics().open(today)[:10],
        "newest": Event.objects.for_cards().order_by("-created", "-pk")[:6],
        "hot_topics": Topic.objects.for_chips()
        .filter(soon)
        .annotate(calls=Count("pk"))
        .order_by("-calls", "name")[:18],
        "people": Person.objects.for_lists().order_by("-events_count", "pk")[:8],
        "numbers": (
            ("events", Event.objects.count(), "events"),
            ("people", Person.objects.count(), "people"),
            ("topics", Topic.objects.count(), "topics"),
            ("organisations", Organisation.objects.count(), "organisations"),
        ),
        "open_calls": Event.objects.filter(deadline__gte=today).count(),
    }
    return render(request, "events/home.html", context)


def event_list(request: HttpRequest) -> HttpResponse:
    today = timezone.localdate()
    when = request.GET.get("when", "")
    match when:
        case "open":
            events = Event.objects.open(today)
        case "upcoming":
            events = Event.objects.upcoming(today)
        case "past":
            events = Event.objects.past(today)
        case _:
            events = Event.objects.order_by("-starts", "-pk")
    topic = Topic.objects.only("name").filter(pk=number(request, "topic") or 0).first()
    year = number(request, "year")
    country = request.GET.get("country", "")
    if topic is not None:
        events = events.filter(topics=topic)
    if year is not None:
        events = events.filter(starts__year=year)
    if country in COUNTRIES:
        events = events.filter(country=country)
    page = page_of(request, events.for_cards().with_topics(), 25)
    largest = Topic.objects.only("name").order_by("-events_count")[:100]
    context = {
        "page": page,
        "when": when,
        "by_deadline": when == "open",
        "whens": (("", "All events"), ("open", "Open calls"), ("upcoming", "Upcoming"), ("past", "Past")),
        "topic": topic,
        "year": year,
        "country": country,
        "topics": sorted({*largest, *filter(None, [topic])}, key=str),
        "years": _years(),
        "countries": COUNTRIES,
    }
    return render(request, "events/event_list.html", context)


def _years() -> range:
    """The years in which there are events, the latest first."""
    starts = Event.objects.order_by("starts").values_list("starts", flat=True)
    first, last = starts.first(), starts.last()
    return range(last.year, first.year - 1, -1) if first and last else range(0)


def event(request: HttpRequest, pk: int, slug: str) -> HttpResponse:
    event = get_or_404(Event.objects.select_related("organisation").only(*SHOWN_OF_AN_EVENT), pk)
    if slug != event.slug:
        return redirect(event, permanent=True)
    topics = list(event.topics.for_chips())
    roles = list(
        event.roles.select_related("person__organisation").only("event", "kind", *_SHOWN_OF_A_MEMBER)
    )
    groups: dict[str, list[Role]] = {}
    for role in roles:
        groups.setdefault(role.get_kind_display(), []).append(role)
    editions = list(
        Event.objects.for_lines().filter(acronym=event.acronym).exclude(pk=event.pk).order_by("-starts")
    )
    related = _related(event, topics)
    context = {
        "event": event,
        "topics": topics,
        "groups": groups,
        "people_count": len({role.person_id for role in roles}),
        "editions": editions,
        "related": related,
        "comments": event.comments.defer("user"),
        "attachments": event.attachments.defer("user", "created"),
        "form": CommentForm(),
    }
    return render(request, "events/event.html", context)


def _related(event: Event, topics: list[Topic]) -> list[Event]:
    """The next events that share the most topics."""
    shared = (
        Event.topics.through.objects.filter(topic__in=topics, event__starts__gte=timezone.localdate())
        .exclude(event__acronym=event.acronym)
        .values("event_id")
        .annotate(shared=Count("pk"), starts=Min("event__starts"))
        .order_by("-shared", "starts", "event_id")[:6]
    )
    found = Event.objects.for_lines("title").in_bulk([row["event_id"] for row in shared])
    return [found[row["event_id"]] for row in shared]


def people(request: HttpRequest) -> HttpResponse:
    context = {"people": Person.objects.for_lists().order_by("-events_count", "pk")[:60]}
    return render(
        request, "events/people.html", context | {"count": Person.objects.count(), "alphabet": _ALPHABET}
    )


def people_by_letter(request: HttpRequest, start: str) -> HttpResponse:
    if start == "other":  # names that don't begin with a letter from A to Z
        chosen = Person.objects.filter(Q(family_key__lt="a") | Q(family_key__gte="{"))
    else:
        chosen = Person.objects.filter(prefix("family_key", start))
    page = page_of(request, chosen.for_lists().order_by("family_key", "pk"), 120)
    seconds = [start[0] + letter for letter in _ALPHABET] if start != "other" else []
    context = {"page": page, "start": start, "alphabet": _ALPHABET, "seconds": seconds}
    return render(request, "events/people_by_letter.html", context)


def person(request: HttpRequest, pk: int, slug: str) -> HttpResponse:
    person = get_or_404(Person.objects.select_related("organisation", "topic").only(*_SHOWN_OF_A_PERSON), pk)
    if slug != person.slug:
        return redirect(person, permanent=True)
    # The two hundred latest; nobody serves on more, except by mistake.
    events = list(person.events.for_lines("title", "ends").distinct().order_by("-starts", "-pk")[:200])
    kinds: dict[int, list[str]] = {}
    for role in person.roles.filter(event__in=events):
        kinds.setdefault(role.event_id, []).append(role.get_kind_display())
    for each in events:
        each.kinds_of_person = kinds[each.pk]
    together = (
        Role.objects.filter(event__in=events[:50])
        .exclude(person=person)
        .order_by()
        .values("person_id")
        .annotate(times=Count("event_id", distinct=True))
        .order_by("-times", "person_id")[:24]
    )
    found = Person.objects.for_lists().in_bulk([row["person_id"] for row in together])
    colleagues = [(found[row["person_id"]], row["times"]) for row in together]
    context = {"person": person, "events": events, "colleagues": colleagues, "today": timezone.localdate()}
    return render(request, "events/person.html", context)


def topic_list(request: HttpRequest) -> HttpResponse:
    """Every shelf with its largest topics; all topics of one shelf with `?shelf=`."""
    chosen = request.GET.get("shelf", "")
    counts = dict(Topic.objects.order_by().values_list("discipline").annotate(Count("pk")))
    shelves = []
    for shelf in Discipline:
        if shelf.value in counts and (chosen not in Discipline.values or chosen == shelf.value):
            topics = Topic.objects.filter(discipline=shelf).order_by("-events_count", "name")
            largest = topics.only("name", "slug", "discipline", "events_count")
            most = None if chosen == shelf.value else _SHOWN_OF_A_SHELF
            shelves.append((shelf, sorted(largest[:most], key=str), counts[shelf.value]))
    context = {"shelves": shelves, "all_shelves": Discipline, "count": sum(counts.values()), "chosen": chosen}
    return render(request, "events/topic_list.html", context)


def topic(request: HttpRequest, pk: int, slug: str) -> HttpResponse:
    topic = get_or_404(Topic.objects.only("name", "slug", "discipline", "summary"), pk)
    if slug != topic.slug:
        return redirect(topic, permanent=True)
    page = page_of(request, topic.events.for_cards().order_by("-starts", "-pk"), 20)
    context = {
        "topic": topic,
        "page": page,
        "people": Person.objects.for_lists().filter(topic=topic).order_by("-events_count", "pk")[:16],
        "neighbours": Topic.objects.for_chips()
        .filter(discipline=topic.discipline)
        .exclude(pk=pk)
        .order_by("-events_count")[:12],
        "open_calls": topic.events.filter(deadline__gte=timezone.localdate()).count(),
    }
    return render(request, "events/topic.html", context)


def organisation_list(request: HttpRequest) -> HttpResponse:
    country = request.GET.get("country", "")
    organisations = Organisation.objects.only(
        "name", "slug", "city", "country", "people_count", "events_count"
    )
    if country in COUNTRIES:
        organisations = organisations.filter(country=country)
    page = page_of(request, organisations.order_by("name"), 60)
    context = {"page": page, "country": country, "countries": COUNTRIES}
    return render(request, "events/organisation_list.html", context)


def organisation(request: HttpRequest, pk: int, slug: str) -> HttpResponse:
    organisation = get_or_404(Organisation.objects.defer("events_count", "updated"), pk)
    if slug != organisation.slug:
        return redirect(organisation, permanent=True)
    events = Event.objects.for_cards().filter(organisation=organisation)
    page = page_of(request, events.order_by("-starts", "-pk"), 20)
    members = organisation.people.only("given", "family", "slug", "position", "organisation")
    members = members.order_by("-events_count", "pk")[:24]
    return render(
        request, "events/organisation.html", {"organisation": organisation, "page": page, "people": members}
    )


def search(request: HttpRequest) -> HttpResponse:
    """Events and people side by side; `?page=` turns the pages of both."""
    query = request.GET.get("q", "").strip()[:100]
    size, wanted = 12, number(request, "page") or 1
    found = [(rows, rows.count()) for rows in (find_events(query), find_people(query))]
    pages = max(1, *(-(-count // size) for _, count in found))
    if wanted > pages:
        raise Http404(f"There are {pages} pages.")
    (events, events_count), (people, people_count) = found
    part = slice((wanted - 1) * size, wanted * size)
    context = {
        "query": query,
        "events": events[part],
        "events_count": events_count,
        "people": people[part],
        "people_count": people_count,
        "number": wanted,
        "pages": pages,
    }
    return render(request, "events/search.html", context)
