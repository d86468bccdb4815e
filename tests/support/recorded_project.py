"""The site of `support/recorded_site` behind the real Uncork, a process that writes beside it, its visitors.

`uncork serve` puts the recorder into it, as it does into any site. State and data are in one directory.
"""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from support.postgres import DATABASE, USER, Postgres
from support.raw_client import RawClient
from support.recorder_mutants import Mutant, mutated_program, mutated_settings
from support.sites import state_of
from support.uncork_process import REAL, Uncork, clean_environment

PROJECT = Path(__file__).parent / "recorded_site"
USERS = 3


class UnixClient(RawClient):
    """A client of the origin itself."""

    def __init__(self, path: str) -> None:
        super().__init__("unix:0")
        self.path = path

    def connect(self) -> socket.socket:
        if self.sock is None:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(self.timeout)
            self.sock.connect(self.path)
            self._seen = b""
            self.used = 0
        return self.sock


@dataclass(frozen=True)
class Site:
    """A site that runs."""

    uncork: Uncork
    directory: Path
    environment: dict[str, str]
    """Of its other processes."""

    @property
    def state(self) -> Path:
        return state_of(self.directory)

    def edge(self) -> RawClient:
        return RawClient(self.uncork.address)

    def origin(self) -> UnixClient:
        address: str = self.uncork.status(self.state)["origins"][0]["address"]
        return UnixClient(address.removeprefix("http+unix:"))


@contextmanager
def recorded_site(
    directory: Path,
    *,
    workers: int,
    postgres: Postgres | None = None,
    application: str = "recorded.wsgi:application",
    mutant: Mutant | None = None,
) -> Iterator[Site]:
    """Make its data anew and serve it, with the rule broken that the mutant breaks."""
    program, settings, beside = REAL, "recorded.settings", "recorded.settings_beside"
    if mutant is not None and mutant.edge:
        program = mutated_program(mutant.name)
    elif mutant is not None:
        mutated_settings(directory, mutant.name)
        settings = beside = "mutated_settings"
    paths = [PROJECT, directory, PROJECT.parent.parent, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "RECORDED_DIR": str(directory),
        "UNCORK_STATE_DIR": str(state_of(directory)),
    }
    if postgres is not None:
        environment["RECORDED_PG"] = f"{postgres.socket_dir}:{_new_database(postgres)}"
    site = {**environment, "DJANGO_SETTINGS_MODULE": beside}
    _manage("prepare", site)
    arguments = (
        *("serve", application, "--bind", "127.0.0.1:0", "--workers", str(workers)),
        *("--origin-workers", "2", "--origin-threads", "2"),
    )
    served = {**environment, "DJANGO_SETTINGS_MODULE": settings}
    with Uncork(*arguments, cwd=PROJECT, program=program, environment=served) as uncork:
        yield Site(uncork, directory, site)


def _manage(command: str, environment: dict[str, str]) -> None:
    done = subprocess.run(_command(command), **_in(environment), capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def _command(name: str) -> list[str]:
    return [sys.executable, str(PROJECT / "manage.py"), name]


def _in(environment: dict[str, str]) -> dict[str, Any]:
    """What a process of the project gets that Uncork didn't start."""
    return {"cwd": PROJECT, "env": {**clean_environment(), **environment}}


def _new_database(postgres: Postgres) -> str:
    import psycopg

    name = f"recorded_{os.urandom(4).hex()}"
    where = {"host": postgres.socket_dir, "user": USER, "dbname": DATABASE}
    with psycopg.connect(**where, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return name


class Writer:
    """A management command that writes: a process to which no request goes."""

    def __init__(self, site: Site) -> None:
        self.process = subprocess.Popen(
            _command("writer"),
            **_in(site.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._line() == "ready", self.errors()

    def ask(self, line: str) -> dict[str, Any] | None:
        """What it answers; None when it is no more."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        answer = self._line()
        found: dict[str, Any] | None = json.loads(answer) if answer else None
        return found

    def errors(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")


@dataclass(frozen=True)
class Visitor:
    """Who asks: `fields` go with each request, and nobody else may ever see the `secrets`."""

    name: str
    fields: dict[str, str] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()
    noise: bool = False
    """Comes with parameters and cookies that no page knows."""


def visitors(site: Site) -> list[Visitor]:
    """Everybody, those who log in logged in."""
    found = [
        *(Visitor("anybody"), Visitor("from a newsletter", noise=True)),
        Visitor("dark", {"cookie": "theme=dark"}),
        Visitor("dark with an accent", {"cookie": "accent=red; theme=dark"}, noise=True),
        Visitor("bright", {"cookie": "theme=bright; accent=red"}),
        Visitor("tester", {"cookie": "beta=1; lang=x"}, noise=True),
        Visitor("German", {"accept_language": "de-AT,de;q=0.9"}),
        Visitor("English", {"accept_language": "en"}, noise=True),
        Visitor("on a phone", {"user_agent": "Mobile/1.0"}, noise=True),
        Visitor("of another host", {"host": "other.example"}),
        Visitor("long gone", {"cookie": "sessionid=0123456789abcdefghijklmnopqrstuv; csrftoken=x"}),
        *(_told(site, f"secret-news-{number}") for number in range(2)),
        *(_formal(site, number) for number in range(2)),
    ]
    for number in range(USERS):
        found.append(_logged_in(site, number))
    return found


def _cookies(response: Any) -> dict[str, str]:
    pairs = [value.partition(";")[0] for name, value in response.lines if name == "set-cookie"]
    return dict(pair.split("=", 1) for pair in pairs)


def _told(site: Site, text: str) -> Visitor:
    with site.edge() as client:
        response = client.ask(f"/say?text={text}", "POST", b"")
    assert response.status == 200, response
    return Visitor(
        f"told {text}", {"cookie": f"messages={_cookies(response)['messages']}"}, frozenset({text})
    )


def _formal(site: Site, number: int) -> Visitor:
    with site.edge() as client:
        token = _cookies(client.ask("/login/"))["csrftoken"]
    return Visitor(f"with a form {number}", {"cookie": f"csrftoken={token}"}, frozenset({token}))


def _logged_in(site: Site, number: int) -> Visitor:
    """By the form, as people do."""
    name = f"user{number}"
    with site.edge() as client:
        page = client.ask("/login/")
        token = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', page.body)
        assert token, page
        form = {"csrfmiddlewaretoken": token[1].decode(), "username": name, "password": "secret"}
        response = client.ask(
            *("/login/", "POST", urlencode(form).encode()),
            cookie=f"csrftoken={_cookies(page)['csrftoken']}",
            content_type="application/x-www-form-urlencoded",
        )
    assert response.status == 302, response
    session = _cookies(response)["sessionid"]
    return Visitor(name, {"cookie": f"theme=dark; sessionid={session}"}, frozenset({name}), noise=True)
