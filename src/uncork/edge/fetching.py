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
from uncork.caching.storable import NEGATIVE, CacheOptions
from uncork.caching.validation import fetching_fields, freshen, is_about, validating_fields
from uncork.edge.compressing import Compressor
from uncork.edge.decide import Fetch, Revalidate, Why
from uncork.edge.exchange import Exchange
from uncork.edge.forwarding import Forwarder
from uncork.edge.passing import Marks, shared_key
from uncork.edge.recorded import Hindrance, Reading, read_response
from uncork.net.loop import Loop
from uncork.pages.clock import PurgeClock, Verdict
from uncork.pages.keys import UnknownInput, select, union, variant_key
from uncork.pages.page import Page
from uncork.pages.pagefile import TooLarge
from uncork.pages.record import MOST_TAGS, RECORD
from uncork.purging.table import ClockTable
from uncork.semantics.dates import format_date
from uncork.semantics.fields import Fields
from uncork.semantics.messages import Request, Response
from uncork.stores.contract import StoredPage, StoreFull
from uncork.stores.disk import DiskStore, DiskWriter
from uncork.stores.lookup import Found, learn, place
from uncork.upstream.collapse import Flight, Flights
from uncork.upstream.exchange import Exchange as Upstream
from uncork.upstream.failures import OriginError

# Slots that a page may gather over its validations; then it is fetched anew.
_MOST_SLOTS = 4 * MOST_TAGS


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
    request_directives: bool


class Fetcher:
    """The fetches of one worker."""

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
        self.marks = Marks(loop)
        self._flights: Flights[Flown] = Flights()
        # For the leader's client to take.
        self._unshared: dict[Flight[Flown], tuple[Upstream, Hindrance | None]] = {}

    def join(self, found: Found, request: Request) -> tuple[Flight[Flown], bool]:
        """The fetch of what a request asks for, and whether the caller leads it: then it starts `lead`."""
        return self._flights.join(shared_key(found, request))

    def take_unshared(self, flight: Flight[Flown]) -> tuple[Upstream, Hindrance | None] | None:
        """The response that could not be shared, for the leader's own client, and why (`Reading`)."""
        return self._unshared.pop(flight, None)

    def is_fetched(self, found: Found, request: Request) -> bool:
        """Whether what a request asks for is being fetched."""
        return self._flights.is_under_way(shared_key(found, request))

    def could_store(self, request: Request, upstream: Upstream, asked_at: float) -> bool:
        """Whether a response that was passed could have been stored. `asked_at`: seconds since the epoch."""
        reading = self._read(request, Response(upstream.status, upstream.fields), asked_at)
        return reading.plan is not None

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
        """Freshen the stored page by a 304; False when it has to be fetched after all.

        What the page depended on it still does, and besides on what was read to say that it is right.
        """
        old = stored.page
        fields = freshen(old.fields, upstream.fields)
        reading = self._read(request, Response(old.status, fields), asked.wall)
        if reading.plan is None:
            return False
        known = union(found.names, [name for name, _ in old.inputs])
        names = union(known, reading.names)
        # Without a record of this moment, what the page was stored with must be all that can select it.
        if reading.record is None and (RECORD in upstream.fields or names != known):
            return False
        inputs = select(names, request)
        slots = tuple(sorted({*old.slots, *reading.slots(request, names, self.table.clock.slots)}))
        if variant_key(found.primary, inputs) != found.key or len(slots) > _MOST_SLOTS:
            return False
        self.marks.clear(self.marks.mark(found, request), request)
        page = replace(
            old,
            fields=reading.fields,
            freshness=reading.plan,
            stamp=asked.stamp,
            slots=slots,
            inputs=inputs,
        )
        try:
            if names != found.names and found.key != found.primary:
                self.store.record(found.primary, names)
            renewed = self.store.freshen(found.key, replace(stored, names=names), page)
        except (StoreFull, TooLarge) as problem:
            self._not_kept(problem)
            renewed = None
        if renewed is None:
            renewed = replace(stored, page=page, fd=os.dup(stored.fd))
        flight.open(Flown(page, asked, Why.VALIDATED, None, True, renewed), released=renewed.close)
        flight.finish()
        return True

    def _read(self, request: Request, response: Response, asked_at: float) -> Reading:
        """A response of this moment, read for the store."""
        asked = replace(request, method=b"GET")
        return read_response(asked, response, self.table, asked_at, time.time(), self.options.caching)

    async def _take_in(
        self,
        flight: Flight[Flown],
        request: Request,
        found: Found,
        stored: StoredPage | None,
        upstream: Upstream,
        asked: Asked,
    ) -> None:
        response = Response(upstream.status, upstream.fields)
        if response.status in ERROR_STATUSES and may_stand_in(self.table.clock, stored):
            upstream.close()
            flight.fail(OriginSaid())
            return
        reading = self._read(request, response, asked.wall)
        if reading.plan is None:
            self._mark(request, found, response.status, reading)
            if flight.followed:
                self._unshared[flight] = upstream, reading.hindrance
                self.loop.call_later(1.0, self._drop_unshared, flight)
                flight.refuse()
            else:
                upstream.close()
            return
        self.marks.clear(self.marks.mark(found, request), request)
        page, writer, key = self._open(request, found, response.status, reading, reading.plan, asked.stamp)
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

    def _mark(self, request: Request, found: Found, status: int, reading: Reading) -> None:
        """A response can't be shared: what it read becomes known of its URL all the same, so that who has
        other values of that need not be passed as well."""
        absent = found.stored is None
        if reading.record is not None:
            try:
                found = learn(self.store, request, found, reading.names)
            except (StoreFull, TooLarge, UnknownInput) as problem:
                self._not_kept(problem)
                return
        if status < 400 or status in NEGATIVE:  # an error is about this request, or passes
            self.marks.set(found, request, reading.hindrance, absent)

    def _open(
        self, request: Request, found: Found, status: int, reading: Reading, plan: Freshness, stamp: int
    ) -> tuple[Page, DiskWriter | None, bytes]:
        """The page that a response becomes, where it is to be written (None: nowhere), and its key."""
        page = Page(
            url=request.url,
            status=status,
            fields=_dated(reading.fields, plan.response_time),
            freshness=plan,
            stamp=stamp,
            slots=reading.slots(request, reading.names, self.table.clock.slots),
            inputs=select(reading.names, request),  # who waits for it looks at them, stored or not
        )
        try:
            where = place(self.store, request, found.primary, reading.names)
            page = replace(page, inputs=where.inputs)
            return page, self.store.create(where.key, page, where.names), where.key
        except (StoreFull, TooLarge, UnknownInput) as problem:
            self._not_kept(problem)
        return page, None, found.key

    def _not_kept(self, problem: StoreFull | TooLarge | UnknownInput) -> None:
        """It is served without the store: the disk is full, a head is of absurd size, or a newer version
        wrote inputs that can't be read here."""
        if isinstance(problem, StoreFull):
            self._full(problem)

    def _full(self, full: StoreFull) -> None:
        if full.first:
            self.report(f"the store takes no more pages, which are served without it: {full}")

    def _drop_unshared(self, flight: Flight[Flown]) -> None:
        """The leader's client went away before it took its response."""
        unshared = self._unshared.pop(flight, None)
        if unshared is not None:
            unshared[0].close()


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


def _dated(fields: Fields, received_at: float) -> Fields:
    """With the time it was received, if the origin didn't say when it was made. Source: RFC 9110 §6.6.1"""
    return fields if b"date" in fields else fields.with_(b"date", format_date(received_at))
