"""How many of a mixed crowd's requests are hits, beside the best that any cache could do.

    python -m bench.crowd [--requests 5000] [--visitors 300] [--edits 20] [--seed 1]

Lives here: the crowd, which asks a real `uncork serve` in front of the example site, one request after the
other, and an editor beside it. Doesn't know: how anything is decided.

Everybody has a cookie of an analytics service and a language of their own, many come by a link with campaign
parameters, one in ten is logged in and looks at pages of their own as well. Which page is next goes by Zipf's
law. The ideal knows what comes: a request is a hit of the ideal when a page with the same content was sent
for this URL before, campaign parameters apart. So it holds every purge against us that was not needed, every
variant that nobody needed, and every page that was not shared and could have been.
"""

import argparse
import gzip
import http.client
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench.precision import SITE, Edits, urls

_PAGES = 400
_LANGUAGES = ("en-GB,en;q=0.8", "de-DE,de;q=0.9,en;q=0.6", "fr", "nl,en;q=0.7", "es-ES,es;q=0.9", "pl")
_BROWSERS = ("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", "Mozilla/5.0 (iPhone) Mobile", "feedbot/1.0")
_CAMPAIGNS = ("newsletter", "mastodon", "cfp-list", "partner")
# Of nobody but their visitor: no cache could share them.
_OWN = ("/calendar/", "/me/")
_ACCOUNTS = ("demo", "admin")

_campaign = re.compile(rb"(?:[?&]|&amp;)(?:utm_\w+|gclid)=[^&\"'<> ]*")


@dataclass
class Visitor:
    cookies: dict[str, str]
    fields: dict[str, str]
    logged_in: bool = False


@dataclass
class Counts:
    """Of some of the crowd."""

    requests: int = 0
    hits: int = 0
    ideal: int = 0
    lost: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Hits of the ideal alone, by what Uncork says of them."""


def set_up(directory: Path) -> list[str]:
    """The example site with the small data; the URLs of its pages."""
    _django(directory)
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("seed", scale="small", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    return urls(_PAGES, random.Random(1))


def edit(directory: Path, seed: int) -> None:
    """An editor: one edit for each line that comes."""
    _django(directory)
    from django.db import transaction

    dice = random.Random(seed)
    edits = Edits(dice)
    print("ready", flush=True)
    for _ in sys.stdin:
        with transaction.atomic():
            dice.choice(edits.all())()
        print("done", flush=True)


def _environment(directory: Path) -> dict[str, str]:
    return {
        "DJANGO_SETTINGS_MODULE": "eventseer.settings",
        "EVENTSEER_DATA": str(directory),
        "UNCORK_STATE_DIR": str(directory / ".uncork"),
    }


def _django(directory: Path) -> None:
    os.environ.pop("DATABASE_URL", None)
    os.environ |= _environment(directory)
    (directory / ".uncork").mkdir(mode=0o700, exist_ok=True)
    sys.path.insert(0, str(SITE))
    import django

    django.setup()


@contextmanager
def serving(directory: Path) -> Iterator[str]:
    """The address of Uncork in front of the site."""
    command = [sys.executable, "-m", "uncork", "serve", "--bind", "127.0.0.1:0", "--workers", "2"]
    kept = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    with subprocess.Popen(
        command, cwd=SITE, env=kept | _environment(directory), stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stderr is not None
        try:
            said = []
            for line in server.stderr:
                said.append(line)
                if found := re.search(r"uncork: ready: (?:http://)?([^ ,]+)", line):
                    # Whatever it says later must not fill the pipe.
                    threading.Thread(target=server.stderr.read, daemon=True).start()
                    yield found[1]
                    return
            raise RuntimeError("".join(said))
        finally:
            server.terminate()
            server.wait()


class Browser:
    """Asks for pages, over one connection."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=60)

    def ask(self, visitor: Visitor, url: str, form: dict[str, str] | None = None) -> tuple[int, str, bytes]:
        """Status, Cache-Status and content."""
        fields = dict(visitor.fields)
        if visitor.cookies:
            fields["Cookie"] = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
        body = None
        if form is not None:
            fields["Content-Type"], body = "application/x-www-form-urlencoded", urlencode(form)
        self._connection.request("GET" if form is None else "POST", url, body, fields)
        response = self._connection.getresponse()
        content = response.read()
        if response.getheader("Content-Encoding") == "gzip":
            content = gzip.decompress(content)
        for line in response.headers.get_all("Set-Cookie", []):
            name, _, value = line.partition(";")[0].partition("=")
            visitor.cookies[name] = value
        return response.status, response.getheader("Cache-Status", ""), content

    def log_in(self, visitor: Visitor, name: str) -> None:
        token = json.loads(self.ask(visitor, "/me/csrf/")[2])["token"]
        form = {"username": name, "password": name, "csrfmiddlewaretoken": token}
        status, _, _ = self.ask(visitor, "/login/", form)
        assert status == 302 and "sessionid" in visitor.cookies, status
        visitor.logged_in = True


