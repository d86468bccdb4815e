"""Pages from the store, or from the origin into the store.

Lives here: acting on what `decide` says: answers from the store, waiting for a fetch that others may share,
renewal in the background, what to do when the origin fails.
Doesn't know: connections, how a page is fetched (`fetching`), and what is right by RFC 9111.
"""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from uncork.caching.directives import Directives, parse_directives
from uncork.caching.freshness import age_value, remaining
from uncork.caching.invalidation import invalidated_groups, invalidated_urls
from uncork.caching.reuse import Reuse, judge
from uncork.caching.status import cache_status
from uncork.edge.answers import Answer
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
from uncork.edge.fetching import Fetcher, Flown, OriginSaid, close, may_stand_in
from uncork.edge.passing import Absence, Mark, Marks
from uncork.edge.peers import Peers
from uncork.edge.recorded import hindrance
from uncork.edge.rewriting import with_status
from uncork.edge.storedpages import PageAnswers
from uncork.pages.clock import Verdict
from uncork.pages.keys import matches
from uncork.pages.pagefile import CorruptPage
from uncork.pages.tags import group_tag, url_tags
from uncork.semantics.messages import Request, Response
from uncork.stores.contract import StoredPage
from uncork.stores.lookup import Found, find
from uncork.upstream.collapse import Flight, NotShared, Unfinished
from uncork.upstream.exchange import Exchange as Upstream
from uncork.upstream.failures import OriginError
from uncork.upstream.pool import Pool

# How often a request may find that what it waited for is not for it.
_MOST_TRIES = 3


