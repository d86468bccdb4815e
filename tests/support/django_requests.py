"""Requests to views through Django's own handlers, as an edge sends them, and what the responses tell it."""

import asyncio
import io
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings
from django.urls import path as url

from uncork.pages.record import Record, parse_record
from uncork.purging.table import ClockTable
from uncork.semantics.fields import Fields

UNCORK = "uncork.django.middleware.UncorkMiddleware"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
AUTH = "django.contrib.auth.middleware.AuthenticationMiddleware"
CSRF = "django.middleware.csrf.CsrfViewMiddleware"
MESSAGES = "django.contrib.messages.middleware.MessageMiddleware"

RECORD_FIELDS = frozenset({"uncork-record", "uncork-inputs", "uncork-slots", "uncork-unshared"})

View = Callable[..., Any] | Iterable[Any]


@dataclass(frozen=True)
class Answer:
    """`fields`: all but the record's, by their lower-case names; `record` is None when there is none."""

    status: int
    fields: Mapping[str, str]
    cookies: tuple[str, ...]
    body: bytes
    record: Record | None

    @property
    def inputs(self) -> set[str]:
        assert self.record is not None
        return {name.decode() for name in self.record.inputs}

    @property
    def unshared(self) -> str | None:
        assert self.record is not None
        return None if self.record.unshared is None else self.record.unshared.value


class Site:
    """A site of views that each test brings along, behind an edge with the purge clock in `state_dir`."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        table = ClockTable(state_dir, slots=1024)
        self.clock, self.slots = table.name, table.clock.slots
        self.table = table

    def ask(
        self,
        view: View,
        target: str = "/page/",
        fields: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        edge: bool = True,
        environ: Mapping[str, Any] | None = None,
        **serving: Any,
    ) -> Answer:
        """The answer to one request of a view, or of all the URL patterns given."""
        with self.serving(view, **serving) as send:
            return send(target, fields, method=method, edge=edge, environ=environ)

    @contextmanager
    def serving(
        self,
        view: View,
        *,
        middleware: Iterable[str] = (),
        asgi: bool = False,
        wrap: Callable[[Any], Any] = lambda application: application,
        **settings: Any,
    ) -> Iterator[Callable[..., Answer]]:
        """The site with these settings, until the block is left; what is handed out sends it a request."""
        patterns = (url("page/", view),) if callable(view) else tuple(view)
        settings["UNCORK"] = {"state_dir": str(self.state_dir)} | settings.get("UNCORK", {})
        with override_settings(MIDDLEWARE=[UNCORK, *middleware], ROOT_URLCONF=patterns, **settings):
            application = wrap((ASGIHandler if asgi else WSGIHandler)())

            def send(
                target: str = "/page/",
                fields: Mapping[str, str] | None = None,
                *,
                method: str = "GET",
                edge: bool = True,
                environ: Mapping[str, Any] | None = None,
            ) -> Answer:
                lines = [("Host", "example.org"), *(fields or {}).items()]
                if edge:
                    lines += [("Uncork-Edge", self.clock.decode()), ("X-Forwarded-For", "192.0.2.7")]
                path, _, query = target.partition("?")
                request = _Request(method, path, query, lines)
                if asgi:
                    return self._answer(*asyncio.run(request.through_asgi(application)))
                # What the middleware leaves behind in a server's thread is not for the tests that come after.
                ask = partial(request.through_wsgi, application, environ or {})
                ours = threading.current_thread() is threading.main_thread()
                return self._answer(*(copy_context().run(ask) if ours else ask()))

            yield send

    def _answer(self, status: int, lines: list[tuple[str, str]], body: bytes) -> Answer:
        record = parse_record(
            Fields([(name.lower().encode(), value.encode("latin-1")) for name, value in lines]),
            self.clock,
            self.slots,
        )
        fields = {name.lower(): value for name, value in lines if name.lower() not in RECORD_FIELDS}
        cookies = tuple(value for name, value in lines if name.lower() == "set-cookie")
        return Answer(status, fields, cookies, body, record)


Sent = tuple[int, list[tuple[str, str]], bytes]


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    query: str
    lines: list[tuple[str, str]]

    def through_wsgi(
        self, application: Any, more: Mapping[str, Any]
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(self.path).decode("latin-1"),
            "QUERY_STRING": self.query,
            "RAW_URI": self.path + ("?" + self.query if self.query else ""),
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": sys.stderr,
            "wsgi.url_scheme": "http",
            "wsgi.version": (1, 0),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        for name, value in self.lines:
            key = name.upper().replace("-", "_")
            environ[key if key == "CONTENT_TYPE" else "HTTP_" + key] = value
        environ |= more
        head: list[Any] = []
        response = application(environ, lambda status, lines: head.extend((status, lines)))
        try:
            body = b"".join(response)
        finally:
            response.close()
        return int(head[0].split()[0]), [(name, value.strip()) for name, value in head[1]], body

    async def through_asgi(self, application: Any) -> Sent:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": unquote_to_bytes(self.path).decode(),
            "raw_path": self.path.encode(),
            "query_string": self.query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in self.lines],
            "client": None,
            "server": ("localhost", 80),
        }
        sent: list[Any] = []
        asked = False

        async def receive() -> Any:
            nonlocal asked
            if asked:
                await asyncio.Event().wait()  # who asks stays
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await application(scope, receive, send)
        lines = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in sent[0]["headers"]]
        return sent[0]["status"], lines, b"".join(message.get("body", b"") for message in sent[1:])
