"""Getting a page from the origin, and into the store.

Lives here: the one fetch of a key, for all who ask for it; renewing by a 304; what could not be shared.
Doesn't know: who waits for a fetch, and what is sent to them (`pages`).
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from uncork.caching.directives import NO_DIRECTIVES, Directives
from uncork.caching.freshness import Freshness
from uncork.caching.reuse import ERROR_STATUSES, stale_if_error_allowed
from uncork.caching.storable import NEGATIVE, CacheOptions, NotStorable, plan_storing, storable_fields
from uncork.caching.validation import fetching_fields, freshen, is_about, validating_fields
from uncork.caching.vary import vary_names
from uncork.edge.compressing import Compressor
from uncork.edge.decide import Fetch, Revalidate, Why
from uncork.edge.exchange import Exchange
from uncork.edge.forwarding import Forwarder
from uncork.edge.internal import names_a_file
from uncork.net.loop import Loop
from uncork.pages.clock import PurgeClock, Verdict
from uncork.pages.keys import WHOLE_QUERY, UnknownInput, variant_key
from uncork.pages.page import Page
from uncork.pages.pagefile import TooLarge
from uncork.pages.tags import response_tags, tag_slots, url_tags
from uncork.purging.table import ClockTable
from uncork.semantics.dates import format_date
from uncork.semantics.fields import Fields
from uncork.semantics.messages import Request, Response
from uncork.stores.contract import StoredPage, StoreFull
from uncork.stores.disk import DiskStore, DiskWriter
from uncork.stores.lookup import Found, place
from uncork.upstream.collapse import Flight, Flights
from uncork.upstream.exchange import Exchange as Upstream
from uncork.upstream.failures import OriginError

# For how long a URL whose response could not be shared is passed without waiting for others. Seconds.
_PASS_SECONDS = 60.0
_MOST_PASSES = 10_000


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


@dataclass(slots=True)
class Absence:
    """The store has nothing of a URL, whatever its query. So it is taken `until` then (monotonic seconds; 0
    from the moment this worker stores something of it): where it is no longer true, the origin is asked once
    too often, and no harm is done. `primary` is the key."""

    primary: bytes
    until: float


class Fetcher:
    """The fetches of one worker. `table`, `store` and `options` are those of its pages."""

    def __init__(
        self,
        loop: Loop,
        options: PageOptions,
        store: DiskStore,
        table: ClockTable,
        forwarder: Forwarder,
        report: Callable[[str], None],
    ) -> None:
        self.loop = loop
        self.options = options
        self.store = store
        self.table = table
        self.forwarder = forwarder
        self.report = report
        self.compressor = Compressor(loop, store, report) if options.compress else None
        self._flights: Flights[Flown] = Flights()
        self._unshared: dict[Flight[Flown], Upstream] = {}  # for the leader's client to take
        self._passes: dict[bytes, float] = {}  # key → monotonic seconds until which it is passed
        self._absent: dict[tuple[bytes, bytes, bytes], Absence] = {}  # by scheme, authority and path

    def join(self, found: Found, request: Request) -> tuple[Flight[Flown], bool]:
        """The fetch of what a request asks for, and whether the caller leads it: then it starts `lead`."""
        return self._flights.join(shared_key(found, request))

    def take_unshared(self, flight: Flight[Flown]) -> Upstream | None:
        """The response that could not be shared, for the leader's own client."""
        return self._unshared.pop(flight, None)

    def passed_until(self, found: Found, request: Request) -> float:
        """For how long a request is passed because the last response for it could not be shared: monotonic
        seconds, in the past when it isn't."""
        return self._passes.get(shared_key(found, request), 0.0) if self._passes else 0.0

    def absence(self, request: Request) -> "Absence | None":
        """That the store has nothing of a URL, if it is known: then the store need not be asked."""
        absence = self._absent.get((request.scheme, request.authority, request.path))
        return absence if absence is not None and absence.until > self.loop.poller.now else None

    async def lead(
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
            close(stored)

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
        if response.status in ERROR_STATUSES and may_stand_in(self.table.clock, stored):
            upstream.close()
            flight.fail(OriginSaid())
            return
        plan = plan_storing(
            replace(request, method=b"GET"), response, asked.wall, received_at, self.options.caching
        )
        if isinstance(plan, NotStorable) or names_a_file(response.fields):
            if (
                response.status < 400 or response.status in NEGATIVE
            ):  # an error is about this request, or passes
                self.remember_pass(found, request)
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
            close(flown.stored)
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
        absence = self._absent.pop((request.scheme, request.authority, request.path), None)
        if absence is not None:
            absence.until = 0.0
        try:
            where = place(self.store, request, found.primary, names)
            page = replace(page, inputs=where.inputs)
            return page, self.store.create(where.key, page, where.names), where.key
        except StoreFull as full:
            self._full(full)
        except (TooLarge, UnknownInput):  # a head of absurd size; inputs that a newer version wrote
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

    def remember_pass(self, found: Found, request: Request) -> None:
        """The response to this request could not be shared: for a while nobody needs to wait for another."""
        if len(self._passes) >= _MOST_PASSES:
            self._passes.clear()
            for absence in self._absent.values():
                absence.until = 0.0
            self._absent.clear()
        until = self.loop.poller.now + _PASS_SECONDS
        self._passes[shared_key(found, request)] = until
        if found.stored is None and not found.names:
            self._absent[request.scheme, request.authority, request.path] = Absence(found.primary, until)


def may_stand_in(
    clock: PurgeClock, stored: StoredPage | None, directives: Directives = NO_DIRECTIVES
) -> bool:
    """Whether a stored page may be served although the origin failed: never one that was purged, which may
    have happened since it was looked up. Source: RFC 5861 §4"""
    if stored is None:
        return False
    page = stored.page
    if clock.verdict(page.stamp, page.slots) is Verdict.PURGED:
        return False
    return stale_if_error_allowed(page.freshness, time.time(), directives)


def close(stored: StoredPage | None) -> None:
    """Let go of a stored page, if there is one."""
    if stored is not None:
        stored.close()


def shared_key(found: Found, request: Request) -> bytes:
    """The key of what requests share: that of the page, and while nothing is known of what selects among
    the pages of a URL, that of the page for this query. Others must not wait for it in vain."""
    if found.names or request.query is None:
        return found.key
    return variant_key(found.primary, ((WHOLE_QUERY, request.query),))


def _dated(fields: Fields, received_at: float) -> Fields:
    """With the time it was received, if the origin didn't say when it was made. Source: RFC 9110 §6.6.1"""
    return fields if b"date" in fields else fields.with_(b"date", format_date(received_at))
