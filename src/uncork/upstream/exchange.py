"""One request and its response, as its consumer sees it.

Lives here: the response head, the body bytes that arrived, and who waits for more of them.
Doesn't know: sockets, parsing, and which connection carries it (only that something does).

A consumer either awaits (`read`), or sets a `listener` and takes what is there (`take`): a pass-through
without a task costs half of one with it.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from uncork.semantics.fields import Fields
from uncork.upstream.failures import OriginError, OriginFailure, retold
from uncork.upstream.known import Head

BodySource = AsyncIterator[bytes]
Interim = Callable[[int, Fields], None]

NO_FIELDS = Fields()

# Bytes of a response that wait for their reader before the socket is left unread.
MOST_BUFFERED = 256 * 1024


class Carrier(Protocol):
    """What carries an exchange that isn't over: a connection, or the queue for one."""

    def resume(self) -> None:
        """Read on: the buffer has room again."""

    def abort(self, exchange: "Exchange") -> None:
        """Give it up, without telling the exchange."""

    def hand_over(self) -> tuple[socket.socket, bytes]:
        """Let go of the socket, with what was read from it beyond the head."""


class Exchange:
    """A request that was sent and the response to it.

    `status` is 0 until the head is there. `content_length` is what the head says (None: not known; it is
    also set for HEAD). `complete` is True once the response has arrived whole, which can be while some
    of it is still to be taken; a response whose end is missing never becomes complete. `error` is the
    OriginError, or what the source of the request's body raised. `known` is the head as it was taken apart,
    when most of it was seen before.

    `listener(exchange)` is called when the head is there, when more bytes are, at the end and on failure;
    never before `start` has returned, and several of these may be told in one call.
    """

    __slots__ = (
        "_buffer",
        "_fields",
        "_waiter",
        "body",
        "buffered",
        "carrier",
        "complete",
        "consumed",
        "content_length",
        "deadline",
        "elsewhere",
        "error",
        "head",
        "interim",
        "known",
        "listener",
        "method",
        "reason",
        "retry",
        "reused",
        "status",
        "upgrade",
    )

    def __init__(
        self,
        head: bytes,
        body: bytes | BodySource | None,
        method: bytes,
        retry: bool,
        upgrade: bool,
        interim: Interim | None,
    ) -> None:
        # The request
        self.head = head
        self.body = body
        self.method = method
        self.retry = retry
        self.upgrade = upgrade
        self.interim = interim
        self.consumed = False  # the source of the body was asked for bytes: it can't be sent again
        self.elsewhere: Callable[[Exchange], bool] | None = None  # tries another address
        # The response
        self.status = 0
        self.reason = b""
        self._fields = NO_FIELDS
        self.known: Head | None = None
        self.content_length: int | None = None
        self.complete = False
        self.error: BaseException | None = None
        self.reused = False  # its connection had served another exchange before
        self.buffered = 0  # bytes
        self.deadline = 0.0  # by the loop's clock, while it waits for a connection
        self.carrier: Carrier | None = None
        self.listener: Callable[[Exchange], None] | None = None
        self._buffer: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None

    @property
    def fields(self) -> Fields:
        """Those of the response: of a known head they are made when they are asked for."""
        if self.known is not None and self._fields is NO_FIELDS:
            self._fields = self.known.fields()
        return self._fields

    @fields.setter
    def fields(self, fields: Fields) -> None:
        self._fields = fields

    def take(self) -> bytes:
        """What has arrived of the body and was not taken yet; b"" when that is nothing."""
        buffer = self._buffer
        if not buffer:
            return b""
        data = buffer[0] if len(buffer) == 1 else b"".join(buffer)
        buffer.clear()
        if self.buffered > MOST_BUFFERED and self.carrier is not None:
            self.carrier.resume()
        self.buffered = 0
        return data

    async def read(self) -> bytes:
        """The next bytes of the body, as many as there are; b"" at its end. Raises OriginError.

        What arrived before a failure is given first. For one reader at a time.
        """
        while not self._buffer:
            if self.error is not None:
                raise retold(self.error)
            if self.complete:
                return b""
            await self.changed()
        return self.take()

    async def begun(self) -> None:
        """Wait for the head. Raises what became of it instead; cancelling closes the exchange."""
        try:
            while self.status == 0 and self.error is None:
                await self.changed()
        except BaseException:
            self.close()
            raise
        if self.status == 0 and self.error is not None:
            raise retold(self.error)

    async def changed(self) -> None:
        """Wait until something arrives, or the exchange ends."""
        assert self._waiter is None, "an exchange has one reader"
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def close(self) -> None:
        """Give the exchange up; what the origin still sends is not read. Idempotent, and nothing at all
        after the end."""
        carrier = self.carrier
        if carrier is None:
            return
        self.carrier = None
        carrier.abort(self)
        self.error = OriginError(OriginFailure.ABORTED)
        self.listener = None
        self.notify()

    def hand_over(self) -> tuple[socket.socket, bytes]:
        """After a 101: the non-blocking socket, which is the caller's from now on (watched by nobody, and
        no longer the pool's), and the bytes that were read beyond the head. Source: RFC 9110 §7.8
        """
        assert self.status == 101 and self.carrier is not None, "only once, and after a 101"
        carrier, self.carrier = self.carrier, None
        return carrier.hand_over()

    # For its carrier

    def put(self, data: bytes) -> None:
        self._buffer.append(data)
        self.buffered += len(data)

    def fail(self, error: BaseException) -> None:
        self.carrier = None
        self.error = retold(error)
        self.notify()

    def notify(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        if self.listener is not None:
            self.listener(self)
