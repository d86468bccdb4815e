"""What the example site promises to readers and editors, over a real socket from gunicorn."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

import pytest

from support.eventseer import EVENTS, PEOPLE, SITE, Page, Site, Visitor, environment, first_event, number


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
    for url in (f"/feeds/events.{form}", f"{topic}feed.{form}"):
        answer = visitor.get(url)
        assert answer.fields["Content-Type"].startswith(f"application/{form}+xml")
        entries = ElementTree.fromstring(answer.body).iter(
            "item" if form == "rss" else "{http://www.w3.org/2005/Atom}entry"
        )
        assert len(list(entries)) > 0


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
    assert f'href="/topics/{topics[0]}-' not in visitor.get(event).text


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
