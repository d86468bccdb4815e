"""Pages from the store, or from the origin into the store.

Lives here: acting on what `decide` says. One fetch per key for all who ask, renewal in the background,
what to do when the origin fails. Doesn't know: connections, and what is right by RFC 9111.
"""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from uncork.caching.directives import NO_DIRECTIVES, Directives, parse_directives
from uncork.caching.freshness import Freshness, age_value, remaining
from uncork.caching.invalidation import invalidated_groups, invalidated_urls
from uncork.caching.reuse import ERROR_STATUSES, Reuse, judge, stale_if_error_allowed
from uncork.caching.status import cache_status
from uncork.caching.storable import CacheOptions, NotStorable, plan_storing, storable_fields
from uncork.caching.validation import fetching_fields, freshen, is_about, validating_fields
from uncork.caching.vary import vary_names
from uncork.edge.answers import Answer, FilePart, OpenFile
from uncork.edge.compressing import Compressor, is_worth_compressing
from uncork.edge.decide import (
    FORWARD,
    Fetch,
    Pass,
    Refuse,
    Revalidate,
    Serve,
    Why,
    decide,
    decide_alone,
)
from uncork.edge.errorpages import error_answer
from uncork.edge.exchange import Exchange
from uncork.edge.forwarding import Forwarder, client_fields, with_status
from uncork.edge.internal import names_a_file
from uncork.edge.peers import Peers
from uncork.edge.representation import Representation, answer
from uncork.net.loop import Loop
from uncork.pages.clock import Verdict
from uncork.pages.keys import WHOLE_QUERY, matches, variant_key
from uncork.pages.page import Page
from uncork.pages.pagefile import CorruptPage, TooLarge
from uncork.pages.tags import group_tag, response_tags, tag_slots, url_tags
from uncork.purging.table import ClockTable
from uncork.semantics.dates import format_date, parse_date
from uncork.semantics.etags import parse_etag, with_coding
from uncork.semantics.fields import Field, Fields
from uncork.semantics.messages import Request, Response
from uncork.semantics.negotiation import preferred_coding
from uncork.stores.contract import StoredPage, StoreFull
from uncork.stores.disk import DiskStore, DiskWriter
from uncork.stores.lookup import Found, find, place
from uncork.upstream.collapse import Flight, Flights, NotShared, Unfinished
from uncork.upstream.exchange import Exchange as Upstream
from uncork.upstream.failures import OriginError
from uncork.upstream.pool import Pool

# A page up to this size is sent from memory, a larger one by sendfile. Bytes.
SMALL = 64 * 1024
# For how long a URL whose response could not be shared is passed without waiting for others. Seconds.
_PASS_SECONDS = 60.0
_MOST_PASSES = 10_000
# How often a request may find that what it waited for is not for it.
_MOST_TRIES = 3


@dataclass(frozen=True, slots=True)
class Asked:
    """When the origin was asked: by the purge clock, in seconds since the epoch, and in monotonic seconds."""

    stamp: int
    wall: float
    monotonic: float


@dataclass(slots=True)
class Flown:
    """The head of a shared fetch: what all who wait for it are told first."""

    page: Page
    asked: Asked
    why: Why  # VALIDATED when the stored page was still right
    length: int | None
    storing: bool
    stored: StoredPage | None = None  # once it is complete in the store


class OriginSaid(Exception):
    """The origin answered a renewal with an error, and what is stored may stand in for it."""


@dataclass(frozen=True, slots=True)
class PageOptions:
    """Sizes in bytes."""

    caching: CacheOptions
    max_page_bytes: int
    compress: bool
    keep_tags: bool


