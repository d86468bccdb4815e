"""Bytes of a connection -> the response of an exchange.

Lives here: driving httptools' parser (llhttp, with all of its strictness on), what it leaves to its user
(HEAD, 101, the version, limits), and how a body ends. Source: RFC 9112 §4 to §8
Doesn't know: sockets.
"""

from enum import IntEnum

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from uncork.semantics.fields import Field, Fields, names
from uncork.semantics.messages import has_body
from uncork.upstream.exchange import Exchange
from uncork.upstream.failures import OriginError, OriginFailure
from uncork.upstream.known import Head, KnownHeads

# Bytes of a response head with the interim responses before it; of trailers; and of chunk framing that
# comes without any content.
MOST_HEAD = 64 * 1024


class Phase(IntEnum):
    IDLE = 0  # nothing is expected
    HEAD = 1
    BODY = 2
    END = 3  # the response is over, or (101) what follows is not HTTP
    CLOSED = 4


class _Stop(Exception):
    """Raised in a callback to end parsing: bytes after a response, or nobody wants it any longer."""


class ResponseReader:
    """One response after the other, each into the exchange it was announced for."""

    __slots__ = (
        "_chunked",
        "_interim",
        "_known",
        "_lines",
        "_parser",
        "_reason",
        "_split",
        "_stale",
        "exchange",
        "head_size",
        "keep",
        "left",
        "phase",
        "rest",
        "surplus",
    )

    def __init__(self, known: KnownHeads) -> None:
        self._known = known
        self._parser = HttpResponseParser(self)
        self._stale = False  # the parser is in the middle of something: a new one is needed
        self._lines: list[Field] = []
        self._reason = b""
        self._chunked = False
        self._interim = False
        self._split = False  # the version was not seen whole
        self.exchange: Exchange | None = None
        self.phase = Phase.IDLE
        # Bytes fed for a head, or since the last content of a chunked body; 0: no byte of a response yet.
        self.head_size = 0
        self.left = 0  # bytes to come of a body that is counted, not parsed
        self.keep = False  # the connection may carry another exchange
        self.surplus = False  # bytes came after the end: it may not
        self.rest = b""  # of a 101, the bytes beyond its head

    def expect(self, exchange: Exchange) -> None:
        """The next bytes are the response of this exchange."""
        self.exchange = exchange
        self.phase = Phase.HEAD
        self.head_size = 0
        if self._stale:
            self._stale = False
            self._parser = HttpResponseParser(self)

    def receive(self, data: bytes) -> None:
        """Take bytes of the response; `phase` tells what they led to. Raises OriginError."""
        exchange = self.exchange
        assert exchange is not None
        first = False
        if self.left:
            self._count(exchange, data)
            return
        if self.head_size == 0:
            if exchange.method != b"HEAD" and (head := self._known.read(data)) is not None:
                self._begin(exchange, head)
                self._count(exchange, data[head.size :])
                return
            # llhttp also takes RTSP/1.0, ICE/1.0, HTTP/2.0, and empty lines before them.
            if data[:7] != b"HTTP/1."[: len(data)]:
                raise _not_http()
            self.head_size = len(data)
            self._split = len(data) < 7
            first = True
        elif self.phase is Phase.HEAD or self._chunked:
            self.head_size += len(data)
        self._parse(data)
        length = exchange.content_length
        if length is not None:
            if self.phase is Phase.BODY:
                self.left = length - exchange.buffered
                self._stale = True
            if first and exchange.status and has_body(exchange.method, exchange.status):
                self._known.keep(data, exchange.status, exchange.reason, exchange.fields, self.keep)
        if self.head_size > MOST_HEAD and (
            self.phase is Phase.HEAD or (self._chunked and self.phase is Phase.BODY)
        ):
            raise _too_large()

    def _begin(self, exchange: Exchange, head: Head) -> None:
        """The head is there, and was known."""
        block = head.block
        exchange.known = head
        exchange.status = block.status
        exchange.reason = block.reason
        exchange.content_length = self.left = int(head.length)
        self.head_size = head.size
        self.keep = block.keep
        self.surplus = self._chunked = False
        self.phase = Phase.BODY

    def _count(self, exchange: Exchange, data: bytes) -> None:
        """Take bytes of a body whose length is known."""
        if len(data) > self.left:
            data = data[: self.left]
            self.surplus = True
        if data:
            self.left -= len(data)
            exchange.put(data)
        if not self.left:
            self.phase = Phase.END

    def end(self) -> None:
        """The peer sends no more: the response is complete by that, or it never will be (OriginError).

        Source: RFC 9112 §6.3, §8
        """
        exchange = self.exchange
        assert exchange is not None
        if self.head_size == 0:
            raise OriginError(OriginFailure.CLOSED, "closed before a response")
        if self.phase is Phase.HEAD:
            raise OriginError(OriginFailure.TRUNCATED, "closed in the middle of the head")
        if self.left:
            raise OriginError(OriginFailure.TRUNCATED, f"closed {self.left} bytes before the end of the body")
        if self._chunked:
            raise OriginError(OriginFailure.TRUNCATED, "closed before the last chunk")
        self.phase = Phase.END
        self.keep = False

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self.rest = data[upgrade.args[0] :]
        except HttpParserError as error:
            if self.phase is Phase.END:
                self.surplus = True
            elif self.phase is not Phase.CLOSED:
                cause = error.__context__
                if cause is not None:
                    raise cause from None
                raise OriginError(OriginFailure.MALFORMED, str(error)) from None

    # Called by the parser

    def on_message_begin(self) -> None:
        if self.phase is not Phase.HEAD:
            raise _Stop
        self._lines = []
        self._reason = b""

    def on_status(self, data: bytes) -> None:
        self._reason += data

    def on_header(self, name: bytes, value: bytes) -> None:
        self._lines.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        exchange = self.exchange
        assert exchange is not None
        parser = self._parser
        status: int = parser.get_status_code()
        if self.head_size > MOST_HEAD:  # the bytes counted may hold some of the body
            self._check_size()
        if self._split and parser.get_http_version() not in ("1.0", "1.1"):
            raise _not_http()
        fields = Fields(self._lines)
        self._chunked = False
        if status < 200:
            if status == 101:
                self._switch(exchange)
            elif status < 100:
                raise OriginError(OriginFailure.MALFORMED, f"status {status:03}")
            else:
                self._interim = True
                if exchange.interim is not None:
                    exchange.interim(status, fields)
                    if self.exchange is not exchange:
                        raise _Stop
                return
        content = has_body(exchange.method, status)
        coding = fields.get(b"transfer-encoding")
        if content and coding is not None:
            self._check_coding(coding)
        exchange.status = status  # from here on the consumer may go by this head
        exchange.reason = self._reason
        exchange.fields = fields
        length = fields.get(b"content-length")
        if length is not None:
            exchange.content_length = int(length)
        self.keep = parser.should_keep_alive()
        self.surplus = False
        if status == 101:
            self.phase = Phase.END
        elif content:
            self.phase = Phase.BODY
        else:
            # The parser doesn't know the method, and takes a chunked 304 at its word.
            self.phase = Phase.END
            self._stale = True
            if not self.keep and exchange.method == b"HEAD" and parser.get_http_version() == "1.1":
                self.keep = b"close" not in names(fields.get(b"connection"))

    def on_body(self, data: bytes) -> None:
        if self.phase is not Phase.BODY:
            raise _Stop
        exchange = self.exchange
        assert exchange is not None
        exchange.put(data)
        self.head_size = 1

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        else:
            self.phase = Phase.END

    def _check_size(self) -> None:
        if sum(len(name) + len(value) + 4 for name, value in self._lines) > MOST_HEAD:
            raise _too_large()

    def _switch(self, exchange: Exchange) -> None:
        if not exchange.upgrade or not self._parser.should_upgrade():
            raise OriginError(OriginFailure.MALFORMED, "101 that was not asked for")

    def _check_coding(self, coding: bytes) -> None:
        """Nothing but chunked was offered, and 1.0 doesn't know it. Source: RFC 9112 §6.1"""
        if coding.lower() != b"chunked" or self._parser.get_http_version() == "1.0":
            raise OriginError(OriginFailure.MALFORMED, f"Transfer-Encoding {coding.decode('latin-1')!r}")
        self._chunked = True
        self.head_size = 1


def _too_large() -> OriginError:
    return OriginError(OriginFailure.HEAD_TOO_LARGE, f"more than {MOST_HEAD} bytes")


def _not_http() -> OriginError:
    return OriginError(OriginFailure.MALFORMED, "not an HTTP/1 response")
