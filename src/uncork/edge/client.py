"""The server's side of one HTTP/1.1 connection.

Lives here: reading requests off a connection, the fast path, one exchange after another, and the bytes of
its answers. Doesn't know: how an answer is found (`service`), what a file or a cache is.

The life of a connection is three states. *Idle*: nothing is buffered; a read that brings one whole head
tries the fast path. *Reading*: part of a head is buffered. *Busy*: an exchange is under way; what
arrives is its content, or waits its turn.
"""

import select
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

from uncork.edge.exchange import Exchange
from uncork.edge.rewriting import PEER_FIELD
from uncork.net.connection import RECEIVE_BYTES, Connection
from uncork.net.loop import Loop
from uncork.semantics.messages import Request
from uncork.semantics.targets import normalised_authority
from uncork.wire.known import NO_CONDITION, VALUE_BYTES, Head, Shape, volatile_line
from uncork.wire.requests import NO_CONTENT, Refused, without_named

if TYPE_CHECKING:
    from uncork.edge.hot import Profile
    from uncork.edge.service import Service

_HANGUP = select.EPOLLHUP | select.EPOLLERR
_BLANK_LINE = b"\r\n\r\n"
_CRLF = b"\r\n"
_split = volatile_line.split
# What a client may send ahead (pipelined requests, content before it is wanted). Bytes.
_MOST_AHEAD = 256 * 1024


