"""The example site by itself: every page over a real socket from gunicorn, with the small scale of data.

Lives here: what the site promises to shared caches and to readers. Doesn't know: the edge, which has tests of
its own in front of this site.
"""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode, urljoin, urlsplit
from xml.etree import ElementTree

import pytest

from uncork.pages.clock import Verdict
from uncork.purging.table import ClockTable

SITE = Path(__file__).parents[2] / "examples" / "eventseer"
EVENTS, PEOPLE = 200, 1_000

SET_UP = """
import os, django
from django.core.management import call_command
django.setup()
call_command("migrate", verbosity=0)
call_command("seed", scale="small")
call_command("seed", scale="small")
call_command("collectstatic", verbosity=0, interactive=False)
call_command("makemigrations", check=True, dry_run=True, verbosity=0)
call_command("check", fail_level="WARNING")
call_command("tour", bind="0.0.0.0:8000")
"""


@dataclass
class Site:
    """The running site. `said` is what setting it up wrote, `sessions` the cookies of who has logged in."""

    port: int
    data: Path
    said: str
    sessions: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass
class Answer:
    status: int
    fields: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def location(self) -> str:
        return self.fields["Location"]

    @property
    def tags(self) -> list[str]:
        return (self.fields["Cache-Tag"] or "").split(", ")


