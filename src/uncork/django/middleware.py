"""The outermost middleware: the life of a request inside Django.

Lives here: a recording from the first read of a request to the head of its response, and what the response
then tells. Doesn't know: how reads are noticed, and what the edge makes of the record.

Only GET and HEAD are recorded: nothing else is shared. An error of ours is never one of the page: that goes
out unshared.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from uncork.django import caches, outbox, recordedrequest
from uncork.django.clock import clock_table
from uncork.django.names import APP
from uncork.django.options import options
from uncork.django.recording import Recording, enter, entered, leave, start
from uncork.django.requestreads import Reads, cookie_input, session_input, summary
from uncork.django.responsefields import forgotten, freshness_fields, merged_vary, what_is_said
from uncork.pages.keys import union
from uncork.pages.record import MOST_TAGS, Record, Unshared, format_record, record_of
from uncork.pages.tags import fold
from uncork.pages.told import Told, format_told
from uncork.purging.table import ClockTable

EDGE_KEY = "HTTP_UNCORK_EDGE"
"""Where META has the name of the purge clock of the edge that the request came through."""

EXPLAIN_KEY = "HTTP_UNCORK_EXPLAIN"
"""Where it has that name once more, when the request is of who explains a page."""

_RECORDED = frozenset({"GET", "HEAD"})

_log = logging.getLogger("uncork")
# What was warned of already.
_warned: set[tuple[str, ...]] = set()
_MOST_WARNINGS = 1000


class UncorkMiddleware:
    """First in MIDDLEWARE, so that it sees what all others read."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)
        # What is wrong is said when the site starts.
        options()
        if not apps.is_installed(APP):
            raise ImproperlyConfigured(
                f"UncorkMiddleware needs {APP!r} in INSTALLED_APPS, which sees reads of the database"
            )

    def __call__(self, request: Any) -> Any:
        if self.is_async:
            return self.answer(request)
        if recordedrequest.reads_of(request) is not None:  # named twice
            return self.get_response(request)
        render = Render(request)
        try:
            with enter(render.recording):
                response = self.get_response(request)
        finally:
            render.end()
        render.tell(response)
        return response

    async def answer(self, request: Any) -> Any:
        """The same, where the application is asynchronous."""
        if recordedrequest.reads_of(request) is not None:
            return await self.get_response(request)
        render = Render(request)
        try:
            with enter(render.recording):
                response = await self.get_response(request)
        finally:
            render.end()
        render.tell(response)
        return response


class Render:
    """One request on its way through."""

    __slots__ = ("_broken", "_explains", "_outer", "_reads", "_request", "_table", "recording")

    def __init__(self, request: Any) -> None:
        self._request = request
        self._outer = entered()
        self._table = _edge_of(request)
        if self._table is not None:
            outbox.look_after()
        self._explains = self._table is not None and _is_to_explain(request, self._table)
        self._broken = False
        self._reads: Reads | None = None
        self.recording: Recording | None = None
        if request.method not in _RECORDED:
            return
        self.recording = start(0 if self._table is None else self._table.clock.stamp())
        self._reads = Reads(self.recording)
        try:
            recordedrequest.record(request, self._reads)
        except Exception:
            self._failed()

    def end(self) -> None:
        """The page is made, or won't be: no read counts any more."""
        if self.recording is not None:
            self.recording.close()
            if self._outer is not None:
                self._outer.include(self.recording)
        if self._outer is None:
            leave()

    def tell(self, response: Any) -> None:
        """Add to the response what its render read."""
        if self.recording is None:
            return
        try:
            record = self._finish(response)
        except Exception:
            self._failed()
        if self._broken:
            record = True
            self.recording.unshared = {Unshared.NOT_RECORDED: ""}
        if record and self._table is not None:
            for name, value in format_record(self._record(self._table)):
                response.headers[name.decode()] = value.decode()
        if self._explains:
            for name, value in format_told(self._told()):
                response.headers[name.decode()] = value.decode()

    def _record(self, table: ClockTable) -> Record:
        recording = self.recording
        assert recording is not None
        inputs = union((), recording.inputs)
        return record_of(
            table.name, table.clock.slots, inputs, recording.all_tags(), next(iter(recording.unshared), None)
        )

    def _told(self) -> Told:
        recording, reads = self.recording, self._reads
        assert recording is not None and reads is not None
        tags, fallbacks = recording.all_tags(), recording.fallbacks.copy()
        if len(tags) > MOST_TAGS:
            fallbacks[f"more than {MOST_TAGS} tags"] += 1
        return Told(
            tuple(fold(tags, MOST_TAGS) or ()),
            {name: reads.places.get(name, "") for name in union((), recording.inputs)},
            {why.value: where for why, where in recording.unshared.items()},
            fallbacks,
        )

    def _failed(self) -> None:
        self._broken = True
        if ("broken",) not in _warned:
            _warned.add(("broken",))
            _log.exception("A page could not be recorded, and is not shared")

    def _finish(self, response: Any) -> bool:
        """Complete the fields for clients; whether a record is to go with them."""
        recording, reads, request = self.recording, self._reads, self._request
        assert recording is not None and reads is not None
        headers = response.headers
        said = what_is_said(headers, time.time())
        _count_what_was_used(request.__dict__, recording, reads)
        with_record = True
        if response.streaming:
            if said.careful or not (said.lifetime or said.directives.public):
                recording.refuse(Unshared.STREAMED)
            else:
                # What it says by the rules of HTTP holds, whatever is read on the way.
                with_record = bool(recording.unshared)
        if response.cookies and not recording.unshared:
            # Whoever gets none of these must not be taken for whoever does.
            for name in response.cookies:
                recording.read_cookie(name)
        vary = headers.get("Vary")
        djangos = vary is not None and _is_djangos_cookie(request.__dict__, response, recording)
        if vary is not None and not djangos and "cookie" in vary.lower():
            recording.read_cookies()
        cookies, fields = summary({*recording.inputs, *reads.places})
        merged = merged_vary(vary, cookies, fields, djangos)
        if merged != vary:
            if vary is not None:
                _warn_of_forgotten(request, reads, vary, [*fields, *(["cookie"] if cookies else [])])
            if merged is None:
                del headers["Vary"]
            else:
                headers["Vary"] = merged
        caches.end(recording)
        if not self._broken and with_record:
            made = freshness_fields(
                said,
                response.status_code,
                bool(recording.unshared or response.cookies),
                options().max_age,
                recording.allowed,
                recording.max_age,
            )
            if self._table is None:  # nobody takes it off who is not our edge
                made.pop("Uncork-Cache-Control", None)
            for name, value in made.items():
                headers[name] = value
        return with_record


