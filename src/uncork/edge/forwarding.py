"""One request to the origin and its response back, without a store between them.

Lives here: the relay of a response as it comes, upgrades, files that the origin has the edge send.
Doesn't know: what a proxy changes in a message (`rewriting`), and what may be cached.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from functools import lru_cache

from uncork.caching.status import cache_status
from uncork.edge.decide import FORWARD, Why
from uncork.edge.errorpages import error_answer
from uncork.edge.exchange import ClientGone, Exchange
from uncork.edge.internal import NAMING, CannotSend, InternalFiles, names_a_file
from uncork.edge.recorded import Hindrance
from uncork.edge.rewriting import EDGE_FIELD, client_fields, origin_head, with_status
from uncork.edge.setup import BufferSetup
from uncork.edge.spool import Shortage, Spool
from uncork.edge.streaming import Streamer
from uncork.net.loop import current
from uncork.semantics.fields import Field, Fields, spelled
from uncork.semantics.messages import IDEMPOTENT_METHODS
from uncork.upstream.exchange import BodySource
from uncork.upstream.exchange import Exchange as Upstream
from uncork.upstream.failures import OriginError, OriginFailure
from uncork.upstream.known import Head as OriginHead
from uncork.upstream.origins import Origins
from uncork.upstream.pool import Pool
from uncork.wire.writing import template

_VIA: Field = (b"via", b"1.1 uncork")
_TIMEOUTS = frozenset(
    {OriginFailure.CONNECT_TIMEOUT, OriginFailure.RESPONSE_TIMEOUT, OriginFailure.READ_TIMEOUT}
)
_UNREACHABLE = frozenset({OriginFailure.CONNECT_REFUSED, OriginFailure.POOL_EXHAUSTED})

Received = Callable[[Exchange, Upstream], None] | None


class Forwarder:
    """Sends requests to the origins of a site."""

    def __init__(
        self,
        origins: Origins,
        trusted: Callable[[bytes], bool],
        internal_files: InternalFiles | None,
        keep_tags: bool,
        buffers: BufferSetup,
        directory: str,
        report: Callable[[str], None],
        wall: Callable[[], float],
    ) -> None:
        self.origins = origins
        self._trusted = trusted
        self._internal_files = internal_files
        self._keep_tags = keep_tags
        self._buffers = buffers
        self._directory = directory  # of spools
        self._shortage = Shortage(report)
        self._streamer = Streamer(directory, buffers.response_bytes, self._shortage)
        self._report = report
        self._wall = wall
        self._introduction = b""
        # A clock's name is of no use to whoever has not the clock, so it doesn't leave the machine.
        self._local = all(pool.address.local for pool in origins.pools)

    def introduce(self, clock: bytes) -> None:
        """From here on tell the origin that this edge takes records, and has the purge clock of that name."""
        if self._local:
            self._introduction = b"%b: %b\r\n" % (spelled(EDGE_FIELD), clock)

    async def ask(
        self, exchange: Exchange, fields: Fields, method: bytes, to: Pool | None = None
    ) -> Upstream:
        """Send the request of an exchange with these fields. Raises OriginError, ClientGone."""
        head = self._head(exchange, method, fields, b"")
        return await (to or self.origins).send(head, method=method, retry=method in IDEMPOTENT_METHODS)

    def _head(self, exchange: Exchange, method: bytes, fields: Fields, more: bytes) -> bytes:
        trusted = self._trusted(exchange.client.address)
        return origin_head(exchange, method, fields, trusted, self._introduction + more)

    def forward(self, exchange: Exchange, why: Why, received: Received = None) -> None:
        """Forward an exchange, content and all, and relay the response. `received` is called with the head
        of the response before the client gets any of it.

        A task costs as much as all the rest of a small exchange: it is only started where something is to
        be waited for besides the response, or where that comes in pieces.
        """
        content = exchange.whole()
        if why is Why.PASS_UPGRADE or (exchange.has_content and content is None):
            if self._buffers.requests and why is not Why.PASS_UPGRADE:
                exchange.run(self._spool(exchange, why, received))
            else:
                exchange.run(self._forward(exchange, why, received))
        else:
            self._start(exchange, why, received, content)

    def _start(self, exchange: Exchange, why: Why, received: Received, content: bytes | None) -> None:
        """Forward an exchange whose content is here, without a task."""

        def begun(upstream: Upstream) -> None:
            upstream.listener = None
            try:
                if upstream.status == 0:
                    assert isinstance(upstream.error, OriginError)
                    self.fail(exchange, upstream.error)
                    return
                if received is not None:
                    received(exchange, upstream)
                if not self._respond(exchange, upstream, why):
                    exchange.run(self._stream(exchange, upstream))
            except Exception as error:
                exchange.failed(error)

        request = exchange.request
        more = b"" if content is None else _length(exchange, len(content))
        upstream = self.origins.start(
            self._head(exchange, request.method, request.fields, more),
            content,
            method=request.method,
            retry=request.method in IDEMPOTENT_METHODS,
            interim=_interim(exchange),
            listener=begun,
        )
        exchange.on_gone = upstream.close

    async def _spool(self, exchange: Exchange, why: Why, received: Received) -> None:
        """Take in the content, then forward it with its length: while a client sends, however slowly, no
        thread of the origin waits. Raises ClientGone."""
        spool = Spool(self._directory)
        try:
            size = 0
            while data := await exchange.read():
                size += len(data)
                try:
                    spool.put(data)
                except OSError as error:
                    self._shortage.tell(exchange.request.url, "the request's content", error)
                    exchange.answer(error_answer(503, Why.NO_ROOM, (b"retry-after", b"5")))
                    return
            if spool.in_memory:
                self._start(exchange, why, received, spool.take())
            else:
                await self._forward(exchange, why, received, _pieces(spool), _length(exchange, size))
        finally:
            spool.close()

    async def _forward(
        self,
        exchange: Exchange,
        why: Why,
        received: Received,
        content: BodySource | None = None,
        more: bytes = b"",
    ) -> None:
        """Forward an exchange whose content comes in pieces: `content`, framed as the lines `more` say, or
        else as it comes from the client."""
        request = exchange.request
        upgrade = why is Why.PASS_UPGRADE
        if upgrade:
            more = b"Connection: upgrade\r\nUpgrade: %b\r\n" % (request.fields.get(b"upgrade") or b"")
        if content is None and exchange.has_content:
            content = exchange.framed()
            if exchange.chunked:
                more += b"Transfer-Encoding: chunked\r\n"
        try:
            upstream = await self.origins.send(
                self._head(exchange, request.method, request.fields, more),
                content,
                method=request.method,
                retry=request.method in IDEMPOTENT_METHODS and content is None,
                upgrade=upgrade,
                interim=_interim(exchange),
            )
        except OriginError as error:
            self.fail(exchange, error)
            return
        if received is not None:
            received(exchange, upstream)
        if upstream.status == 101:
            await self._tunnel(exchange, upstream, why)
        else:
            await self.relay(exchange, upstream, why)

    async def relay(
        self, exchange: Exchange, upstream: Upstream, why: Why, reason: Hindrance | None = None
    ) -> None:
        """Send the client a response of the origin as it comes, and tell the `reason` that it isn't stored.
        Raises ClientGone."""
        if not self._respond(exchange, upstream, why, reason):
            await self._stream(exchange, upstream)

    def _respond(
        self, exchange: Exchange, upstream: Upstream, why: Why, reason: Hindrance | None = None
    ) -> bool:
        """Send what there is of a response; False when more of it is to come."""
        if reason is not None:
            exchange.reason = reason.value
        if self._internal_files is not None and names_a_file(upstream.fields):
            upstream.close()
            self._send_file(exchange, self._internal_files, upstream, why, reason)
            return True
        if upstream.known is None:
            lines = exchange.dated(self._to_client(upstream.fields, upstream.status, why, reason))
        else:
            lines = self._lines_of(upstream.known, why, reason)
            if b"date" not in upstream.known.block.names:
                lines = exchange.client.service.date_line + lines
        exchange.outcome = why.value
        if upstream.complete:
            exchange.respond(upstream.status, lines, upstream.take(), upstream.content_length)
            return True
        exchange.start(upstream.status, lines, upstream.content_length, upstream.take())
        return False

    def _send_file(
        self,
        exchange: Exchange,
        files: InternalFiles,
        upstream: Upstream,
        why: Why,
        reason: Hindrance | None,
    ) -> None:
        """Answer with the file that a response of the origin names."""
        kept = Fields(client_fields(upstream.fields, self._keep_tags))
        try:
            answer = files.respond(exchange.request, upstream.fields, kept, self._wall())
            answer.reason = why
        except CannotSend as failure:
            self._report(f"{exchange.request.url.decode('latin-1')}: {failure}")
            answer = failure.answer
        answer.fields = with_status([*answer.fields, _VIA], _member(why, upstream.status, reason))
        exchange.answer(answer)

    def _to_client(self, fields: Fields, status: int, why: Why, reason: Hindrance | None) -> Fields:
        for naming in NAMING:
            if naming in fields and self._internal_files is None:
                name = spelled(naming).decode()
                self._report(f"the origin names a file by {name}, and there are no internal-files to send")
        return with_status([*client_fields(fields, self._keep_tags), _VIA], _member(why, status, reason))

    def _lines_of(self, head: OriginHead, why: Why, reason: Hindrance | None) -> bytes:
        """The lines of a head on their way to the client: those of its block are made once."""
        block = head.block
        told = why if reason is None else reason  # there are reasons of one `why` only
        lines = block.onward.get(told)
        if lines is None:
            fields = self._to_client(block.fields, block.status, why, reason)
            lines = block.onward[told] = template(fields, block.names)
        return lines % head.values

    async def _stream(self, exchange: Exchange, upstream: Upstream) -> None:
        """Send the rest of a response as it comes. Raises ClientGone."""
        try:
            await self._streamer.stream(exchange, upstream)
            exchange.finish()
        except OriginError as error:
            self._report(
                f"{exchange.request.url.decode('latin-1')}: the origin's response broke off: {error}"
            )
            exchange.abort()
        finally:
            upstream.close()

    def fail(self, exchange: Exchange, error: OriginError) -> None:
        """Tell the client that the origin gave no answer. Source: RFC 9110 §15.6.3 to §15.6.5"""
        if exchange.gone:
            raise ClientGone
        url = exchange.request.url.decode("latin-1")
        self._report(f"{url}: no answer from the origin: {error}")
        if error.failure in _TIMEOUTS:
            exchange.answer(error_answer(504, Why.ORIGIN_TIMEOUT))
        elif error.failure in _UNREACHABLE:
            exchange.answer(error_answer(503, Why.ORIGIN_FAILED, (b"retry-after", b"5")))
        else:
            exchange.answer(error_answer(502, Why.ORIGIN_BROKEN))

    async def _tunnel(self, exchange: Exchange, upstream: Upstream, why: Why) -> None:
        """After a 101: bytes both ways until both have ended. Source: RFC 9110 §7.8"""
        fields = Fields([*client_fields(upstream.fields, False)])
        sock, early = upstream.hand_over()
        loop = current()
        exchange.outcome = why.value
        exchange.begin_raw(101, fields.with_(b"upgrade", upstream.fields.get(b"upgrade") or b""))
        if early:
            exchange.client.write(early)

        async def up() -> None:
            while data := await exchange.read():
                await loop.sock_sendall(sock, data)
            sock.shutdown(socket.SHUT_WR)

        async def down() -> None:
            while data := await loop.sock_recv(sock, 65536):
                exchange.sent_bytes += len(data)
                exchange.client.write(data)
                await exchange.drained()

        sending = loop.create_task(up())
        try:
            await down()
        except OSError:
            pass
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            sock.close()
        exchange.end_raw()


@lru_cache(256)
def _member(why: Why, status: int, reason: Hindrance | None) -> bytes:
    """Our member of Cache-Status for a response that was passed on."""
    detail = why.value if reason is None else f"{why.value}.{reason.value}"
    return cache_status(False, fwd=FORWARD.get(why), fwd_status=status, detail=detail.encode())


def _length(exchange: Exchange, size: int) -> bytes:
    """The line that tells the length of an exchange's content, where the client's own fields don't: many
    WSGI applications, Django among them, read no content without it."""
    return b"Content-Length: %d\r\n" % size if exchange.chunked else b""


async def _pieces(spool: Spool) -> AsyncIterator[bytes]:
    while data := spool.take():
        yield data


def _interim(exchange: Exchange) -> Callable[[int, Fields], None]:
    return lambda status, fields: exchange.interim(status, Fields(client_fields(fields, False)))