class PageCache:
    """The pages of a site, for one worker. `remember` is called with each answer that may be memoised."""

    def __init__(
        self,
        loop: Loop,
        options: PageOptions,
        store: DiskStore,
        table: ClockTable,
        forwarder: Forwarder,
        peers: Peers,
        report: Callable[[str], None],
    ) -> None:
        self.loop = loop
        self.options = options
        self.store = store
        self.table = table
        self.forwarder = forwarder
        self.peers = peers
        self.report = report
        self.remember: Callable[[Exchange, Answer, Found, StoredPage], None] | None = None
        self.flights: Flights[Flown] = Flights()
        self.compressor = Compressor(loop, store, report) if options.compress else None
        self._unshared: dict[Flight[Flown], Upstream] = {}  # for the leader's client to take
        self._passes: dict[bytes, float] = {}  # key → monotonic seconds until which it is passed
        # Scheme, authority and path of what is passed, while the store has nothing of it → the primary key,
        # and until when the store isn't asked.
        self._absent: dict[tuple[bytes, bytes, bytes], tuple[bytes, float]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # The way of a request

    def serve(self, exchange: Exchange) -> None:
        """Answer from the store at once, or see that the origin is asked."""
        request = exchange.request
        directives = parse_directives(request.fields.get(b"cache-control"))
        alone = decide_alone(request, directives)
        if alone is not None:
            self._pass(exchange, alone.why)
            return
        found = self._find(request)
        stored = found.stored
        page = None if stored is None else stored.page
        verdict = Verdict.VALID if page is None else self.table.clock.verdict(page.stamp, page.slots)
        decision = decide(request, directives, page, bool(found.names), verdict, time.time())
        match decision:
            case Serve(why, renew):
                assert stored is not None
                if not self._answer(exchange, found, stored, why):
                    self._pass(exchange, Why.MISS)
                elif renew:
                    self._renew(exchange, request, found)
                return
            case Refuse(status, why):
                _close(stored)
                exchange.answer(error_answer(status, why))
                return
            case Pass(why):
                _close(stored)
                self._pass(exchange, why)
                return
        assert isinstance(decision, Fetch | Revalidate)
        if verdict is Verdict.PURGED:
            _close(stored)
            found = replace(found, stored=None)
        if self._passes and self._passes.get(_shared(found, request), 0.0) > self.loop.poller.now:
            _close(found.stored)
            self._pass(exchange, Why.PASS_KNOWN)
            return
        peer = None if exchange.client.internal else self.peers.home(found.primary)
        if peer is not None:
            _close(found.stored)
            exchange.run(self._ask_home(exchange, peer, decision.why))
        else:
            exchange.run(self._fetch(exchange, directives, found, decision))

    async def _ask_home(self, exchange: Exchange, peer: Pool, why: Why) -> None:
        """Have the worker answer that is home to the key; without it, nobody shares what comes."""
        if not await self.peers.relay(exchange, peer):
            self._pass(exchange, why)

    def _find(self, request: Request) -> Found:
        """What is stored for a request. For a URL that is passed, it was nothing."""
        absent = self._absent.get((request.scheme, request.authority, request.path))
        if absent is not None and absent[1] > self.loop.poller.now:
            return Found(absent[0], (), (), absent[0], None)
        return find(self.store, request)

    def _pass(self, exchange: Exchange, why: Why) -> None:
        invalidate = self._invalidate if why is Why.PASS_METHOD else None
        self.forwarder.forward(exchange, why, invalidate)

    def _invalidate(self, exchange: Exchange, upstream: Upstream) -> None:
        """What an unsafe request has made old. Source: RFC 9111 §4.4, RFC 9875 §3"""
        request = exchange.request
        response = Response(upstream.status, upstream.fields)
        tags: list[bytes] = []
        for url in invalidated_urls(request, response):
            tags.append(url_tags(url.authority, url.path, url.query)[0])
        origin = request.scheme + b"://" + request.authority
        tags += [group_tag(origin, group) for group in invalidated_groups(request, response)]
        if tags:
            self.table.purge(tags)

    async def _fetch(
        self, exchange: Exchange, directives: Directives, found: Found, decision: Fetch | Revalidate
    ) -> None:
        """Take part in the one fetch of a key."""
        try:
            for _ in range(_MOST_TRIES):
                again = await self._fly(exchange, directives, found, decision)
                if again is None:
                    return
                _close(found.stored)
                found = again
                if self._answered(exchange, directives, found):
                    return
        finally:
            _close(found.stored)
        self._pass(exchange, decision.why)

    def _answered(self, exchange: Exchange, directives: Directives, found: Found) -> bool:
        """Answer with what is stored by now, if it may be; a purged page is let go."""
        stored = found.stored
        if stored is None:
            return False
        page = stored.page
        verdict = self.table.clock.verdict(page.stamp, page.slots)
        decision = decide(exchange.request, directives, page, True, verdict, time.time())
        if isinstance(decision, Serve) or verdict is Verdict.PURGED:
            found.stored = None
        if isinstance(decision, Serve):
            return self._answer(exchange, found, stored, decision.why)
        if verdict is Verdict.PURGED:
            stored.close()
        return False

    async def _fly(
        self, exchange: Exchange, directives: Directives, found: Found, decision: Fetch | Revalidate
    ) -> Found | None:
        """One try; what is stored by then if the response that came is not for this request."""
        request = exchange.request
        flight, leads = self.flights.join(_shared(found, request))
        why = decision.why
        with flight.reader() as reader:
            if leads:
                self._start(self._led(flight, exchange, found, decision))
            try:
                flown = await reader.head()
            except NotShared:
                upstream = self._unshared.pop(flight, None) if leads else None
                if upstream is None:
                    self._pass(exchange, Why.PASS_KNOWN)
                else:
                    await self.forwarder.relay(exchange, upstream, Why.PASS_UNSHARED)
                return None
            except (OriginSaid, OriginError, Unfinished) as error:
                if self._may_stand_in(found.stored, directives):
                    self._answer_stored(exchange, found, Why.STALE_ERROR)
                elif isinstance(error, OriginError):
                    self.forwarder.fail(exchange, error)
                else:
                    self._pass(exchange, why)
                return None
            page = flown.page
            if not leads and not self._answers(flown, exchange, directives):
                return find(self.store, request)
            waits = any(name in request.fields for name in _CONDITIONAL)
            while waits and not reader.complete and reader.error is None:
                await reader.changed()
            if flown.stored is not None:
                stored = replace(flown.stored, fd=os.dup(flown.stored.fd))
                member = self._forwarded(flown, why, not leads)
                told = flown.why if flown.why is Why.VALIDATED else why
                if not self._answer(exchange, found, stored, told, member):
                    self._pass(exchange, why)
                return None
            fields = self._varying(page, client_fields(page.fields, self.options.keep_tags))
            exchange.outcome = why.value
            lines = exchange.dated(with_status(fields, self._forwarded(flown, why, not leads)))
            if request.method == b"HEAD":
                exchange.respond(page.status, lines, b"", flown.length)
                return None
            try:
                exchange.start(page.status, lines, flown.length, reader.take())
                while data := await reader.read():
                    exchange.write(data)
                    await exchange.drained()
            except (OriginError, Unfinished, NotShared):
                exchange.abort()
                return None
            exchange.finish()
            return None

    def _may_stand_in(self, stored: StoredPage | None, directives: Directives = NO_DIRECTIVES) -> bool:
        """Whether a stored page may be served although the origin failed: never one that was purged, which
        may have happened since it was looked up. Source: RFC 5861 §4"""
        if stored is None:
            return False
        page = stored.page
        if self.table.clock.verdict(page.stamp, page.slots) is Verdict.PURGED:
            return False
        return stale_if_error_allowed(page.freshness, time.time(), directives)

    def _answers(self, flown: Flown, exchange: Exchange, directives: Directives) -> bool:
        """Whether a fetch that was under way is one for this request too.

        It may be for other inputs, or from before a purge. And what may not be reused without validation
        answers only who was there when the origin was asked. Source: RFC 9111 §4
        """
        page = flown.page
        if self.table.clock.verdict(page.stamp, page.slots) is not Verdict.VALID:
            return False
        if not matches(page.inputs, exchange.request):
            return False
        if exchange.began <= flown.asked.monotonic:
            return True
        return judge(directives, page.freshness, time.time()) is not Reuse.REVALIDATE

    def _forwarded(self, flown: Flown, why: Why, collapsed: bool) -> bytes:
        return cache_status(
            False,
            fwd=FORWARD[why],
            fwd_status=304 if flown.why is Why.VALIDATED else flown.page.status,
            stored=flown.storing,
            collapsed=collapsed,
            detail=why.value.encode(),
        )

    # The fetch

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _led(
        self, flight: Flight[Flown], exchange: Exchange, found: Found, decision: Fetch | Revalidate
    ) -> None:
        try:
            await self._lead(flight, exchange, found, decision)
        except OriginError:  # all who wait were told
            pass

    async def _lead(
        self, flight: Flight[Flown], exchange: Exchange, found: Found, decision: Fetch | Revalidate
    ) -> None:
        """Get a response, tell who waits for it, and store it."""
        request = exchange.request
        stored = None if found.stored is None else replace(found.stored, fd=os.dup(found.stored.fd))
        try:
            with flight:
                validating = stored is not None and isinstance(decision, Revalidate)
                while True:
                    clock = self.table.clock
                    asked = Asked(clock.stamp(), time.time(), self.loop.poller.now)
                    # Purged since it was decided, or softly: a date has the precision of a second, and
                    # might bring it back.
                    if stored is not None and (
                        clock.verdict(stored.page.stamp, stored.page.slots) is not Verdict.VALID
                    ):
                        validating = False
                    if validating and stored is not None:
                        fields = validating_fields(request.fields, stored.page.fields)
                    else:
                        fields = fetching_fields(request.fields)
                    upstream = await self.forwarder.ask(exchange, fields, b"GET")
                    if upstream.status != 304 or not validating or stored is None:
                        break
                    upstream.close()
                    if is_about(upstream.fields, stored.page.fields) and self._validated(
                        flight, request, found, stored, upstream, asked
                    ):
                        return
                    validating = False
                await self._take_in(flight, request, found, stored, upstream, asked)
        finally:
            _close(stored)

    def _validated(
        self,
        flight: Flight[Flown],
        request: Request,
        found: Found,
        stored: StoredPage,
        upstream: Upstream,
        asked: Asked,
    ) -> bool:
        """Freshen the stored page by a 304; False when it has to be fetched after all."""
        fields = freshen(stored.page.fields, upstream.fields)
        if vary_names(fields) != vary_names(stored.page.fields):
            return False
        plan = plan_storing(
            replace(request, method=b"GET"),
            Response(stored.page.status, fields),
            asked.wall,
            time.time(),
            self.options.caching,
        )
        if not isinstance(plan, Freshness):
            return False
        page = replace(
            stored.page,
            fields=storable_fields(fields),
            freshness=plan,
            stamp=asked.stamp,
            slots=self._slots(request, fields),
        )
        try:
            renewed = self.store.freshen(found.key, stored, page)
        except StoreFull as full:
            self._full(full)
            renewed = None
        if renewed is None:
            renewed = replace(stored, page=page, fd=os.dup(stored.fd))
        flight.open(Flown(page, asked, Why.VALIDATED, None, True, renewed), released=renewed.close)
        flight.finish()
        return True

    async def _take_in(
        self,
        flight: Flight[Flown],
        request: Request,
        found: Found,
        stored: StoredPage | None,
        upstream: Upstream,
        asked: Asked,
    ) -> None:
        received_at = time.time()
        response = Response(upstream.status, upstream.fields)
        if response.status in ERROR_STATUSES and self._may_stand_in(stored):
            upstream.close()
            flight.fail(OriginSaid())
            return
        plan = plan_storing(
            replace(request, method=b"GET"), response, asked.wall, received_at, self.options.caching
        )
        if isinstance(plan, NotStorable) or names_a_file(response.fields):
            if response.status < 500:  # an error passes
                self._remember_pass(found, request)
            if flight.followed:
                self._unshared[flight] = upstream
                self.loop.call_later(1.0, self._drop_unshared, flight)
                flight.refuse()
            else:
                upstream.close()
            return
        page, writer, key = self._open(request, found, response, plan, asked.stamp)
        flown = Flown(page, asked, Why.MISS, upstream.content_length, writer is not None)
        fd = -1 if writer is None else os.dup(writer.fd)

        def read_back(offset: int, count: int) -> bytes:
            return os.pread(fd, count, start + offset)

        def released() -> None:
            _close(flown.stored)
            if fd >= 0:
                os.close(fd)

        start = 0 if writer is None else writer.offset
        if not upstream.complete:
            flight.open(
                flown,
                storing=writer is not None,
                read_back=None if writer is None else read_back,
                released=released,
            )
        try:
            while data := await upstream.read():
                if writer is not None and flight.length + len(data) > self.options.max_page_bytes:
                    writer.abort()
                    writer = None
                    flight.stored_no_longer()
                if writer is not None:
                    try:
                        writer.write(data)
                    except StoreFull as full:
                        self._full(full)
                        writer = None
                        flight.stored_no_longer()
                flight.put(data)
                if writer is None and not flight.followed:
                    upstream.close()
                    return
                await flight.room()
        except OriginError as error:
            self.report(f"{request.url.decode('latin-1')}: the origin's response broke off: {error}")
            if writer is not None:
                writer.abort()
            raise
        if writer is not None:
            try:
                flown.stored = writer.commit()
            except StoreFull as full:
                self._full(full)
        if flight.header is None:
            flight.open(flown, released=released)
        if flown.stored is not None and self.compressor is not None:
            self.compressor.consider(key, flown.stored)
        flight.finish()

    def _open(
        self, request: Request, found: Found, response: Response, plan: Freshness, stamp: int
    ) -> tuple[Page, DiskWriter | None, bytes]:
        """The page that a response becomes, where it is to be written (None: nowhere), and its key."""
        names = [WHOLE_QUERY, *(b"field:" + name for name in vary_names(response.fields) or ())]
        page = Page(
            url=request.url,
            status=response.status,
            fields=_dated(storable_fields(response.fields), plan.response_time),
            freshness=plan,
            stamp=stamp,
            slots=self._slots(request, response.fields),
        )
        self._absent.pop((request.scheme, request.authority, request.path), None)
        try:
            where = place(self.store, request, found.primary, names)
            page = replace(page, inputs=where.inputs)
            return page, self.store.create(where.key, page, where.names), where.key
        except StoreFull as full:
            self._full(full)
        except TooLarge:  # a head of absurd size: served, never stored
            pass
        return page, None, found.key

    def _slots(self, request: Request, fields: Fields) -> tuple[int, ...]:
        """Where the tags of a response stand: those of its URL, and those that it names."""
        origin = request.scheme + b"://" + request.authority
        tags = url_tags(request.authority, request.path, request.query)
        return tag_slots([*tags, *response_tags(fields, origin)], self.table.clock.slots)

    def _full(self, full: StoreFull) -> None:
        if full.first:
            self.report(f"the store takes no more pages, which are served without it: {full}")

    def _drop_unshared(self, flight: Flight[Flown]) -> None:
        """The leader's client went away before it took its response."""
        upstream = self._unshared.pop(flight, None)
        if upstream is not None:
            upstream.close()

    def _remember_pass(self, found: Found, request: Request) -> None:
        if len(self._passes) >= _MOST_PASSES:
            self._passes.clear()
            self._absent.clear()
        until = self.loop.poller.now + _PASS_SECONDS
        self._passes[_shared(found, request)] = until
        if found.stored is None and not found.names:
            self._absent[request.scheme, request.authority, request.path] = found.primary, until

    def _renew(self, exchange: Exchange, request: Request, found: Found) -> None:
        """Have a stale page renewed in the background, once per machine."""
        peer = None if exchange.client.internal else self.peers.home(found.primary)
        if peer is not None:
            self._start(self.peers.have_renewed(exchange, peer))
            return
        flight, leads = self.flights.join(_shared(found, request))
        if leads:
            fresh = find(self.store, request)
            self._start(self._renewal(flight, exchange, fresh))

    async def _renewal(self, flight: Flight[Flown], exchange: Exchange, found: Found) -> None:
        try:
            await self._lead(flight, exchange, found, Revalidate(Why.EXPIRED))
        except OriginError as error:
            self.report(f"{exchange.request.url.decode('latin-1')}: not renewed: {error}")
        finally:
            _close(found.stored)

    # The answer

    def _answer_stored(self, exchange: Exchange, found: Found, why: Why) -> None:
        stored = found.stored
        assert stored is not None
        found.stored = None
        self._answer(exchange, found, stored, why)

    def _answer(
        self, exchange: Exchange, found: Found, stored: StoredPage, why: Why, member: bytes | None = None
    ) -> bool:
        """Answer from a stored page, which is closed or taken over; False when its bytes are damaged.

        `member` is ours of Cache-Status, where it isn't that of a hit.
        """
        request = exchange.request
        page = stored.page
        coding = preferred_coding(
            request.fields.get(b"accept-encoding"), [c for c in (b"br", b"gzip") if c in stored.bodies]
        )
        offset, length = stored.bodies[coding or b""]
        content: bytes | FilePart
        if length <= SMALL:
            try:
                content = stored.read(coding or b"")
            except CorruptPage:
                stored.close()
                self.store.remove(found.key)
                return False
        else:
            content = FilePart(OpenFile(os.dup(stored.fd)), offset, length)
        fields, etag = self.fields_of(page, stored, coding)
        now = time.time()
        if member is None:
            detail = None if why is Why.HIT else why.value.encode()
            member = cache_status(True, ttl=remaining(page.freshness, now), detail=detail)
        if page.status == 200:
            modified = page.fields.get(b"last-modified")
            date = parse_date(page.fields.get(b"date") or b"", now)
            made = answer(
                request,
                Representation(
                    tuple(fields), content, etag, None if modified is None else parse_date(modified, now)
                ),
                now,
                at_origin=False,
                date=now if date is None else date,
            )
        elif request.method == b"HEAD":
            made = Answer(page.status, why, Fields((*fields, (b"content-length", b"%d" % length))))
            if isinstance(content, FilePart):
                content.file.release()
        else:
            made = Answer(page.status, why, Fields(fields), content)
        made.reason = why
        plain = why is Why.HIT and request.method == b"GET" and made.status == page.status
        if plain and self.remember is not None:
            self.remember(exchange, made, found, stored)
        made.fields = with_status([*made.fields, (b"age", age_value(page.freshness, now))], member)
        stored.close()
        exchange.answer(made)
        return True

    def fields_of(
        self, page: Page, stored: StoredPage, coding: bytes | None
    ) -> tuple[list[Field], bytes | None]:
        """The fields of a stored page for the client, without those that change with time, and its tag."""
        fields = [
            item
            for item in client_fields(page.fields, self.options.keep_tags)
            if item[0] not in (b"etag", b"last-modified", b"accept-ranges")
        ]
        etag = page.fields.get(b"etag")
        if etag is None or parse_etag(etag) is None:
            etag = stored.etag()
        if coding is not None:
            etag = with_coding(etag, coding)
            fields.append((b"content-encoding", coding))
        return self._varying(page, fields), etag

    def _varying(self, page: Page, fields: list[Field]) -> list[Field]:
        """With Accept-Encoding in Vary where the page has, or will have, variants of our making."""
        if self.compressor is None or not is_worth_compressing(page):
            return fields
        if b"accept-encoding" in (vary_names(page.fields) or ()):
            return fields
        vary = page.fields.get(b"vary")
        kept = [item for item in fields if item[0] != b"vary"]
        return [*kept, (b"vary", b"Accept-Encoding" if vary is None else vary + b", Accept-Encoding")]


_CONDITIONAL = (b"if-none-match", b"if-modified-since", b"if-match", b"if-unmodified-since")


def _close(stored: StoredPage | None) -> None:
    if stored is not None:
        stored.close()


def _shared(found: Found, request: Request) -> bytes:
    """The key of what requests share: that of the page, and while nothing is known of what selects among
    the pages of a URL, that of the page for this query. Others must not wait for it in vain."""
    if found.names or request.query is None:
        return found.key
    return variant_key(found.primary, ((WHOLE_QUERY, request.query),))


def _dated(fields: Fields, received_at: float) -> Fields:
    """With the time it was received, if the origin didn't say when it was made. Source: RFC 9110 §6.6.1"""
    return fields if b"date" in fields else fields.with_(b"date", format_date(received_at))
