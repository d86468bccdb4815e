"""One request of a client and the answer to it.

Lives here: the request's content as it arrives, and the answer as it goes out: whole, or as a stream.
Doesn't know: how the answer was found, and what comes after it on the connection (`client`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from uncork.edge.answers import Answer, FilePart, body_length
from uncork.edge.decide import Why
from uncork.semantics.fields import Fields
from uncork.semantics.messages import Request, has_body
from uncork.wire.chunked import ChunkedReader
from uncork.wire.known import Head
from uncork.wire.requests import Framing, Refused
from uncork.wire.writing import CONTINUE, LAST_CHUNK, chunk, field_lines, status_line

if TYPE_CHECKING:
    from uncork.edge.client import Client

# Content that waits for its reader before the socket is left unread. Bytes.
_MOST_BUFFERED = 256 * 1024
# What a worker tells another one, whose client is asking: why it answered so, and behind a dot why the
# response isn't stored.
OUTCOME_FIELD = b"uncork-outcome"
# The status in the log where nothing was answered, as nginx has it. No client ever gets it.
_CLIENT_CLOSED_REQUEST = 499


class ClientGone(Exception):
    """The client is not there any more, or didn't send what it promised: nothing is to be answered."""


class Exchange:
    """`outcome` names why the answer is what it is, for the log and the counters; `reason` why a response of
    the origin is not stored, where that was looked at, for the log."""

    __slots__ = (
        "_buffer",
        "_buffered",
        "_chunked_answer",
        "_chunks",
        "_empty",
        "_expects",
        "_left",
        "_over",
        "_raw",
        "_waiter",
        "began",
        "client",
        "gone",
        "has_content",
        "head",
        "keep_alive",
        "on_gone",
        "outcome",
        "reason",
        "request",
        "sent_bytes",
        "status",
        "task",
    )

    def __init__(
        self,
        client: "Client",
        request: Request,
        head: Head,
        content: Framing,
        keep_alive: bool,
        expects: bool,
    ) -> None:
        self.client = client
        self.request = request
        self.head = head
        self.keep_alive = keep_alive
        self.began = client.active  # monotonic seconds
        self.status = 0  # of the answer, once it has begun
        self.sent_bytes = 0  # of its content
        self.outcome = ""
        self.reason = ""
        self.gone = False
        self.task: asyncio.Task[None] | None = None
        self.on_gone: Callable[[], None] | None = None  # gives up what is under way without a task
        # The request's content
        self._chunks = ChunkedReader() if content.chunked else None
        self._left = content.length
        self.has_content = content.chunked or content.length > 0
        self._expects = expects and request.version == b"1.1" and self.has_content
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._over = not self.has_content
        self._raw = False
        self._waiter: asyncio.Future[None] | None = None
        # The answer
        self._chunked_answer = False
        self._empty = False  # whatever there is of content is not sent: the answer to HEAD, 204, 304

    # The request's content

    def feed(self, data: bytes) -> bool:
        """Bytes from the client, b"" at their end. False when they are not part of this exchange."""
        if not data:
            self._wake()
            return True
        if self._raw:
            self._keep(data)
            return True
        if self._over:
            return False
        if self._chunks is not None:
            try:
                content = self._chunks.feed(data)
            except Refused as refused:
                self._break(refused)
                return True
            self._left += len(content)  # here it counts up
            if self._left > self.client.service.limits.body_bytes:
                self._break(Refused(413, "the content is too large"))
                return True
            if self._chunks.done:
                self._over = True
                self.client.buffer = self._chunks.rest
        else:
            content = data[: self._left]
            self._left -= len(content)
            if not self._left:
                self._over = True
                self.client.buffer = data[len(content) :]
        self._keep(content)
        return True

    def _keep(self, content: bytes) -> None:
        if content:
            self._buffer.append(content)
            self._buffered += len(content)
            if self._buffered > _MOST_BUFFERED:
                self.client.pause()
        self._wake()

    async def read(self) -> bytes:
        """The next bytes of the content, b"" at its end. Raises ClientGone when that end won't come."""
        if self._expects:
            self._expects = False
            if not self.status and not self._buffer:
                self.client.write(CONTINUE)
        while not self._buffer:
            if self._over:
                return b""
            if self.gone or self.client.ended:
                if self._raw:
                    return b""
                raise ClientGone
            self.client.resume()
            self._waiter = self.client.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._take()

    def whole(self) -> bytes | None:
        """The content, if there is one and all of it is here already."""
        return self._take() if self._over and self.has_content else None

    def _take(self) -> bytes:
        data = b"".join(self._buffer)
        self._buffer.clear()
        if self._buffered > _MOST_BUFFERED and not self.client.ended:
            self.client.resume()
        self._buffered = 0
        return data

    async def framed(self) -> AsyncIterator[bytes]:
        """The content as it goes to the origin: in chunks if it came in chunks."""
        while data := await self.read():
            yield chunk(data) if self._chunks is not None else data
        if self._chunks is not None:
            yield LAST_CHUNK

    @property
    def chunked(self) -> bool:
        """Whether the request's content has no length that is known beforehand."""
        return self._chunks is not None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _break(self, refused: Refused) -> None:
        """The content can't be read: answer so if nothing was answered yet."""
        self._over = True
        self.keep_alive = False
        self.gone = True
        self.client.exchange = None
        if self.status:
            self._unfinished(0)
            self.client.close()
        else:
            self.client.refuse(refused)
        self._cancel()

    # Who works at the answer

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Have a task see to the answer; it is cancelled when the client goes away."""
        self.client.service.run(self, work)

    def failed(self, error: Exception) -> None:
        """Whoever worked at the answer raised."""
        self.client.service.failed(self, error)

    # The answer

    def answer(self, answer: Answer) -> None:
        """Send a whole answer; the exchange is over."""
        self.outcome = str(answer.reason.value)
        body = answer.body
        fields = answer.fields
        length = None
        if b"content-length" not in fields and has_body(b"GET", answer.status):
            length = body_length(body)
        head = self._head(answer.status, self.dated(fields), length)
        client = self.client
        if isinstance(body, bytes):
            if self.request.method == b"HEAD":
                body = b""
            client.write(head + body)
            self.sent_bytes = len(body)
            self._end()
            return
        client.write(head, more=True)
        parts = body if isinstance(body, list) else [body]
        for i, part in enumerate(parts, 1):
            if isinstance(part, FilePart):
                client.write_file(part.file.fd, part.offset, part.count, part.file.release)
                self.sent_bytes += part.count
            else:
                client.write(part, more=i < len(parts))
                self.sent_bytes += len(part)
        self._end()

    def dated(self, fields: Fields) -> bytes:
        """The lines of these fields, and Date where they have none. Source: RFC 9110 §6.6.1"""
        lines = field_lines(fields)
        return lines if b"date" in fields else self.client.service.date_line + lines

    def start(self, status: int, lines: bytes, length: int | None, first: bytes = b"") -> None:
        """Begin an answer whose content follows with `write`; `first` is what is there of it already.

        `lines` are those of its fields, `dated`, without those of its framing and of the connection.
        `length` is None where it isn't known: then it is sent in chunks, or to a client of HTTP/1.0 until
        the connection ends.
        """
        self._empty = not has_body(self.request.method, status)
        sent = 0
        if length is None and not self._empty:
            if self.request.version == b"1.1":
                self._chunked_answer = True
                lines += b"Transfer-Encoding: chunked\r\n"
            else:
                self.keep_alive = False
        head = self._head(status, lines, length)
        if first and not self._empty:
            sent = len(first)
            head += chunk(first) if self._chunked_answer else first
        self.client.write(head)
        self.sent_bytes = sent

    def respond(self, status: int, lines: bytes, body: bytes, length: int | None) -> None:
        """Send an answer of which all is there, its fields as for `start`; `length` is what HEAD's answer
        says of its content."""
        if has_body(self.request.method, status):
            length = len(body)
        else:
            body = b""
        self.client.write(self._head(status, lines, length, body))
        self.sent_bytes = len(body)
        self._end()

    def write(self, data: bytes) -> None:
        """Some content of an answer that was started. To wait for the client is the caller's: `drained`."""
        if data and not self._empty:
            self.client.write(chunk(data) if self._chunked_answer else data)
            self.sent_bytes += len(data)

    def interim(self, status: int, fields: Fields) -> None:
        """A response before the response: 103. Not for HTTP/1.0. Source: RFC 9110 §15.2"""
        if self.request.version == b"1.1" and not self.status:
            self.client.write(status_line(status) + field_lines(fields) + b"\r\n")

    async def drained(self) -> None:
        """Wait until the client has taken what was written. Raises ClientGone."""
        try:
            await self.client.drained()
        except ConnectionResetError:
            raise ClientGone from None

    def finish(self) -> None:
        """The answer that was started is complete."""
        if self._chunked_answer:
            self.client.write(LAST_CHUNK)
        self._end()

    def abort(self) -> None:
        """The answer that was started can't be completed: the client must notice. Source: RFC 9112 §8"""
        self.outcome = Why.BROKEN_OFF.value
        self.client.close()

    def begin_raw(self, status: int, fields: Fields) -> None:
        """Answer 101: from here on what the client sends is no longer HTTP; `read` gives it as it comes."""
        upgrade = fields.get(b"upgrade") or b""
        self.keep_alive = False
        self._raw = True
        self._over = False
        self.status = status
        extra = ((b"connection", b"upgrade"), (b"upgrade", upgrade))
        self.client.write(status_line(status) + field_lines((*fields.without(b"upgrade"), *extra)) + b"\r\n")
        ahead, self.client.buffer = self.client.buffer, b""
        if ahead:
            self.feed(ahead)

    def end_raw(self) -> None:
        """The tunnel is closed."""
        self._over = True
        self._end()

    def _head(self, status: int, lines: bytes, length: int | None, body: bytes = b"") -> bytes:
        self.status = status
        # The rest of the content may be in the way of the next request.
        if not self._over or self.client.service.draining:
            self.keep_alive = False
        if length is None or status < 200 or status in (204, 304):
            framing = b""
        else:
            framing = b"Content-Length: %d\r\n" % length
        if self.client.internal:
            told = f"{self.outcome}.{self.reason}" if self.reason else self.outcome
            lines += b"%b: %b\r\n" % (OUTCOME_FIELD, told.encode())
        if not self.keep_alive:
            end = b"Connection: close\r\n\r\n"
        elif self.request.version == b"1.0":
            end = b"Connection: keep-alive\r\n\r\n"
        else:
            end = b"\r\n"
        return b"".join((status_line(status), lines, framing, end, body))

    def _end(self) -> None:
        self.on_gone = None  # it knows of this exchange: a cycle would wait for the collector
        if self.gone:  # while it was written
            return
        client = self.client
        client.service.ended(self)
        if not self._over:
            client.exchange = None
            client.linger()
            return
        client.exchange_done(self.keep_alive)

    # The end

    def client_gone(self, unsent: int) -> None:
        """The connection is closed, whatever was under way; so many bytes were still to be sent."""
        self.gone = True
        self._unfinished(unsent)
        self._buffer.clear()
        self._wake()
        self._cancel()

    def _unfinished(self, unsent: int) -> None:
        """The answer will never be complete: count and log it for what it is."""
        if self.outcome != Why.BROKEN_OFF.value:
            self.outcome = Why.CLIENT_GONE.value
        self.status = self.status or _CLIENT_CLOSED_REQUEST
        self.sent_bytes = max(0, self.sent_bytes - unsent)
        self.client.service.ended(self)

    def _cancel(self) -> None:
        """Stop whoever works at the answer, unless that is who is calling."""
        give_up, self.on_gone = self.on_gone, None
        if give_up is not None:
            give_up()
        task, self.task = self.task, None
        if task is not None and not task.done() and task is not asyncio.current_task(self.client.loop):
            task.cancel()

    def overdue(self, now: float) -> bool:
        """Whether the client has kept us waiting for content for too long; if so it is refused."""
        limits = self.client.service.limits
        if self._waiter is None or self._raw or now - self.client.active <= limits.body_seconds:
            return False
        self._break(Refused(408, "the content took too long"))
        return True
