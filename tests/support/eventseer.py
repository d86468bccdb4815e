"""The example site, running for tests, and a visitor without scripts.

Lives here: setting the site up with the small scale of data behind gunicorn, asking it, checking its HTML.
Doesn't know: what is tested.
"""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from uncork.pages.clock import Verdict
from uncork.pages.record import Record, parse_record
from uncork.purging.table import ClockTable
from uncork.semantics.fields import Fields

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
    table: ClockTable
    sessions: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass
class Answer:
    status: int
    fields: http.client.HTTPMessage
    body: bytes
    record: Record | None

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def location(self) -> str:
        return self.fields["Location"]


@dataclass
class Visitor:
    """A browser without scripts: keeps cookies, follows nothing by itself.

    It asks as the edge does, and so gets the record of each page.
    """

    site: Site
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, url: str, body: bytes | None = None, **fields: str) -> Answer:
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection = http.client.HTTPConnection("127.0.0.1", self.site.port, timeout=30)
        fields["Uncork-Edge"] = self.site.table.name.decode()
        if self.cookies:
            fields["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        try:
            connection.request(method, target, body, fields)
            response = connection.getresponse()
            answer = Answer(
                response.status, response.headers, response.read(), self._record(response.headers)
            )
        finally:
            connection.close()
        for line in answer.fields.get_all("Set-Cookie", []):
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
                if not morsel.value:
                    del self.cookies[name]
        return answer

    def _record(self, fields: http.client.HTTPMessage) -> Record | None:
        table = self.site.table
        return parse_record(as_fields(fields), table.name, table.clock.slots)

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


def as_fields(fields: http.client.HTTPMessage) -> Fields:
    return Fields([(name.lower().encode(), value.encode("latin-1")) for name, value in fields.items()])


def verdict(table: ClockTable, stamp: int, page: Answer) -> Verdict:
    """Whether a page that was made at that stamp is purged since."""
    assert page.record is not None and page.record.unshared is None
    return table.clock.verdict(stamp, page.record.slots)


def environment(data: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return kept | {
        "DJANGO_SETTINGS_MODULE": "eventseer.settings",
        "EVENTSEER_DATA": str(data),
        "UNCORK_STATE_DIR": str(data / ".uncork"),
        "PYTHONWARNINGS": "error",
    }


@contextmanager
def running(data: Path) -> Iterator[Site]:
    """The site with its data in this directory."""
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
            table = ClockTable(data / ".uncork")
            try:
                yield Site(listener.getsockname()[1], data, made.stdout, table)
            finally:
                table.close()
                server.send_signal(signal.SIGTERM)
                server.wait(30)


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
