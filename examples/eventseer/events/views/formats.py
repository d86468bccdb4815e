"""The same things for programs: calendar files, JSON, pictures, robots.txt. Public, as the pages are."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse

from events import artwork, ical
from events.models import Event, Person, hue
from events.views.browsing import SHOWN_OF_AN_EVENT, get_or_404

_SHOWN_IN_CALENDARS = (
    "acronym", "title", "slug", "starts", "ends", "deadline", "city", "country", "updated",
)  # fmt: skip


def event_ical(request: HttpRequest, pk: int, slug: str) -> HttpResponse:
    event = get_or_404(Event.objects.only(*_SHOWN_IN_CALENDARS), pk)
    content = ical.calendar([event], request.get_host(), f"{request.scheme}://{request.get_host()}")
    response = HttpResponse(content, content_type="text/calendar; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{event.slug}.ics"'
    return response


def event_json(request: HttpRequest, pk: int) -> HttpResponse:
    event = get_or_404(Event.objects.select_related("organisation").only(*SHOWN_OF_AN_EVENT), pk)
    topics = list(event.topics.only("name", "slug"))
    roles = event.roles.select_related("person")
    roles = list(roles.only("event", "kind", "person__given", "person__family", "person__slug"))
    link = request.build_absolute_uri
    host = event.organisation
    return JsonResponse(
        {
            "id": event.pk,
            "name": event.name,
            "title": event.title,
            "kind": event.kind,
            "url": link(event.get_absolute_url()),
            "website": event.website,
            "starts": event.starts,
            "ends": event.ends,
            "deadline": event.deadline,
            "notification": event.notification,
            "place": {"venue": event.venue, "city": event.city, "country": event.country},
            "organisation": host and {"name": host.name, "url": link(host.get_absolute_url())},
            "topics": [{"name": topic.name, "url": link(topic.get_absolute_url())} for topic in topics],
            "people": [
                {
                    "name": str(role.person),
                    "role": role.get_kind_display(),
                    "url": link(role.person.get_absolute_url()),
                }
                for role in roles
            ],
            "description": event.description,
        }
    )


def _image(svg: str) -> HttpResponse:
    return HttpResponse(svg, content_type="image/svg+xml")


def event_image(request: HttpRequest, pk: int, slug: str) -> HttpResponse:
    event = get_or_404(Event.objects.only("pk"), pk)
    topic = event.topics.only("discipline").order_by("pk").first()
    return _image(artwork.banner(event.pk, topic.hue if topic else hue(str(pk))))


def person_image(request: HttpRequest, pk: int, slug: str) -> HttpResponse:
    person = get_or_404(Person.objects.only("pk", "given", "family"), pk)
    return _image(artwork.portrait(person.pk, person.hue, person.initials))


def robots(request: HttpRequest) -> HttpResponse:
    lines = [
        "User-agent: *",
        "Disallow: /admin/",
        "Disallow: /calendar/",
        "Disallow: /search/",
        f"Sitemap: {request.build_absolute_uri(reverse('sitemap-index'))}",
    ]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain")