@dataclass
class Visitor:
    """A browser without scripts: keeps cookies, follows nothing by itself."""

    site: Site
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, url: str, body: bytes | None = None, **fields: str) -> Answer:
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection = http.client.HTTPConnection("127.0.0.1", self.site.port, timeout=30)
        if self.cookies:
            fields["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        try:
            connection.request(method, target, body, fields)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        finally:
            connection.close()
        for line in answer.fields.get_all("Set-Cookie", []):
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
                if not morsel.value:
                    del self.cookies[name]
        return answer

    def get(self, url: str) -> Answer:
        return self.ask("GET", url)

    def token(self) -> str:
        return json.loads(self.get("/me/csrf/").body)["token"]

    def post(self, url: str, **values: str) -> Answer:
        values["csrfmiddlewaretoken"] = self.token()
        return self.ask(
            "POST", url, urlencode(values).encode(), **{"Content-Type": "application/x-www-form-urlencoded"}
        )

    def upload(self, url: str, title: str, filename: str, content: bytes) -> Answer:
        values = {"title": title, "csrfmiddlewaretoken": self.token()}
        parts = [
            f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in values.items()
        ]
        head = f'--edge\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\n'
        body = b"".join([*parts, head.encode(), content, b"\r\n--edge--\r\n"])
        return self.ask("POST", url, body, **{"Content-Type": "multipart/form-data; boundary=edge"})

    def log_in(self, name: str) -> "Visitor":
        """As one of the accounts that `seed` makes. Checking a password takes long, so each does it once."""
        if name not in self.site.sessions:
            answer = self.post("/login/", username=name, password=name)
            assert (answer.status, answer.location) == (302, "/calendar/")
            self.site.sessions[name] = dict(self.cookies)
        self.cookies = dict(self.site.sessions[name])
        return self


def environment(data: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return kept | {
        "DJANGO_SETTINGS_MODULE": "eventseer.settings",
        "EVENTSEER_DATA": str(data),
        "UNCORK_STATE_DIR": str(data / ".uncork"),
        "PYTHONWARNINGS": "error",
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    data = tmp_path_factory.mktemp("eventseer")
    (data / ".uncork").mkdir()
    made = subprocess.run(
        [sys.executable, "-c", SET_UP],
        cwd=SITE,
        env=environment(data),
        text=True,
        capture_output=True,
        timeout=120,
    )
    assert made.returncode == 0, made.stderr
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}", "--threads", "2"]
        command += ["--no-control-socket", "--log-level", "warning", "eventseer.wsgi"]
        with subprocess.Popen(
            command, cwd=SITE, env=environment(data), pass_fds=[listener.fileno()]
        ) as server:
            try:
                yield Site(listener.getsockname()[1], data, made.stdout)
            finally:
                server.send_signal(signal.SIGTERM)
                server.wait(30)


@pytest.fixture
def visitor(site: Site) -> Visitor:
    return Visitor(site)


@pytest.fixture(scope="module")
def event(site: Site) -> str:
    """The page of an event that still takes submissions."""
    return first_event(Visitor(site), "open")


def first_event(visitor: Visitor, when: str) -> str:
    found = re.search(r'href="(/events/\d+-[\w-]+/)"', visitor.get(f"/events/?when={when}").text)
    assert found is not None
    return found[1]


def number(url: str) -> int:
    found = re.search(r"/(\d+)-", url)
    assert found is not None
    return int(found[1])


class Page(HTMLParser):
    """Its links, and what is wrong with its HTML."""

    void = frozenset({"meta", "link", "img", "input", "br", "hr"})
    svg = frozenset({"rect", "path", "circle"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.links: list[str] = []
        self.ids: Counter[str] = Counter()
        self.count: Counter[str] = Counter()
        self.feed(text)
        self.close()
        self.wrong += [f"<{name}> is not closed" for name in self.open]
        self.wrong += [f"id {name} is there twice" for name, times in self.ids.items() if times > 1]
        if self.count["h1"] != 1:
            self.wrong.append(f"{self.count['h1']} h1")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.count[tag] += 1
        if tag not in self.void:
            self.open.append(tag)
        if tag == "img" and "alt" not in values:
            self.wrong.append("img without alt")
        if (name := values.get("id")) is not None:
            self.ids[name] += 1
        for attribute in ("href", "src", "action"):
            if link := values.get(attribute):
                self.links.append(link)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.svg | self.void:
            self.wrong.append(f"<{tag}/>")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}>")


PRIVATE = re.compile(r"/(me|calendar|login|logout|sign-up|admin)(/|$|\.)|/(comment|attach|follow)/$")


def test_every_page_is_well_made_linked_and_shareable(site: Site, visitor: Visitor) -> None:
    """Walks the site from its first page, and more than once through each kind of page."""
    queue, seen, kinds = deque(["/"]), {"/"}, Counter[str]()
    while queue:
        url = queue.popleft()
        answer = visitor.get(url)
        assert answer.status == 200, url
        assert answer.fields["Cache-Control"].startswith("public, max-age=0, s-maxage="), url
        assert 0 < int(answer.fields["Cache-Control"].rpartition("=")[2]) <= 86_400
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


def test_an_address_with_another_name_leads_to_the_right_one(visitor: Visitor, event: str) -> None:
    answer = visitor.get(f"/events/{number(event)}-whatever/")
    assert (answer.status, answer.location) == (301, event)


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/events/999999-x/",
        "/people/999999-x/",
        "/events/?page=9999",
        "/events/?page=x",
        "/search/?q=conference&page=9999",
        "/api/events/999999.json",
        "/sitemap-nothing.xml",
        "/sitemap-people.xml?p=99",
    ],
)
def test_what_is_not_there_is_404_and_belongs_to_the_site(visitor: Visitor, path: str) -> None:
    answer = visitor.get(path)
    assert answer.status == 404
    assert "Nothing foreseen here" in answer.text and Page(answer.text).wrong == []
    assert "Set-Cookie" not in answer.fields


def test_events_are_filtered_by_topic_year_and_country(visitor: Visitor, event: str) -> None:
    facts = json.loads(visitor.get(f"/api/events/{number(event)}.json").body)
    topic = number(facts["topics"][0]["url"])
    query = f"topic={topic}&year={facts['starts'][:4]}&country={facts['place']['country']}"
    assert f'href="{event}"' in visitor.get(f"/events/?{query}").text
    assert f'href="{event}"' not in visitor.get(f"/events/?{query}&when=past").text
    assert f'href="{event}"' not in visitor.get(f"/events/?topic={topic}&year=1999").text
    # What is not a filter is passed over.
    assert visitor.get("/events/?topic=x&year=%C2%B2&country=ZZ").status == 200


def test_search_finds_events_and_people_on_pages(visitor: Visitor, event: str) -> None:
    facts = json.loads(visitor.get(f"/api/events/{number(event)}.json").body)
    assert f'href="{event}"' in visitor.get("/search/?" + urlencode({"q": facts["name"]})).text
    person = facts["people"][0]
    found = visitor.get("/search/?" + urlencode({"q": person["name"].upper()})).text
    assert f'href="{urlsplit(person["url"]).path}"' in found
    first, second = (
        visitor.get("/search/?q=conference").text,
        visitor.get("/search/?q=conference&page=2").text,
    )
    on_first, on_second = (set(re.findall(r'href="(/events/\d+-[\w-]+/)"', text)) for text in (first, second))
    assert len(on_first) == len(on_second) == 12 and not on_first & on_second
    assert "page=2" in first and "page=1" in second
    for harmless in ("", "%", "a", "%00", "' OR 1=1", "x" * 400):
        assert visitor.get("/search/?" + urlencode({"q": harmless})).status == 200


def test_a_comment_appears_at_once_and_is_escaped(visitor: Visitor, event: str) -> None:
    assert visitor.ask("POST", f"{event}comment/", b"name=A&text=B").status == 403  # no token
    answer = visitor.post(f"{event}comment/", name="Ada", text="Is <b>this</b> on?")
    assert answer.status == 302 and answer.location.startswith(f"{event}#comment-")
    page = visitor.get(event)
    assert "Is &lt;b&gt;this&lt;/b&gt; on?" in page.text and "<b>Ada</b>" in page.text
    # Who holds a token's cookie still gets the page that everybody gets.
    assert visitor.cookies and page.body == Visitor(visitor.site).get(event).body
    assert "This field is required" in visitor.post(f"{event}comment/", name="", text="x").text


def test_logging_in_shows_by_a_cookie_that_scripts_can_read(visitor: Visitor, event: str) -> None:
    assert json.loads(visitor.get("/me/").body) == {"name": None}
    visitor.post("/login/", username="demo", password="demo")
    assert visitor.cookies["signed_in"] == "1"
    assert json.loads(visitor.get("/me/").body) == {"name": "Demo", "staff": False}
    assert visitor.get(event).body == Visitor(visitor.site).get(event).body
    assert visitor.post("/logout/").status == 302
    assert not {"signed_in", "sessionid"} & set(visitor.cookies)


def test_a_new_visitor_keeps_a_calendar(visitor: Visitor, event: str) -> None:
    fields = {
        "first_name": "Grace",
        "username": "grace",
        "password1": "h0pper-bug",
        "password2": "h0pper-bug",
    }
    assert visitor.post("/sign-up/", **fields).location == "/calendar/"
    assert visitor.post(f"{event}follow/", note="Bring the moth").location == "/calendar/"
    calendar = visitor.get("/calendar/").text
    assert "Bring the moth" in calendar and f'href="{event}"' in calendar and Page(calendar).wrong == []
    assert visitor.get("/calendar.ics").body.count(b"BEGIN:VEVENT") == 2
    assert "Save the note" in visitor.get(f"{event}follow/").text
    visitor.post(f"{event}follow/", remove="1")
    assert f'href="{event}"' not in visitor.get("/calendar/").text
    # Another one's calendar is another one's.
    assert "Bring the moth" not in Visitor(visitor.site).log_in("demo").get("/calendar/").text


PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


def test_uploads_are_kept_and_what_they_are_is_checked(visitor: Visitor, event: str) -> None:
    visitor.log_in("demo")
    assert visitor.upload(f"{event}attach/", "Poster", "poster.png", PNG).location == f"{event}#attachments"
    page = visitor.get(event).text
    found = re.search(r'href="/media/(events/[\w./-]+\.png)"', page)
    assert found is not None and (visitor.site.data / "media" / found[1]).read_bytes() == PNG
    for name, content in (
        ("poster.png", b"<html>"),
        ("x.html", b"<html>"),
        ("x.svg", b"<svg/>"),
        ("x", b"x"),
    ):
        refused = visitor.upload(f"{event}attach/", "Bad", name, content)
        assert refused.status == 200 and "errorlist" in refused.text, name
    kept = visitor.upload(f"{event}attach/", "Path", "../../../up.txt", b"up")
    assert kept.status == 302 and not (visitor.site.data / "up.txt").exists()


@pytest.mark.parametrize("form", ["rss", "atom"])
def test_feeds_tell_the_newest(visitor: Visitor, event: str, form: str) -> None:
    facts = json.loads(visitor.get(f"/api/events/{number(event)}.json").body)
    topic = urlsplit(facts["topics"][0]["url"]).path
    for url, mark in ((f"/feeds/events.{form}", "events"), (f"{topic}feed.{form}", f"topic-{number(topic)}")):
        answer = visitor.get(url)
        assert answer.fields["Content-Type"].startswith(f"application/{form}+xml")
        entries = ElementTree.fromstring(answer.body).iter(
            "item" if form == "rss" else "{http://www.w3.org/2005/Atom}entry"
        )
        assert len(list(entries)) > 0
        assert mark in answer.tags


def test_the_sitemap_holds_every_page(visitor: Visitor) -> None:
    name = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
    robots = visitor.get("/robots.txt")
    index = re.search(r"Sitemap: (\S+)", robots.text)
    assert index is not None and robots.fields["Content-Type"].startswith("text/plain")
    parts = [loc.text or "" for loc in ElementTree.fromstring(visitor.get(index[1]).body).iter(f"{name}loc")]
    pages = [
        urlsplit(loc.text or "").path
        for part in parts
        for loc in ElementTree.fromstring(visitor.get(part).body).iter(f"{name}loc")
    ]
    kinds = Counter(path.split("/")[1] for path in pages)
    assert kinds["events"] == EVENTS + 1 and kinds["people"] == PEOPLE + 1  # and the lists
    assert len(set(pages)) == len(pages)


def test_an_event_as_a_calendar_file_and_as_json(visitor: Visitor, event: str) -> None:
    answer = visitor.get(f"{event}event.ics")
    assert answer.fields["Content-Type"] == "text/calendar; charset=utf-8"
    lines = answer.body.split(b"\r\n")
    assert lines[0] == b"BEGIN:VCALENDAR" and lines[-2:] == [b"END:VCALENDAR", b""]
    assert all(len(line) <= 75 and b"\n" not in line for line in lines)  # RFC 5545 §3.1
    facts = json.loads(visitor.get(f"/api/events/{number(event)}.json").body)
    assert b"DTSTART;VALUE=DATE:" + facts["starts"].replace("-", "").encode() in lines
    assert urlsplit(facts["url"]).path == event
    assert visitor.get(urlsplit(facts["people"][0]["url"]).path).status == 200


def test_pictures_are_drawn_for_what_has_none(visitor: Visitor, event: str) -> None:
    person = urlsplit(
        json.loads(visitor.get(f"/api/events/{number(event)}.json").body)["people"][0]["url"]
    ).path
    for url in (f"{event}banner.svg", f"{person}portrait.svg"):
        picture = visitor.get(url)
        assert picture.fields["Content-Type"] == "image/svg+xml"
        assert ElementTree.fromstring(picture.body).tag == "{http://www.w3.org/2000/svg}svg"
        assert picture.body == visitor.get(url).body


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


@pytest.mark.parametrize(
    "model", ["event", "person", "topic", "organisation", "comment", "follow", "attachment"]
)
def test_editors_can_look_at_everything(visitor: Visitor, model: str) -> None:
    visitor.log_in("admin")
    assert visitor.get(f"/admin/events/{model}/").status == 200
    assert visitor.get(f"/admin/events/{model}/?q=a").status == 200
    assert visitor.get(f"/admin/events/{model}/add/").status == 200


def test_counts_follow_what_editors_do(visitor: Visitor) -> None:
    """A topic taken from an event has one event less, and the event one topic less."""
    event = first_event(visitor.log_in("admin"), "past")
    url = f"/admin/events/event/{number(event)}/change/"
    form = dict(_values(visitor.get(url).text))
    topics = form.pop("topics", "").split(",")
    counted = _count(visitor, topics[0])
    answer = visitor.post(url, **form)
    assert answer.status == 302, re.findall(r"errorlist.*", answer.text)
    assert _count(visitor, topics[0]) == counted - 1
    assert f"topic-{topics[0]}" not in visitor.get(event).tags


def _count(visitor: Visitor, topic: str) -> int:
    found = re.search(
        rf'href="/topics/{topic}-[\w-]+/">[^<]+</a> <small>(\d+)<', visitor.get("/topics/").text
    )
    assert found is not None
    return int(found[1])


def _values(page: str) -> Iterator[tuple[str, str]]:
    """What a browser would send of the admin's form."""
    form = page[page.index('id="event_form"') :]
    for element in re.findall(r"<input [^>]*>", form):
        values = dict(re.findall(r'(\w+)="([^"]*)"', element))
        if values.get("type") not in ("submit", "checkbox", "file") and "name" in values:
            yield values["name"], values.get("value", "")
    for name, text in re.findall(r'<textarea name="([\w-]+)"[^>]*>\s*(.*?)</textarea>', form, re.S):
        yield name, text
    for name, options in re.findall(r'<select name="([\w-]+)".*?>(.*?)</select>', form, re.S):
        chosen = re.findall(r'<option value="([^"]*)" selected', options)
        yield name, ",".join(chosen)


def test_seeding_says_what_it_does_and_twice_does_nothing(site: Site) -> None:
    assert "200 events and 1,000 people" in site.said
    assert "The data is there already: 200 events." in site.said
    assert "http://localhost:8000/events/" in site.said and "uncork purge" in site.said


SAME_WORLD = """
import django; django.setup()
from datetime import date
from events.seeding.world import SCALES, World
def world(seed):
    made = World(SCALES["small"], seed, date(2026, 11, 24))
    kinds = (made.topics, made.organisations, made.people, made.events, made.roles, made.comments)
    return [[row.__dict__ | {"_state": None} for row in kind()] for kind in kinds]
assert world(1) == world(1)
assert world(1) != world(2)
"""


def test_a_seed_always_gives_the_same_world() -> None:
    nowhere = environment(Path(os.devnull))
    subprocess.run([sys.executable, "-c", SAME_WORLD], cwd=SITE, env=nowhere, check=True, timeout=60)