class Client(Connection):
    """One client. `service` is what all clients of a worker share."""

    __slots__ = (
        "address",
        "buffer",
        "ended",
        "exchange",
        "head_since",
        "internal",
        "reading",
        "service",
        "shape",
    )

    def __init__(
        self, loop: Loop, sock: socket.SocketType, address: bytes, service: "Service", internal: bool
    ) -> None:
        self.service = service
        self.internal = internal  # another worker of this machine: its fields about the client are true
        self.buffer = b""
        self.exchange: Exchange | None = None
        self.ended = False  # the client has said that it sends no more
        self.head_since = 0.0  # monotonic seconds of the first byte of a head that isn't whole; 0: none
        self.address = address  # of the client, as text
        self.reading = False
        # Of the last head that the fast path read, here or anywhere; it isn't for other workers, which count
        # and log by themselves what we answer them.
        self.shape = None if internal else service.shape
        super().__init__(loop, sock)
        service.clients.add(self)

    def on_readable(self, events: int) -> None:
        try:
            data = self.receive(RECEIVE_BYTES)
        except BlockingIOError:
            if events & _HANGUP:
                self.close()
            return
        except OSError:
            self.close()
            return
        if not data:
            self._on_end(events)
            return
        self.active = self.poller.now
        if self.buffer or self.exchange is not None:
            self._more(data)
            return
        service = self.service

        # The fast path: one whole head like the last one, or of a block that was seen before, for which
        # an answer is ready.
        shape = self.shape
        end = at = data.find(_CRLF)
        if shape is not None:
            values = []
            for piece, size in shape.pieces:
                if not data.startswith(piece, at):
                    shape = None
                    break
                start = at + size
                at = data.find(_CRLF, start)
                values.append(data[start:at])
            if shape is not None and (
                at + shape.tail_size != len(data)
                or not data.endswith(shape.tail)
                or b"".join(values).translate(None, VALUE_BYTES)
                or at > service.limits.head_bytes - shape.tail_size
                or service.draining
            ):
                shape = None
        if shape is None:
            if data[-4:] != _BLANK_LINE or len(data) > service.limits.head_bytes:
                self._more(data)
                return
            parts = _split(data)
            rest = data if len(parts) == 1 else b"".join(parts[::3])
            block = service.blocks.get(rest[end:])
            if block is None or len(block.items) + len(parts) // 3 > service.limits.fields:
                self._more(data)
                return
            shape = block.shape(parts, end)
            values = parts[2::3]
            told = service.hot.profile(block).told
            if self.internal or (told and not service.trusts(self.address)):
                self._begin(data[:end], shape, values)
                return
            self.shape = shape  # so a client whose last shape was told is trusted, and none is internal
            if not told:
                service.shape = shape
        line = data[:end]
        profile = shape.block.note
        hot = profile.hot.get(line)
        if hot is None:
            self._begin(line, shape, values)
            return
        if hot.until <= self.active or hot.epoch != service.counter[0]:
            hot = service.hot.current(hot, shape, values, self.active, service.counter[0])
            if hot is None:
                self._begin(line, shape, values)
                return
        condition = shape.condition
        if condition == NO_CONDITION:
            whole = hot.whole
            part = hot.part
        elif condition >= 0 and values[condition] == hot.etag:
            whole = hot.not_modified
            part = None
        else:
            self._begin(line, shape, values)
            return
        hot.hits += 1
        if service.log is not None:
            service.log.hot(self.address, line, hot, condition >= 0, shape, values)
        if part is None:
            try:
                sent = self.send(whole)
            except OSError:
                self.write(whole)
            else:
                if sent < len(whole):
                    self._wait(memoryview(whole)[sent:])
        else:
            self.write(whole, more=True)
            self.write_file(part.file.fd, part.offset, part.count, part.file.acquire().release)
        if not profile.keep_alive:
            self._finish()

    # The long way

    def _more(self, data: bytes) -> None:
        """Bytes that the fast path is not for."""
        if self.exchange is not None and self.exchange.feed(data):
            return
        self.buffer = self.buffer + data if self.buffer else data
        if self.exchange is None:
            self._read_heads()
        elif len(self.buffer) > _MOST_AHEAD:
            self.pause()

    def _read_heads(self) -> None:
        """Begin the next exchange if a whole head is buffered, and those after it that end at once."""
        self.reading = True  # an exchange that ends must not start another one from within
        try:
            self._read_buffered_heads()
        finally:
            self.reading = False

    def _read_buffered_heads(self) -> None:
        while self.exchange is None and self.buffer and not self.closing and not self.sending:
            buffer = self.buffer[_empty_lines(self.buffer) :]
            end = buffer.find(_BLANK_LINE)
            limits = self.service.limits
            if (len(buffer) if end < 0 else end + 4) > limits.head_bytes:
                line_end = buffer.find(b"\r\n")
                if not 0 <= line_end <= limits.target_bytes + 100:
                    self.refuse(Refused(414, "the request target is too long"))
                else:
                    self.refuse(Refused(431, "the request's fields are too large"))
                return
            if end < 0:
                begins = self.buffer.startswith(_CRLF)  # what stood there was no head
                self.buffer = buffer or _CRLF  # with that, what comes next is no fast path's
                if b"\n" in buffer and _broken(buffer):
                    self.refuse(Refused(400, "a line that does not end in CRLF"))
                elif (begins and buffer) or not self.head_since:
                    self.head_since = self.active
                elif self.ended:
                    self.close()
                return
            self.buffer = buffer[end + 4 :]
            self.head_since = 0.0
            try:
                head = self.service.known.read(buffer[: end + 4])
            except Refused as refused:
                self.refuse(refused)
                return
            self._start(head)

    def _begin(self, line: bytes, shape: Shape, values: list[bytes]) -> None:
        """Begin an exchange from a head that the fast path has taken apart."""
        head = Head(line, shape.block, shape.volatile(values))
        profile: Profile = shape.block.note
        passed = profile.passed.get(line)
        mark = None if passed is None else passed.mark(shape, values, self.active)
        if (
            passed is None
            or mark is None
            or self.internal
            or (profile.told and not self.service.trusts(self.address))
        ):
            self._start(head)
            return
        request = Request(*passed.target, head.fields())
        self.exchange = exchange = Exchange(self, request, head, NO_CONTENT, profile.keep_alive, False)
        self.service.pass_known(exchange, mark)

    def _start(self, head: Head) -> None:
        service = self.service
        known = service.known
        fields = head.fields()
        try:
            target = known.target(head.line, fields.get(b"host"))
            terms = known.terms(head.block, target.version)
        except Refused as refused:
            self.refuse(refused)
            return
        if not target.authority:
            target = target._replace(authority=self._local_authority())
        if terms.named is not None:
            fields = without_named(terms.named, fields)
        if self.internal:
            self.address = fields.get(PEER_FIELD) or b"-"
        content = terms.content
        request = Request(*target, fields)
        proto = fields.get(b"x-forwarded-proto")
        if proto in (b"http", b"https") and service.trusts(self.address):
            request = replace(request, scheme=proto)
        keep_alive = terms.persists and not service.draining
        self.exchange = exchange = Exchange(self, request, head, content, keep_alive, terms.expects)
        if (content.length or content.chunked) and self.buffer:
            ahead, self.buffer = self.buffer, b""
            exchange.feed(ahead)
            if self.exchange is not exchange:  # it was refused
                return
        service.serve(exchange)

    def _local_authority(self) -> bytes:
        """Whom a request is for that names no host: where it came to. Source: RFC 9112 §3.3"""
        if self.sock.family == socket.AF_UNIX:
            return b"localhost"
        host, port, *_ = self.sock.getsockname()
        host = host.removeprefix("::ffff:").partition("%")[0]
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return normalised_authority(authority.encode(), b"http")

    def exchange_done(self, persists: bool) -> None:
        """The answer of the current exchange is written (or queued), its content read or given up."""
        self.exchange = None
        if self.closing:
            return
        if not persists:
            self._finish()
        elif not self.sending:
            self.on_sent()

    def on_sent(self) -> None:
        if self.exchange is not None or self.reading:
            return
        if self.buffer:
            self._read_heads()
        if self.exchange is None and not self.closing and not self.sending:
            if self.ended:
                self.close()
            else:
                self.resume()

    def refuse(self, refused: Refused) -> None:
        """Answer a request that can't be served, and close."""
        self.buffer = b""
        self.head_since = 0.0
        self.service.refuse(self, refused)
        self.linger()

    def _finish(self) -> None:
        """Close after what is queued; at once when nothing is and nothing unread can reset it."""
        if self.sending or self.buffer:
            self.linger()
        else:
            self.close()

    def _on_end(self, events: int) -> None:
        """The client has sent its last byte; it may still be waiting for an answer (RFC 9112 §9.6). Only a
        Unix socket tells whether it is: TCP knows when an answer was sent that nobody took."""
        self.ended = True
        if self.exchange is None or events & _HANGUP:
            self.close()
        else:
            self.pause()
            self.exchange.feed(b"")

    def on_closed(self, unsent: int) -> None:
        self.service.clients.discard(self)
        # What it had sent goes now: left in a cycle, it would wait for a full collection, which is rare.
        self.buffer = b""
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.client_gone(unsent)

    # Time

    def overdue(self, now: float) -> bool:
        """Called every second or so: act on a time limit that has passed; True when it has."""
        limits = self.service.limits
        if self.sending:
            if now - self.active > limits.send_seconds:
                self.close()
                return True
        elif self.exchange is not None:
            return self.exchange.overdue(now)
        elif self.head_since and self.buffer == _CRLF:  # empty lines are no head, and no sign of life
            if now - self.head_since > limits.idle_seconds:
                self.close()
                return True
        elif self.head_since:
            if now - self.head_since > limits.head_seconds:
                self.refuse(Refused(408, "the request's head took too long"))
                return True
        elif now - self.active > limits.idle_seconds:
            self.close()
            return True
        return False


def _empty_lines(data: bytes) -> int:
    """The bytes of the empty lines that `data` begins with. Before a request line at least one is to be
    ignored. Source: RFC 9112 §2.2"""
    at = 0
    while data.startswith(_CRLF, at):
        at += 2
    return at


def _broken(head: bytes) -> bool:
    """Whether a partial head holds an LF without its CR: it would wait for a blank line that never comes."""
    at = head.find(b"\n")
    while at >= 0:
        if at == 0 or head[at - 1] != 13:
            return True
        at = head.find(b"\n", at + 1)
    return False
