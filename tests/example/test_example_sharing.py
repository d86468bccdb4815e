"""What the example site promises to shared caches: what may be kept, what carries which tag, what is purged.

Over a real socket from gunicorn; the edge has tests of its own in front of this site.
"""

import json
import re
import subprocess
import sys
import time
from collections import Counter, deque
from urllib.parse import urljoin, urlsplit

import pytest

from support.eventseer import PRIVATE, SITE, Page, Site, Visitor, environment, first_event, number
from support.uncork_process import REAL, Uncork
from uncork.caching.directives import NO_DIRECTIVES
from uncork.caching.freshness import Freshness
from uncork.caching.reuse import Reuse, judge, stale_if_error_allowed
from uncork.caching.storable import CacheOptions, plan_storing
from uncork.pages.clock import Verdict
from uncork.purging.table import ClockTable
from uncork.semantics.fields import Fields
from uncork.semantics.messages import Request, Response


def test_every_page_is_well_made_linked_and_shareable(site: Site, visitor: Visitor) -> None:
    """Walks the site from its first page, and more than once through each kind of page."""
    queue, seen, kinds = deque(["/"]), {"/"}, Counter[str]()
    while queue:
        url = queue.popleft()
        answer = visitor.get(url)
        assert answer.status == 200, url
        assert answer.fields["Cache-Control"] == "public, max-age=0", url  # browsers ask again
        lifetime, *stale = answer.fields["Uncork-Cache-Control"].split(", ")
        assert 0 < int(lifetime.removeprefix("max-age=")) <= 86_400
        assert stale == ["stale-while-revalidate=60", "stale-if-error=86400"]
        assert "Set-Cookie" not in answer.fields and "Cookie" not in (answer.fields["Vary"] or ""), url
        assert urlsplit(url).path == "/robots.txt" or answer.tags != [""], url
        if not answer.fields["Content-Type"].startswith("text/html"):
            continue
        page = Page(answer.text)
        assert page.wrong == [], url
        for link in page.links:
            parts = urlsplit(urljoin(url, link))
            if parts.netloc:
                assert parts.netloc.endswith(".example"), f"{link} in {url}"
                continue
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            if parts.path.startswith(("/static/", "/media/")):
                root = "staticfiles" if parts.path.startswith("/static/") else "media"
                assert (site.data / root / parts.path.split("/", 2)[2]).is_file(), f"{link} in {url}"
            elif target not in seen and not PRIVATE.search(parts.path):
                kind = re.sub(r"\d+[\w-]*|/[a-z]{1,2}/", "N", target)
                kinds[kind] += 1
                if kinds[kind] <= 4:
                    seen.add(target)
                    queue.append(target)
    assert len(seen) > 60


def test_a_page_stands_in_for_a_failing_site_and_while_it_is_renewed(visitor: Visitor, event: str) -> None:
    answer = visitor.get(event)
    fields = Fields([(name.lower().encode(), value.encode()) for name, value in answer.fields.items()])
    request = Request(b"GET", b"http", b"localhost", event.encode(), None, b"1.1", Fields())
    now = time.time()
    freshness = plan_storing(request, Response(200, fields), now, now, CacheOptions())
    assert isinstance(freshness, Freshness)
    midnight = now + freshness.lifetime
    assert judge(NO_DIRECTIVES, freshness, midnight - 5) is Reuse.FRESH
    assert judge(NO_DIRECTIVES, freshness, midnight + 5) is Reuse.STALE_WHILE_REVALIDATE
    assert judge(NO_DIRECTIVES, freshness, midnight + 90) is Reuse.REVALIDATE
    assert stale_if_error_allowed(freshness, midnight + 80_000)


def test_what_the_tour_says_of_killing_the_site(visitor: Visitor, event: str) -> None:
    data = visitor.site.data
    places = {"EVENTSEER_DATA": str(data), "UNCORK_STATE_DIR": str(data / ".uncork")}
    serve = ("serve", "--bind", "127.0.0.1:0")
    with Uncork(*serve, cwd=SITE, program=REAL, environment=places) as uncork:
        behind = Visitor(Site(int(uncork.address.rpartition(":")[2]), data, ""))
        assert "fwd=" in behind.get(event).fields["Cache-Status"]
        tour = [sys.executable, "manage.py", "tour"]
        said = subprocess.run(
            tour, cwd=SITE, env=environment(data), capture_output=True, text=True, timeout=30
        )
        command = re.search(r"^  Kill the site +(.*)", said.stdout, re.MULTILINE)
        assert command is not None
        subprocess.run(command[1], cwd=SITE, env=environment(data), shell=True, check=True, timeout=30)
        answer = behind.get(event)
        assert answer.status == 200 and answer.fields["Cache-Status"].startswith("Uncork; hit")
        uncork.wait_for(r"the origin \(process \d+\) was killed by SIGKILL; starting it again now")
        uncork.wait_for("the origin answers again")


@pytest.mark.parametrize("path", ["/me/", "/me/csrf/", "/login/", "/sign-up/"])
def test_pages_for_one_visitor_are_never_stored(visitor: Visitor, path: str) -> None:
    answer = visitor.get(path)
    assert answer.status == 200
    assert "no-store" in answer.fields["Cache-Control"] and "private" in answer.fields["Cache-Control"]


@pytest.mark.parametrize("page", ["calendar/", "calendar.ics", "{event}follow/", "{event}attach/"])
def test_the_area_of_accounts_asks_who_it_is(visitor: Visitor, event: str, page: str) -> None:
    answer = visitor.get("/" + page.format(event=event[1:]))
    assert answer.status == 302 and answer.location.startswith("/login/?next=")
    assert "no-store" in answer.fields["Cache-Control"]