def crowd(browser: Browser, number: int, dice: random.Random) -> list[Visitor]:
    """So many visitors, every tenth of them logged in."""
    found = []
    for at in range(number):
        fields = {"Accept-Language": dice.choice(_LANGUAGES), "User-Agent": dice.choice(_BROWSERS)}
        if dice.random() < 0.9:
            fields["Accept-Encoding"] = "gzip"
        cookies = {"_ga": f"GA1.2.{dice.randrange(10**9)}", "consent": dice.choice(("all", "none"))}
        visitor = Visitor(cookies, fields)
        if at % 10 == 0:
            browser.log_in(visitor, _ACCOUNTS[at % len(_ACCOUNTS)])
        found.append(visitor)
    return found


def run(
    address: str, pages: list[str], editor: subprocess.Popen[str], arguments: argparse.Namespace
) -> dict[str, Counts]:
    """The counts of who is logged in, and of everybody else."""
    dice = random.Random(arguments.seed)
    browser = Browser(address)
    visitors = crowd(browser, arguments.visitors, dice)
    dice.shuffle(pages)
    weights = [1 / rank for rank in range(1, len(pages) + 1)]
    seen: defaultdict[str, set[bytes]] = defaultdict(set)
    result = {"not logged in": Counts(), "logged in": Counts()}
    for number in range(1, arguments.requests + 1):
        if arguments.edits and number % (arguments.requests // arguments.edits) == 0:
            _edit(editor)
        visitor = dice.choice(visitors)
        (url,) = dice.choices(pages, weights)
        own = visitor.logged_in and dice.random() < 0.1
        if own:
            url = dice.choice(_OWN)
        status, said, content = browser.ask(visitor, url if own else _tagged(url, dice))
        assert status in (200, 404), (url, status)
        digest = blake2b(_campaign.sub(b"", content)).digest()
        hit = "; hit" in said
        ideal = not own and digest in seen[url]
        seen[url].add(digest)
        counts = result["logged in" if visitor.logged_in else "not logged in"]
        counts.requests += 1
        counts.hits += hit
        counts.ideal += ideal
        if ideal and not hit:
            counts.lost[f"{url.split('/')[1] or 'home'}: {said.rpartition('detail=')[2]}"] += 1
        assert ideal or not hit, (url, said)  # else it was sent what nobody was sent before
    return result


def _tagged(url: str, dice: random.Random) -> str:
    """With what a link in a mail or an advertisement adds."""
    kind = dice.random()
    if kind > 0.35:
        return url
    sign = "&" if "?" in url else "?"
    if kind > 0.15:
        return f"{url}{sign}utm_source={dice.choice(_CAMPAIGNS)}&utm_medium=mail"
    return f"{url}{sign}gclid={dice.randrange(16**12):x}"


def _edit(editor: "subprocess.Popen[str]") -> None:
    assert editor.stdin is not None and editor.stdout is not None
    editor.stdin.write("edit\n")
    editor.stdin.flush()
    assert editor.stdout.readline() == "done\n"


def table_of(result: dict[str, Counts]) -> str:
    """As Markdown."""
    lines = ["| visitors | requests | hits | ideal | points |", "| --- | ---: | ---: | ---: | ---: |"]
    every = Counts()
    for name, counts in result.items():
        lines.append(_row(name, counts))
        every.requests += counts.requests
        every.hits += counts.hits
        every.ideal += counts.ideal
    return "\n".join([*lines, _row("**all**", every)])


def _row(name: str, counts: Counts) -> str:
    hits, ideal = (100 * part / counts.requests for part in (counts.hits, counts.ideal))
    return f"| {name} | {counts.requests:,} | {hits:.1f} % | {ideal:.1f} % | {hits - ideal:+.1f} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--visitors", type=int, default=300)
    parser.add_argument("--edits", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lost", action="store_true", help="say which hits of the ideal were none")
    parser.add_argument("--set-up", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--editor", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.set_up is not None:
        print(json.dumps(set_up(arguments.set_up)))
        return 0
    if arguments.editor is not None:
        edit(arguments.editor, arguments.seed)
        return 0
    with tempfile.TemporaryDirectory() as name:
        ourselves = [sys.executable, "-m", "bench.crowd"]
        made = subprocess.run([*ourselves, "--set-up", name], check=True, stdout=subprocess.PIPE)
        pages: list[str] = json.loads(made.stdout.splitlines()[-1])
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with serving(Path(name)) as address:
            told = [*ourselves, "--editor", name, "--seed", str(arguments.seed)]
            with subprocess.Popen(told, **pipes) as editor:
                try:
                    assert editor.stdout is not None and editor.stdout.readline() == "ready\n"
                    result = run(address, pages, editor, arguments)
                finally:
                    editor.terminate()
    print(table_of(result))
    if arguments.lost:
        for kind, counts in result.items():
            print(kind, dict(sorted(counts.lost.items(), key=lambda item: -item[1])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
