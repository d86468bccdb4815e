"""One request to the origin and its response back, without a store between them.

Lives here: what a proxy changes in a message, the relay of a response as it comes, upgrades, files that
the origin has the edge send. Doesn't know: what may be cached.
"""

import asyncio
import socket
from collections.abc import Callable

from uncork.caching.status import cache_status, joined
from uncork.edge.decide import FORWARD, Why
from uncork.edge.errorpages import error_answer
from uncork.edge.exchange import ClientGone, Exchange
from uncork.edge.internal import InternalFiles
from uncork.net.loop import current
from uncork.pages.tags import TAG_FIELDS
from uncork.semantics.fields import Field, Fields, names
from uncork.semantics.messages import HOP_BY_HOP, IDEMPOTENT_METHODS, Response
from uncork.upstream.exchange import Exchange as Upstream
from uncork.upstream.failures import OriginError, OriginFailure
from uncork.upstream.origins import Origins
from uncork.upstream.pool import Pool
from uncork.wire.writing import request_head

# Names that only Uncork's own processes may use among themselves: taken off whatever comes from outside.
INTERNAL_PREFIX = b"uncork-"
PEER_FIELD = b"uncork-peer"

_REPLACED = frozenset({b"host", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"expect"})
_VIA: Field = (b"via", b"1.1 uncork")
_TIMEOUTS = frozenset(
    {OriginFailure.CONNECT_TIMEOUT, OriginFailure.RESPONSE_TIMEOUT, OriginFailure.READ_TIMEOUT}
)
_UNREACHABLE = frozenset({OriginFailure.CONNECT_REFUSED, OriginFailure.POOL_EXHAUSTED})


def origin_fields(exchange: Exchange, fields: Fields, trusted: bool) -> list[Field]:
    """The fields of a request on its way to the origin. Source: RFC 9110 §7.6, RFC 7239's precursors

    Who forwarded to us is believed about the client only where that was said (`trusted`).
    """
    request = exchange.request
    dropped = HOP_BY_HOP | _REPLACED  # what Connection named is not there any more
    kept = [item for item in fields if item[0] not in dropped and not item[0].startswith(INTERNAL_PREFIX)]
    peer = exchange.client.address
    before = fields.get(b"x-forwarded-for") if trusted else None
    proto = (fields.get(b"x-forwarded-proto") if trusted else None) or request.scheme
    kept.append((b"x-forwarded-for", peer if before is None else before + b", " + peer))
    kept.append((b"x-forwarded-proto", proto))
    kept.append((b"x-forwarded-host", request.authority))
    if exchange.chunked:
        kept.append((b"transfer-encoding", b"chunked"))
    return [(b"host", request.authority), *kept]


def client_fields(fields: Fields, keep_tags: bool) -> list[Field]:
    """The fields of the origin's response that the client gets. Source: RFC 9110 §7.6.1, §7.6.3"""
    dropped = HOP_BY_HOP | {b"content-length"}
    if not keep_tags:
        dropped = dropped | TAG_FIELDS
    if (connection := fields.get(b"connection")) is not None:
        dropped = dropped.union(names(connection))
    return [item for item in fields if item[0] not in dropped and not item[0].startswith(INTERNAL_PREFIX)]


def with_status(fields: list[Field], member: bytes) -> Fields:
    """With our member of Cache-Status behind those of caches nearer to the origin."""
    before = [value for name, value in fields if name == b"cache-status"]
    if before:
        fields = [item for item in fields if item[0] != b"cache-status"]
    return Fields((*fields, (b"cache-status", joined(b", ".join(before), member))))


class Forwarder:
    """Sends requests to the origins of a site."""

    def __init__(
        self,
        origins: Origins,
        trusted: Callable[[bytes], bool],
        internal_files: InternalFiles | None,
        keep_tags: bool,
        report: Callable[[str], None],
        wall: Callable[[], float],
    ) -> None:
        self.origins = origins
        self._trusted = trusted
        self._internal_files = internal_files
        self._keep_tags = keep_tags
        self._report = report
        self._wall = wall

    async def ask(
        self, exchange: Exchange, fields: Fields, method: bytes, to: Pool | None = None
    ) -> Upstream:
        """Send the request of an exchange with these fields. Raises OriginError, ClientGone."""
        request = exchange.request
        head = request_head(
            method,
            request.target,
            origin_fields(exchange, fields, self._trusted(exchange.client.address)),
        )
        return await (to or self.origins).send(head, method=method, retry=method in IDEMPOTENT_METHODS)

    async def forward(self, exchange: Exchange, why: Why, received: Callable[[Response], None]) -> None:
        """Forward an exchange, content and all, and relay the response, or tell the client that there is
        none. `received` is called with its head before the client gets any of it. Raises ClientGone."""
        request = exchange.request
        fields = origin_fields(exchange, request.fields, self._trusted(exchange.client.address))
        upgrade = why is Why.PASS_UPGRADE
        if upgrade:
            fields += [(b"connection", b"upgrade"), (b"upgrade", request.fields.get(b"upgrade") or b"")]
        try:
            upstream = await self.origins.send(
                request_head(request.method, request.target, fields),
                exchange.framed() if exchange.has_content else None,
                method=request.method,
                retry=request.method in IDEMPOTENT_METHODS and not exchange.has_content,
                upgrade=upgrade,
                interim=lambda status, fields: exchange.interim(status, Fields(client_fields(fields, False))),
            )
        except OriginError as error:
            self.fail(exchange, error)
            return
        received(Response(upstream.status, upstream.fields))
        if upstream.status == 101:
            await self._tunnel(exchange, upstream, why)
        else:
            await self.relay(exchange, upstream, why)

    async def relay(self, exchange: Exchange, upstream: Upstream, why: Why) -> None:
        """Send the client a response of the origin as it comes. Raises ClientGone."""
        if self._internal_files is not None:
            answer = self._internal_files.respond(exchange.request, upstream.fields, self._wall())
            if answer is not None:
                upstream.close()
                exchange.answer(answer)
                return
        member = cache_status(
            False, fwd=FORWARD.get(why), fwd_status=upstream.status, detail=why.value.encode()
        )
        fields = with_status([*client_fields(upstream.fields, self._keep_tags), _VIA], member)
        exchange.outcome = why.value
        try:
            if upstream.complete:
                exchange.respond(upstream.status, fields, upstream.take(), upstream.content_length)
                return
            exchange.start(upstream.status, fields, upstream.content_length, upstream.take())
            while data := await upstream.read():
                exchange.write(data)
                await exchange.drained()
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