def test_tags_name_what_a_page_shows(visitor: Visitor, event: str) -> None:
    facts = json.loads(visitor.get(f"/api/events/{number(event)}.json").body)
    person, topic = (number(facts[kind][0]["url"]) for kind in ("people", "topics"))
    host = number(facts["organisation"]["url"])
    shown = {f"event-{number(event)}", f"person-{person}", f"topic-{topic}", f"organisation-{host}"}
    assert shown <= set(visitor.get(event).tags)
    assert shown - {f"topic-{topic}"} <= set(visitor.get(urlsplit(facts["people"][0]["url"]).path).tags) | {
        f"organisation-{host}"
    }
    assert "events" in visitor.get("/").tags and "people" in visitor.get("/people/").tags


def test_what_is_saved_is_purged_at_commit(visitor: Visitor, event: str) -> None:
    table = ClockTable(visitor.site.data / ".uncork")
    try:

        def verdict(tag: str) -> Verdict:
            return table.clock.verdict(stamp, (table.slot(tag.encode()),))

        stamp = table.clock.stamp()
        visitor.post(f"{event}comment/", name="Ada", text="Hello")
        assert verdict(f"event-{number(event)}") is Verdict.PURGED
        assert verdict("events") is verdict("event-999999") is Verdict.VALID

        visitor.log_in("admin")
        stamp = table.clock.stamp()
        refused = visitor.post("/admin/events/person/7/change/", given="", family="")
        assert refused.status == 200 and verdict("person-7") is Verdict.VALID
        saved = visitor.post("/admin/events/person/7/change/", given="Émile", family="Zoll")
        assert saved.status == 302
        assert verdict("person-7") is verdict("people") is Verdict.PURGED
        assert verdict("person-8") is verdict("events") is Verdict.VALID
        assert visitor.get("/people/7-x/").location == "/people/7-emile-zoll/"
    finally:
        table.close()


# What an editor does, to an event and to those around it; each line is a transaction.
EDITS = """
Attachment.objects.create(event=event, title="t", file=ContentFile(b"t", "t.txt"))
Comment.objects.create(event=event, name="Ada", text="Hello")
event.title = "A title of its own"; event.save()
event.starts = event.ends = date(2031, 1, 1); event.save()
person.family = "Zyx"; person.save()
Person(given="Ada", family="Zz").save()
person.organisation = other; person.save()
person.topic = Topic.objects.exclude(pk=person.topic_id).first(); person.save()
other.name = "Other Name"; other.save()
event.organisation.name = "New Name"; event.organisation.save()
topic.name = "New topic"; topic.save()
topic.discipline = "maths" if topic.discipline != "maths" else "ai"; topic.save()
event.topics.remove(topic)
event.topics.set([topic, Topic.objects.last()])
event.topics.clear()
event.organisation = other; event.save()
Role.objects.create(event=event, person=Person.objects.last(), kind=1)
Role.objects.filter(event=event).first().delete()
event.acronym = "ZYX"; event.save()
Event(acronym=event.acronym, title="x", starts=date(2031, 2, 1), ends=date(2031, 2, 1)).save()
Person.objects.get(pk=person.pk).delete()
Organisation.objects.get(pk=other.pk).delete()
Event.objects.get(pk=event.pk).delete()
""".strip().splitlines()

EDITOR = """
import sys, django; django.setup()
from datetime import date
from django.core.files.base import ContentFile
from django.db import transaction
from events.models import *
event = Event.objects.get(pk=int(sys.argv[1]))
person, topic = event.roles.last().person, event.topics.first()
busy = [event.organisation_id, person.organisation_id]
other = Organisation.objects.exclude(pk__in=busy).first()
print("ready", flush=True)
for line in sys.stdin:
    with transaction.atomic():
        exec(line)
    print("done", flush=True)
"""


def test_every_page_that_an_edit_alters_is_purged(visitor: Visitor) -> None:
    """Whatever page has other bytes after an edit carried a tag that the edit purged."""
    event = first_event(visitor, "upcoming")
    around = Page(visitor.get(event).text).links
    pages = ["/", "/events/", "/events/?when=open", "/people/", "/people/z/", "/topics/", "/organisations/"]
    pages += ["/search/?q=conference", "/search/?q=ma", "/feeds/events.rss"]
    pages += ["/sitemap-events.xml", event, f"/api/events/{number(event)}.json", f"{event}event.ics"]
    for kind in ("events", "people", "topics", "organisations"):
        pages += [url for url in around if re.fullmatch(rf"/{kind}/\d[\w-]*/", url)][-3:]
    kept = {url: visitor.get(url) for url in pages}
    altered = Counter[str]()
    table = ClockTable(visitor.site.data / ".uncork")
    command = [sys.executable, "-c", EDITOR, str(number(event))]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=SITE, env=environment(visitor.site.data), **pipes) as editor:
        assert editor.stdout.readline() == "ready\n"
        for edit in EDITS:
            stamp = table.clock.stamp()
            editor.stdin.write(f"{edit}\n")
            editor.stdin.flush()
            assert editor.stdout.readline() == "done\n", edit
            for url, page in kept.items():
                now = visitor.get(url)
                if (now.status, now.location, now.body) != (page.status, page.location, page.body):
                    altered[edit] += 1
                    slots = tuple(table.slot(tag.encode()) for tag in page.tags)
                    assert table.clock.verdict(stamp, slots) is Verdict.PURGED, f"{edit!r} altered {url}"
                    kept[url] = now
        editor.stdin.close()
        assert editor.wait(30) == 0
    table.close()
    assert [edit for edit in EDITS if not altered[edit]] == []