def _edge_of(request: Any) -> ClockTable | None:
    """The purge clock that we have in common with the edge that a request came through; None when it came
    through none of ours.

    Only who can read the state directory knows the name of its clock: so who sent it may say whose request it
    is as well, where the socket doesn't.
    """
    meta = request.META
    mark = meta.pop(EDGE_KEY, None)
    if mark is None:
        return None
    table = clock_table()
    if table is None:
        return None
    if table.name != mark.encode("latin-1"):
        if ("clock",) not in _warned:
            _warned.add(("clock",))
            _log.warning(
                "The edge in front has another purge clock than this process, %s, and gets no records",
                table.path,
            )
        return None
    if not meta.get("REMOTE_ADDR") and (chain := meta.get("HTTP_X_FORWARDED_FOR")):
        meta["REMOTE_ADDR"] = chain.rpartition(",")[2].strip()
    return table


def _is_to_explain(request: Any, table: ClockTable) -> bool:
    asked: str | None = request.META.pop(EXPLAIN_KEY, None)
    return asked is not None and asked.encode("latin-1") == table.name


def _count_what_was_used(own: Mapping[str, Any], recording: Recording, reads: Reads) -> None:
    """What Django prepares for every request, where it was made use of. `own`: the request's attributes."""
    session = own.get("session")
    # The CSRF middleware asks the session on every request, if its secret is there.
    if reads.session or (
        session is not None and not settings.CSRF_USE_SESSIONS and getattr(session, "accessed", True)
    ):
        recording.read_input(session_input())
        if dict.__contains__(own.get("COOKIES", {}), settings.SESSION_COOKIE_NAME):
            recording.refuse(Unshared.SESSION, reads.places.get(session_input(), ""))
    if own.get("_csp_nonce"):
        recording.refuse(Unshared.NONCE)
    messages = own.get("_messages")
    if getattr(messages, "used", False) and getattr(messages, "_loaded_data", True):
        recording.refuse(Unshared.MESSAGES)


def _is_djangos_cookie(own: Mapping[str, Any], response: Any, recording: Recording) -> bool:
    """Whether a `Cookie` in Vary is there for what Django's middleware read: which cookies, is known."""
    return (
        getattr(own.get("session"), "accessed", False)
        or settings.SESSION_COOKIE_NAME in response.cookies
        or settings.CSRF_COOKIE_NAME in response.cookies
        # LocaleMiddleware's way to the page in a language.
        or (response.status_code == 302 and cookie_input(settings.LANGUAGE_COOKIE_NAME) in recording.inputs)
    )


def _of_middleware() -> set[str]:
    """What a middleware of Django's adds to Vary by itself."""
    found = {"cookie", "authorization"}
    for path in settings.MIDDLEWARE:
        found |= {
            "django.middleware.locale.LocaleMiddleware": {"accept-language"},
            "django.middleware.gzip.GZipMiddleware": {"accept-encoding"},
        }.get(path, set())
    return found


def _warn_of_forgotten(request: Any, reads: Reads, vary: str, names: Collection[str]) -> None:
    """Tell, once per view and field, what a view that makes its own Vary reads and forgot there."""
    if not {name.strip().lower() for name in vary.split(",")} - _of_middleware():
        return
    view = getattr(request.resolver_match, "_func_path", None) or request.path
    for name in forgotten(vary, names):
        if (view, name) not in _warned and len(_warned) < _MOST_WARNINGS:
            _warned.add((view, name))
            read = b"cookie:" if name == "cookie" else b"field:" + name.encode("latin-1")
            places = [place for found, place in reads.places.items() if found.startswith(read)]
            _log.warning(
                "%s sets Vary: %s, and reads the request field %s as well (%s): it was added",
                view,
                vary,
                name,
                places[0] if places else "somewhere",
            )
