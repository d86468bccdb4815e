"""What the recorder finds in the example site: what may be kept, what each page read, what is purged.

Over a real socket from gunicorn; the edge has tests of its own in front of this site.
"""

import re
import subprocess
import sys
import time
from collections import Counter, deque
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from support.eventseer import (
    PRIVATE,
    SITE,
    Page,
    Site,
    Visitor,
    as_fields,
    environment,
    first_event,
    number,
    verdict,
)
from support.uncork_process import REAL, Uncork
from uncork.caching.directives import NO_DIRECTIVES
from uncork.caching.freshness import Freshness
from uncork.caching.reuse import Reuse, judge, stale_if_error_allowed
from uncork.caching.storable import CacheOptions, plan_storing
from uncork.pages.clock import Verdict
from uncork.semantics.fields import Fields
from uncork.semantics.messages import Request, Response


def test_every_page_is_well_made_linked_and_shareable(site: Site, visitor: Visitor) -> None:
    """Walks the site from its first page, and more than once through each kind of page."""
    queue, seen, kinds = deque(["/"]), {"/"}, Counter[str]()
    while queue:
        url = queue.popleft()
        answer = visitor.get(url)
        assert answer.status == 200, url
        assert answer.fields["Cache-Control"] == "no-cache", url  # browsers ask again
        assert answer.fields["Uncork-Cache-Control"] == "max-age=3600", url
        assert answer.record is not None and answer.record.unshared is None, url
        assert not [name for name in answer.record.inputs if name.startswith(b"cookie")], url
        assert "Set-Cookie" not in answer.fields and "Cookie" not in (answer.fields["Vary"] or ""), url
        assert answer.record.slots or urlsplit(url)[2:4] in {("/robots.txt", ""), ("/search/", "")}, url
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


def test_a_page_is_good_for_an_hour_and_for_a_day_longer_when_the_site_fails(
    visitor: Visitor, event: str
) -> None:
    answer = visitor.get(event)
    request = Request(b"GET", b"http", b"localhost", event.encode(), None, b"1.1", Fields())
    now = time.time()
    freshness = plan_storing(request, Response(200, as_fields(answer.fields)), now, now, CacheOptions())
    assert isinstance(freshness, Freshness)
    assert judge(NO_DIRECTIVES, freshness, now + 3_595) is Reuse.FRESH
    assert judge(NO_DIRECTIVES, freshness, now + 3_605) is Reuse.REVALIDATE
    assert stale_if_error_allowed(freshness, now + 3_600 + 80_000)


def test_what_the_tour_says_of_killing_the_site(visitor: Visitor, event: str) -> None:
    data = visitor.site.data
    places = {"EVENTSEER_DATA": str(data), "UNCORK_STATE_DIR": str(data / ".uncork")}
    serve = ("serve", "--bind", "127.0.0.1:0")
    with Uncork(*serve, cwd=SITE, program=REAL, environment=places) as uncork:
        behind = Visitor(Site(int(uncork.address.rpartition(":")[2]), data, "", visitor.site.table))
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


def test_what_nobody_reads_selects_no_page(visitor: Visitor, event: str) -> None:
    plain = visitor.get(event)
    visitor.log_in("demo").cookies["_ga"] = "GA1.1.1"
    assert visitor.get(f"{event}?utm_source=elsewhere").record == plain.record
    assert visitor.get("/topics/?shelf=ai").record.inputs == (b"query:shelf",)
    assert not [name for name in plain.record.inputs if name.startswith((b"query", b"cookie"))]


def test_what_is_saved_is_purged_at_commit(visitor: Visitor, event: str) -> None:
    table = visitor.site.table
    other = first_event(visitor, "past")
    pages = {url: visitor.get(url) for url in (event, other, "/events/", "/")}
    stamp = table.clock.stamp()
    visitor.post(f"{event}comment/", name="Ada", text="Hello")
    assert [url for url, page in pages.items() if verdict(table, stamp, page) is not Verdict.VALID] == [event]

    visitor.log_in("admin")
    person = visitor.get("/people/7-x/").location
    people = [url for url in Page(visitor.get("/people/").text).links if re.match(r"/people/(?!7-)\d", url)]
    stranger = next(url for url in people if person not in visitor.get(url).text)
    pages = {url: visitor.get(url) for url in (person, stranger, "/people/z/", "/events/", "/topics/")}
    stamp = table.clock.stamp()
    refused = visitor.post("/admin/events/person/7/change/", given="", family="")
    assert refused.status == 200
    assert all(verdict(table, stamp, page) is Verdict.VALID for page in pages.values())
    saved = visitor.post("/admin/events/person/7/change/", given="Émile", family="Zoll")
    assert saved.status == 302
    purged = [url for url, page in pages.items() if verdict(table, stamp, page) is Verdict.PURGED]
    assert purged == [person, "/people/z/"]
    assert visitor.get("/people/7-x/").location == "/people/7-emile-zoll/"


def test_the_site_runs_without_uncork_in_front(site: Site, event: str, tmp_path: Path) -> None:
    """Nothing is recorded, and it is said once: reading and writing go on."""
    script = f"""
import django; django.setup()
from django.db import transaction
from django.test import Client
from events.models import Person
for _ in range(2):
    answer = Client(headers={{"host": "localhost"}}).get({event!r})
    assert answer.status_code == 200 and "Uncork-Record" not in answer.headers
    with transaction.atomic():
        Person.objects.first().save()
        transaction.set_rollback(True)
    Person.objects.filter(pk=0).update(bio="")
"""
    nowhere = environment(site.data) | {"UNCORK_STATE_DIR": str(tmp_path / "none")}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=SITE, env=nowhere, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("No purge clock") == 1 and len(done.stderr.splitlines()) == 1


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
    """Whatever page has other bytes after an edit was purged by it."""
    event = first_event(visitor, "upcoming")
    around = Page(visitor.get(event).text).links
    pages = ["/", "/events/", "/events/?when=open", "/people/", "/people/z/", "/topics/", "/organisations/"]
    pages += ["/search/?q=conference", "/search/?q=ma", "/feeds/events.rss"]
    pages += ["/sitemap-events.xml", event, f"/api/events/{number(event)}.json", f"{event}event.ics"]
    for kind in ("events", "people", "topics", "organisations"):
        pages += [url for url in around if re.fullmatch(rf"/{kind}/\d[\w-]*/", url)][-3:]
    kept = {url: visitor.get(url) for url in pages}
    altered = Counter[str]()
    table = visitor.site.table
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
                    assert verdict(table, stamp, page) is Verdict.PURGED, f"{edit!r} altered {url}"
                    kept[url] = now
        editor.stdin.close()
        assert editor.wait(30) == 0
    assert [edit for edit in EDITS if not altered[edit]] == []