class PageCache:
    """The pages of a site, for one worker. `remember` is called with each answer that may be memoised, and
    `remember_pass` with each request that is passed without a look at the store, and for how long."""

    def __init__(self, fetcher: Fetcher, peers: Peers) -> None:
        self.fetcher = fetcher
        self.peers = peers
        self.loop = fetcher.loop
        self.options = options = fetcher.options
        self.store = fetcher.store
        self.table = fetcher.table
        self.forwarder = fetcher.forwarder
        self.report = fetcher.report
        self._answers = PageAnswers(options.keep_tags, options.compress)
        self.remember: Callable[[Exchange, Answer, Found, StoredPage], None] | None = None
        self.remember_pass: Callable[[Exchange, Marks, Mark, Absence], None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # The way of a request

    def serve(self, exchange: Exchange) -> None:
        """Answer from the store at once, or see that the origin is asked."""
        request = exchange.request
        if not self.options.request_directives and request.method in (b"GET", b"HEAD"):
            fields = request.fields.without(b"cache-control")
            exchange.request = request = replace(request, fields=fields)
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
        if isinstance(decision, Serve):
            assert stored is not None
            if not self._answer(exchange, found, stored, decision.why):
                self._pass(exchange, Why.MISS)
            elif decision.renew:
                self._renew(exchange, found)
        elif isinstance(decision, Refuse):
            close(stored)
            exchange.answer(error_answer(decision.status, decision.why))
        elif isinstance(decision, Pass):
            close(stored)
            self._pass(exchange, decision.why)
        else:
            if verdict is Verdict.PURGED:
                close(stored)
                found = replace(found, stored=None)
            self._get(exchange, directives, found, decision)

    def _get(
        self, exchange: Exchange, directives: Directives, found: Found, decision: Fetch | Revalidate
    ) -> None:
        """Have the origin asked, by whoever asks it for all."""
        request = exchange.request
        marks = self.fetcher.marks
        mark = marks.mark(found, request)
        # Another worker may know better than we do: one at a time of its requests is fetched nevertheless.
        if mark is not None and (not exchange.client.internal or self.fetcher.is_fetched(found, request)):
            absence = marks.absence(request)
            if absence is None and found.stored is None:
                absence = marks.set_absence(found, request, mark.until)
            close(found.stored)
            self.pass_known(exchange, mark)
            if absence is not None and self.remember_pass is not None:
                self.remember_pass(exchange, marks, mark, absence)
            return
        peer = None if exchange.client.internal else self.peers.home(found.primary)
        if peer is not None:
            close(found.stored)
            exchange.run(self._ask_home(exchange, peer, found, decision.why))
        else:
            exchange.run(self._fetch(exchange, directives, found, decision))

    async def _ask_home(self, exchange: Exchange, peer: Pool, found: Found, why: Why) -> None:
        """Have the worker answer that is home to the key; without it, nobody shares what comes. What it
        could not share either needn't go through it for a while."""
        if not await self.peers.relay(exchange, peer):
            self._pass(exchange, why)
        elif exchange.outcome in _PASSED:
            request = exchange.request
            absent = found.stored is None
            found = find(self.store, request)  # with what it has learned of the URL
            close(found.stored)
            self.fetcher.marks.set(found, request, hindrance(exchange.reason), absent)

    def _find(self, request: Request) -> Found:
        marks = self.fetcher.marks
        absence = marks.absence(request)
        if absence is not None:
            found = absence.found(request)
            if not absence.names or marks.mark(found, request) is not None:
                return found
        return find(self.store, request)

    def pass_known(self, exchange: Exchange, mark: Mark) -> None:
        """Pass a request of which it was decided before that it is passed.

        Now and then what comes is looked at. Could it have been stored, then the same is fetched for all:
        who comes next may be one whose response can't be.
        """
        if mark.reason is not None:
            exchange.reason = mark.reason.value
        if not mark.due(self.loop.poller.now):
            self.forwarder.forward(exchange, Why.PASS_KNOWN)
            return
        asked_at = time.time()

        def look(exchange: Exchange, upstream: Upstream) -> None:
            if self.fetcher.could_store(exchange.request, upstream, asked_at):
                found = self._find(exchange.request)
                close(found.stored)
                self._renew(exchange, found, mark)

        self.forwarder.forward(exchange, Why.PASS_KNOWN, look)

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
                close(found.stored)
                found = again
                if self._answered(exchange, directives, found):
                    return
        finally:
            close(found.stored)
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
        flight, leads = self.fetcher.join(found, request)
        why = decision.why
        with flight.reader() as reader:
            if leads:
                self._start(self._led(flight, exchange, found, decision))
            try:
                flown = await reader.head()
            except NotShared:
                unshared = self.fetcher.take_unshared(flight) if leads else None
                if unshared is None:
                    return self._not_for_all(exchange, found)
                upstream, reason = unshared
                await self.forwarder.relay(exchange, upstream, Why.PASS_UNSHARED, reason)
                return None
            except (OriginSaid, OriginError, Unfinished) as error:
                if may_stand_in(self.table.clock, found.stored, directives):
                    self._answer_stored(exchange, found, Why.STALE_ERROR)
                elif isinstance(error, OriginError):
                    self.forwarder.fail(exchange, error)
                else:
                    self._pass(exchange, why)
                return None
            page = flown.page
            if not leads and not self._suits(flown, exchange, directives):
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
            fields = self._answers.fields(page)
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

    def _not_for_all(self, exchange: Exchange, before: Found) -> Found | None:
        """What a request waited for was for another one. Where more is known since of what selects, it may be
        that it was not for one like this, and is worth another try; else it is passed."""
        request = exchange.request
        found = find(self.store, request)
        mark = self.fetcher.marks.mark(found, request)
        if mark is None and found.names != before.names:
            return found
        close(found.stored)
        if mark is not None and mark.reason is not None:
            exchange.reason = mark.reason.value
        self._pass(exchange, Why.PASS_KNOWN)
        return None

    def _suits(self, flown: Flown, exchange: Exchange, directives: Directives) -> bool:
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

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _led(
        self, flight: Flight[Flown], exchange: Exchange, found: Found, decision: Fetch | Revalidate
    ) -> None:
        try:
            await self.fetcher.lead(flight, exchange, found, decision)
        except OriginError:  # all who wait were told
            pass

    def _renew(self, exchange: Exchange, found: Found, mark: Mark | None = None) -> None:
        """Have a page fetched in the background, once per machine: it is stale, or marked."""
        request = exchange.request
        peer = None if exchange.client.internal else self.peers.home(found.primary)
        if peer is not None:
            self._start(self._home_renews(exchange, peer, mark))
            return
        flight, leads = self.fetcher.join(found, request)
        if leads:
            fresh = find(self.store, request)
            self._start(self._renewal(flight, exchange, fresh))

    async def _home_renews(self, exchange: Exchange, peer: Pool, mark: Mark | None) -> None:
        outcome = await self.peers.have_fetched(exchange, peer, b"HEAD" if mark is None else b"GET")
        if mark is not None and outcome is not None and outcome.partition(".")[0] not in _PASSED:
            self.fetcher.marks.clear(mark, exchange.request)

    async def _renewal(self, flight: Flight[Flown], exchange: Exchange, found: Found) -> None:
        try:
            await self.fetcher.lead(flight, exchange, found, Revalidate(Why.EXPIRED))
        except OriginError as error:
            self.report(f"{exchange.request.url.decode('latin-1')}: not renewed: {error}")
        finally:
            close(found.stored)

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
        now = time.time()
        try:
            made = self._answers.make(request, stored, why, now)
        except CorruptPage:
            stored.close()
            self.store.remove(found.key)
            return False
        if member is None:
            detail = None if why is Why.HIT else why.value.encode()
            member = cache_status(True, ttl=remaining(page.freshness, now), detail=detail)
        plain = why is Why.HIT and request.method == b"GET" and made.status == page.status
        if plain and self.remember is not None:
            self.remember(exchange, made, found, stored)
        made.fields = with_status([*made.fields, (b"age", age_value(page.freshness, now))], member)
        stored.close()
        exchange.answer(made)
        return True


# The outcomes of which a home says that it could not share the response.
_PASSED = (Why.PASS_KNOWN.value, Why.PASS_UNSHARED.value)
_CONDITIONAL = (b"if-none-match", b"if-modified-since", b"if-match", b"if-unmodified-since")
