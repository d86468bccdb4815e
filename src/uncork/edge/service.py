"""What all clients of a worker share, and the first fork of every request's way.

Lives here: the routes (static file, cached page, origin), the memo of ready answers, the tick of time.
Doesn't know: bytes on connections (`client`, `exchange`), what may be cached (`decide`).
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from enum import Enum
from typing import Any

from uncork.caching import freshness
from uncork.caching.status import cache_status, joined
from uncork.edge.accesslog import AccessLog
from uncork.edge.answers import Answer, FilePart, body_length
from uncork.edge.brieflog import BriefLog
from uncork.edge.client import Client
from uncork.edge.decide import FORWARD, HITS
from uncork.edge.errorpages import error_answer
from uncork.edge.exchange import ClientGone, Exchange
from uncork.edge.files import Watched, state_of
from uncork.edge.hot import NO_PROFILE, Hot, HotTable, Passed, Profile
from uncork.edge.pages import PageCache
from uncork.edge.passing import Absence, Mark, Marks
from uncork.edge.purgerequests import PurgeRequests
from uncork.edge.representation import fields_of_304
from uncork.edge.static import FileAnswer, StaticSite
from uncork.net.loop import Loop
from uncork.pages.clock import PurgeClock, Verdict
from uncork.pages.keys import in_target, union
from uncork.semantics.dates import format_date
from uncork.semantics.etags import parse_etag
from uncork.semantics.fields import Field, Fields
from uncork.stores.contract import StoredPage
from uncork.stores.lookup import Found
from uncork.wire.known import KnownHeads, Shape
from uncork.wire.limits import Limits
from uncork.wire.requests import Refused
from uncork.wire.writing import field_lines, status_line

# For how long a file or page is sent from memory before it is looked at again. Seconds.
LOOK_AGAIN = 0.25


# The input that profiles tell apart: see `uncork.pages.keys`.
ACCEPT_ENCODING = b"field:accept-encoding"


class Reason(Enum):
    """Why the edge itself gave an answer."""

    MALFORMED = "refused"
    OPTIONS = "options"
    METHOD = "method-not-allowed"
    NOT_FOUND = "not-found"
    INTERNAL_ERROR = "internal-error"


class Service:
    """One per worker. Without `pages` it is a file server and nothing else."""

    def __init__(
        self,
        loop: Loop,
        limits: Limits,
        static: StaticSite,
        hot_bytes: int,
        log: AccessLog | BriefLog | None,
        counter: memoryview | list[int],
        pages: PageCache | None = None,
        trusts: Callable[[bytes], bool] = lambda address: False,
    ) -> None:
        self.loop = loop
        self.limits = limits
        self.static = static
        self.log = log
        self.known = KnownHeads(limits)
        self.blocks = self.known.blocks
        self.shape: Shape | None = None  # of the last head whose shape its connection hadn't seen
        self.hot = HotTable(hot_bytes)
        self.counter = counter  # its first item: the purge clock's
        self.pages = pages
        self.trusts = trusts  # whether an address may say what it knows of its client
        self.purges: PurgeRequests | None = None  # None: nobody may purge by HTTP
        self.clients: set[Client] = set()
        self.draining = False
        self.answered: Counter[str] = Counter()  # by outcome; the fast path counts in the memos
        self.wall = time.time()
        self.date_line = b""
        self._next_second = 0.0  # monotonic: when `date_line` is to be made anew
        self.tick()

    # The fork

    def serve(self, exchange: Exchange) -> None:
        """Answer at once, or start a task that will."""
        try:
            self._route(exchange)
        except Exception as error:
            self.failed(exchange, error)

    def _route(self, exchange: Exchange) -> None:
        request = exchange.request
        if request.method not in (b"GET", b"HEAD") and self._answer_method(exchange):
            return
        mount = self.static.find(request.path)
        if mount is not None:
            answer = self.static.respond(mount, request, self.wall)
            if answer is not None:
                if isinstance(answer, FileAnswer):
                    self._remember_file(exchange, answer)
                exchange.answer(answer)
                return
        if self.pages is None:
            exchange.answer(error_answer(404, Reason.NOT_FOUND))
            return
        self.pages.serve(exchange)

    def _answer_method(self, exchange: Exchange) -> bool:
        """Answer if it is the method that says what to do."""
        request = exchange.request
        if request.path == b"*":
            exchange.answer(Answer(204, Reason.OPTIONS, Fields(((b"allow", b"GET, HEAD, OPTIONS"),))))
        elif request.method == b"PURGE" and self.purges is not None:
            exchange.answer(self.purges.answer(request))
        elif request.method in (b"TRACE", b"PURGE"):
            exchange.answer(error_answer(405, Reason.METHOD, (b"allow", b"GET, HEAD, OPTIONS")))
        else:
            return False
        return True

    def run(self, exchange: Exchange, work: Coroutine[Any, Any, None]) -> None:
        """Have a task see to an exchange, and end it whatever happens."""
        exchange.task = self.loop.create_task(self._guarded(exchange, work))

    async def _guarded(self, exchange: Exchange, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            self.failed(exchange, error)

    def failed(self, exchange: Exchange, error: Exception) -> None:
        """Whoever worked at an answer raised. A fault of ours costs one request, and is reported."""
        if isinstance(error, ClientGone):
            exchange.client.close()
            return
        self.loop.call_exception_handler({"message": "An exchange failed", "exception": error})
        if exchange.status:
            exchange.abort()
        elif not exchange.gone:
            exchange.keep_alive = False
            exchange.answer(error_answer(500, Reason.INTERNAL_ERROR))

    def refuse(self, client: Client, refused: Refused) -> None:
        """Write the answer to a request that can't or won't be read."""
        retry: tuple[Field, ...] = ((b"retry-after", b"5"),) if refused.status == 503 else ()
        answer = error_answer(refused.status, Reason.MALFORMED, *retry)
        body = answer.body
        assert isinstance(body, bytes)
        fields = (*answer.fields, (b"content-length", b"%d" % len(body)), (b"connection", b"close"))
        client.write(status_line(refused.status) + self.date_line + field_lines(fields) + b"\r\n" + body)
        self.answered[Reason.MALFORMED.value] += 1
        if self.log is not None:
            self.log.add(client.address, b"-", refused.status, len(body), (), (), refused.detail, 0.0)

    def ended(self, exchange: Exchange) -> None:
        """An answer was written: count and log it. What another worker asked for is its to count and log."""
        if exchange.client.internal:
            return
        self.answered[exchange.outcome] += 1
        if self.log is not None:
            head = exchange.head
            self.log.add(
                exchange.client.address,
                head.line,
                exchange.status,
                exchange.sent_bytes,
                head.block.items,
                head.volatile,
                exchange.outcome,
                self.loop.poller.now - exchange.began,
                exchange.reason,
            )

    # The memo

    def profile_line(self, exchange: Exchange) -> tuple[Profile, bytes]:
        """Where a memo for this request belongs; NO_PROFILE when the request isn't plain."""
        head = exchange.head
        request = exchange.request
        if (
            request.version != b"1.1"
            or exchange.client.internal
            or b"://" in head.line
            or not request.fields.get(b"host")  # whom it is for depends on the connection
        ):
            return NO_PROFILE, b""
        profile = self.hot.profile(head.block)
        if profile.told and not self.trusts(exchange.client.address):
            return NO_PROFILE, b""
        return profile, head.line

    def _remember_file(self, exchange: Exchange, answer: FileAnswer) -> None:
        profile, line = self.profile_line(exchange)
        if profile is NO_PROFILE or not answer.watched.steady:
            return
        watched = answer.watched
        hot = _ready(answer, profile.keep_alive)
        if hot is None:
            return

        def renew(hot: Hot) -> bool:
            hot.epoch = self.counter[0]
            if not watched.unchanged():
                return False
            self.assemble(hot, ())
            hot.until = min(self._next_second, self.loop.poller.now + LOOK_AGAIN)
            return True

        hot.renew = renew
        if renew(hot):
            self.hot.add(profile, line, hot)

    def remember_page(
        self,
        exchange: Exchange,
        answer: Answer,
        found: Found,
        stored: StoredPage,
        clock: Callable[[], PurgeClock],
    ) -> None:
        """Leave a memo of an answer from the store. `answer` lacks the fields that change with time."""
        profile, line = self.profile_line(exchange)
        page = stored.page
        # What selects among the pages of this URL, and is neither in the request line nor in the profile.
        names = tuple(
            [
                name
                for name in union(found.names, [name for name, _ in page.inputs])
                if not in_target(name) and not (name == ACCEPT_ENCODING and profile.codings)
            ]
        )
        if profile is NO_PROFILE:
            return
        hot = _ready(answer, profile.keep_alive)
        if hot is None:
            return
        assert self.pages is not None
        before = answer.fields.get(b"cache-status")
        path = self.pages.store.path_of(found.key).encode()
        watched = Watched(True, ((path, state_of(os.fstat(stored.fd))),))
        if names and found.key != found.primary:  # where it is told which inputs select
            try:
                told = self.pages.store.path_of(found.primary).encode()
                watched = Watched(True, (*watched.states, (told, state_of(os.stat(told)))))
            except OSError:
                return
        fresh_until = freshness.fresh_until(page.freshness)

        def renew(hot: Hot) -> bool:
            wall = time.time()
            hot.epoch = self.counter[0]  # before the verdict: a purge in between is seen by the next request
            if (
                wall >= fresh_until
                or wall < page.freshness.response_time - freshness.CLOCK_STEP
                or clock().verdict(page.stamp, page.slots) is not Verdict.VALID
                or not watched.unchanged()
            ):
                return False
            age = freshness.age_value(page.freshness, wall)
            status = joined(before, cache_status(True, ttl=freshness.remaining(page.freshness, wall)))
            self.assemble(hot, ((b"age", age), (b"cache-status", status)))
            now = self.loop.poller.now
            hot.until = min(self._next_second, now + LOOK_AGAIN, now + fresh_until - wall)
            return True

        hot.renew = renew
        if not renew(hot):
            return
        if names:
            self.hot.add_variant(profile, line, hot, names, exchange.head)
        else:
            self.hot.add(profile, line, hot)

    def remember_pass(self, exchange: Exchange, marks: Marks, mark: Mark, absence: Absence) -> None:
        """Leave a memo that a request like this one is passed."""
        request = exchange.request
        profile, line = self.profile_line(exchange)
        if profile is not NO_PROFILE and request.method == b"GET" and self.static.find(request.path) is None:
            target = self.known.target(line, request.fields.get(b"host"))._replace(scheme=request.scheme)
            self.hot.add_passed(profile, line, Passed(target, marks, mark, absence))

    def pass_known(self, exchange: Exchange, mark: Mark) -> None:
        """Pass a request that there is a memo of."""
        assert self.pages is not None
        try:
            self.pages.pass_known(exchange, mark)
        except Exception as error:
            self.failed(exchange, error)

    def assemble(self, hot: Hot, extra: tuple[Field, ...]) -> None:
        """Make a memo's bytes anew for this second. `extra` are the fields that change with time."""
        whole = hot.whole
        body = b"" if hot.part is not None else whole[len(whole) - hot.length :]
        changing = field_lines(extra) if hot.dated else self.date_line + field_lines(extra)
        hot.whole = b"".join((status_line(hot.status), changing, hot.text, body))
        hot.not_modified = b"".join((status_line(304), changing, hot.not_modified_text))

    def drain(self) -> None:
        """From here on every answer says that it is the last of its connection."""
        self.draining = True
        self.blocks = {}  # nothing is answered by the fast path, whose answers are made already

    # Time

    def tick(self) -> None:
        """Called when a second begins: a new Date, and what has lasted too long."""
        now = self.loop.poller.now
        wall = self.wall = time.time()
        self.date_line = b"Date: " + format_date(wall) + b"\r\n"
        self._next_second = time.monotonic() + 1.0 - wall % 1.0
        if self.log is not None:
            self.log.tick(wall)
        for client in list(self.clients):
            client.overdue(now)

    def snapshot(self) -> dict[str, Any]:
        """Counters since the start, and what is there now.

        `relayed` are the answers that another worker gave, which was home to the key.
        """
        ready = self.hot.hits()
        outcomes = Counter({why: count for why, count in ready.items() if count})
        outcomes.update(self.answered)
        return {
            "connections": len(self.clients),
            "requests": sum(outcomes.values()),
            "outcomes": dict(outcomes),
            "relayed": 0 if self.pages is None else self.pages.peers.relayed,
            "pages": {
                "hits": sum(outcomes[why.value] for why in HITS),
                "forwarded": sum(outcomes[why.value] for why in FORWARD),
            },
            "hot": {"answers": len(self.hot), "bytes": self.hot.bytes, "hits": sum(ready.values())},
            "log_lines_lost": 0 if self.log is None else self.log.lost,
        }


def _ready(answer: Answer, keep_alive: bool) -> Hot | None:
    """A memo of a whole answer, without what changes with time; None when such a one can't be kept."""
    body = answer.body
    if isinstance(body, list):
        return None
    fields = answer.fields
    etag = fields.get(b"etag")
    hot = Hot(answer.status, str(answer.reason.value), None if etag is None else parse_etag(etag))
    connection: tuple[Field, ...] = () if keep_alive else ((b"connection", b"close"),)
    hot.length = body_length(body)
    hot.dated = b"date" in fields
    fields = fields.without(b"cache-status")
    hot.text = field_lines((*fields, (b"content-length", b"%d" % hot.length), *connection)) + b"\r\n"
    hot.not_modified_text = field_lines((*fields_of_304(fields), *connection)) + b"\r\n"
    if isinstance(body, FilePart):
        hot.part = body
    else:
        hot.whole = body
    return hot
