"""Responses as origins send them: whole, byte by byte, split at every position, cut short, or wrong."""

import asyncio

import pytest

from support.loops import on_loop
from support.origins import Peer, origin
from uncork.upstream.failures import OriginError, OriginFailure
from uncork.upstream.pool import Pool

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def request(method=b"GET", path=b"/", more=b""):
    return b"%b %b HTTP/1.1\r\nHost: h\r\n%b\r\n" % (method, path, more)


async def body_of(exchange):
    found = b""
    while data := await exchange.read():
        found += data
    return found


async def answered(pool, parts, method=b"GET"):
    """Have the origin send these parts; the exchange and its body."""
    exchange = await pool.send(request(method), method=method)
    return exchange, await body_of(exchange)


class Script:
    """Answers each request with the parts that are set for it; closes where they end with None."""

    def __init__(self):
        self.parts = []
        self.connections = 0

    async def __call__(self, peer: Peer):
        self.connections += 1
        while await peer.head():
            for part in self.parts:
                if part is None:
                    return
                await peer.send(part, b"")


# What is sent, the method, then what must be understood: status, body, whether the connection is kept.
WHOLE = [
    pytest.param(OK + b"Content-Length: 5\r\n\r\nhello", b"GET", 200, b"hello", True, id="length"),
    pytest.param(OK + b"Content-Length: 0\r\n\r\n", b"GET", 200, b"", True, id="length 0"),
    pytest.param(
        OK + b"content-length:5 \t\r\n\r\nhello", b"GET", 200, b"hello", True, id="white space §5.1"
    ),
    pytest.param(
        CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"GET", 200, b"hello", True, id="chunked §7.1"
    ),
    pytest.param(
        CHUNKED + b'05;a=b;c="d"\r\nhello\r\n000\r\n\r\n', b"GET", 200, b"hello", True, id="ext §7.1.1"
    ),
    pytest.param(
        CHUNKED + b"5\r\nhello\r\n0\r\nT: v\r\nU: w\r\n\r\n", b"GET", 200, b"hello", True, id="trailers"
    ),
    pytest.param(
        OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", b"GET", 200, b"hello", False, id="close"
    ),
    pytest.param(
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"GET", 200, b"hello", False, id="1.0 §9.3"
    ),
    pytest.param(
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
        b"GET",
        200,
        b"hello",
        True,
        id="1.0 keep-alive §9.3",
    ),
    pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", b"GET", 204, b"", True, id="204"),
    pytest.param(
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b"GET", 304, b"", True, id="304 §6.3"
    ),
    pytest.param(
        b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET",
        304,
        b"",
        True,
        id="304 chunked",
    ),
    pytest.param(OK + b"Content-Length: 9\r\n\r\n", b"HEAD", 200, b"", True, id="HEAD §6.3"),
    pytest.param(OK + b"\r\n", b"HEAD", 200, b"", True, id="HEAD without length"),
    pytest.param(CHUNKED, b"HEAD", 200, b"", True, id="HEAD chunked"),
    pytest.param(OK + b"Connection: close\r\n\r\n", b"HEAD", 200, b"", False, id="HEAD close"),
    pytest.param(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        + OK
        + b"Content-Length: 5\r\n\r\nhello",
        b"GET",
        200,
        b"hello",
        True,
        id="interim §15.2",
    ),
    pytest.param(b"HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", b"GET", 404, b"", True, id="no reason §4"),
    pytest.param(b"HTTP/1.1 599 X\r\nContent-Length: 0\r\n\r\n", b"GET", 599, b"", True, id="unknown status"),
]


@pytest.mark.parametrize(("sent", "method", "status", "body", "kept"), WHOLE)
@on_loop
async def test_a_response_is_the_same_however_it_is_split(sent, method, status, body, kept):
    script = Script()
    async with origin(script) as address:
        pool = Pool(address)
        seen = set()
        cuts = [[sent], [bytes([byte]) for byte in sent]]
        cuts += [[sent[:at], sent[at:]] for at in range(1, len(sent))]
        for parts in cuts:
            script.parts = parts if kept else [*parts, None]
            exchange, found = await answered(pool, parts, method)
            assert (exchange.status, found, exchange.complete) == (status, body, True)
            seen.add((exchange.reason, exchange.fields, exchange.content_length))
        assert len(seen) == 1
        assert script.connections == (1 if kept else len(cuts))
        assert pool.snapshot().idle == (1 if kept else 0)
        pool.close()


@on_loop
async def test_a_body_may_end_with_the_connection():
    """Source: RFC 9112 §6.3, rule 8"""
    script = Script()
    async with origin(script) as address:
        pool = Pool(address)
        sent = OK + b"\r\nhello"
        for at in range(1, len(sent)):
            script.parts = [sent[:at], sent[at:], None]
            exchange, found = await answered(pool, script.parts)
            assert (exchange.status, found, exchange.complete, exchange.content_length) == (
                200,
                b"hello",
                True,
                None,
            )
        assert pool.snapshot().open == 0


@on_loop
async def test_what_came_with_the_head_is_there_at_once():
    script = Script()
    async with origin(script) as address:
        pool = Pool(address)
        script.parts = [OK + b"Set-Cookie: a\r\nX-A: 1\r\nset-cookie: b\r\nContent-Length: 5\r\n\r\nhello"]
        exchange = await pool.send(request(), method=b"GET", retry=True)
        assert exchange.complete and exchange.take() == b"hello" and exchange.take() == b""
        assert list(exchange.fields) == [
            (b"set-cookie", b"a"), (b"x-a", b"1"), (b"set-cookie", b"b"), (b"content-length", b"5"),
        ]  # fmt: skip
        assert exchange.content_length == 5 and exchange.reason == b"OK"
        pool.close()


@on_loop
async def test_interim_responses_are_told_in_order():
    script = Script()
    async with origin(script) as address:
        pool = Pool(address)
        told = []
        script.parts = [
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n"
            + OK
            + b"Link: </c>\r\nContent-Length: 0\r\n\r\n",
        ]
        exchange = await pool.send(
            request(),
            method=b"GET",
            interim=lambda status, fields: told.append((status, fields.get(b"link"))),
        )
        assert told == [(103, b"</a>"), (103, b"</b>")]
        assert exchange.fields.get(b"link") == b"</c>"
        pool.close()


MALFORMED = [
    pytest.param(b"SSH-2.0-OpenSSH\r\n", id="not HTTP"),
    pytest.param(b"\r\n" + OK + b"Content-Length: 0\r\n\r\n", id="empty line first"),
    pytest.param(b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", id="HTTP/2.0"),
    pytest.param(b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", id="RTSP"),
    pytest.param(b"HTTP/1.1 20 OK\r\n\r\n", id="two digits"),
    pytest.param(b"HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n", id="099"),
    pytest.param(b"HTTP/1.1 2000 X\r\nContent-Length: 0\r\n\r\n", id="four digits"),
    pytest.param(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", id="101 unasked"
    ),
    pytest.param(OK + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n", id="obs-fold §5.2"),
    pytest.param(OK + b"A : b\r\nContent-Length: 0\r\n\r\n", id="space before colon §5.1"),
    pytest.param(OK + b"A\r\nContent-Length: 0\r\n\r\n", id="no colon"),
    pytest.param(OK + b": b\r\nContent-Length: 0\r\n\r\n", id="no name"),
    pytest.param(OK + b"A: b\0c\r\nContent-Length: 0\r\n\r\n", id="NUL"),
    pytest.param(OK + b"A: b\rc\r\nContent-Length: 0\r\n\r\n", id="bare CR §2.2"),
    pytest.param(OK + b"A: b\nContent-Length: 0\r\n\r\n", id="bare LF §2.2"),
    pytest.param(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", id="two lengths §6.3"),
    pytest.param(OK + b"Content-Length: 1, 2\r\n\r\nab", id="a list of lengths §6.3"),
    pytest.param(OK + b"Content-Length: +1\r\n\r\na", id="sign"),
    pytest.param(OK + b"Content-Length: 0x1\r\n\r\na", id="hexadecimal"),
    pytest.param(OK + b"Content-Length: \r\n\r\na", id="empty length"),
    pytest.param(OK + b"Content-Length: 99999999999999999999999\r\n\r\na", id="overflow"),
    pytest.param(OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="both §6.3"),
    pytest.param(
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", id="both, reversed"
    ),
    pytest.param(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", id="gzip not offered §7.4"),
    pytest.param(OK + b"Transfer-Encoding: gzip\r\n\r\nx", id="not chunked §6.1"),
    pytest.param(OK + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", id="xchunked"),
    pytest.param(OK + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n", id="chunked twice §6.1"),
    pytest.param(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="chunked in 1.0 §6.1"),
    pytest.param(CHUNKED + b"x\r\n", id="chunk size"),
    pytest.param(CHUNKED + b"-1\r\n", id="negative chunk size"),
    pytest.param(CHUNKED + b"fffffffffffffffff\r\n", id="chunk size overflow"),
    pytest.param(CHUNKED + b"1\r\nab\r\n0\r\n\r\n", id="chunk longer than its size"),
    pytest.param(CHUNKED + b"1\na\n0\n\n", id="chunk lines end in LF"),
]


@pytest.mark.parametrize("by_byte", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("sent", MALFORMED)
@on_loop
async def test_a_malformed_response_is_refused(sent, by_byte):
    script = Script()
    async with origin(script) as address:
        pool = Pool(address)
        script.parts = [bytes([byte]) for byte in sent] if by_byte else [sent]
        with pytest.raises(OriginError) as error:
            await answered(pool, script.parts)
        assert error.value.failure is OriginFailure.MALFORMED
        assert error.value.detail
        assert pool.snapshot().open == 0
        assert pool.snapshot().errors == {OriginFailure.MALFORMED: 1}


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        pytest.param(OK + b"Content-Length: 6\r\n\r\nhello", b"hello", id="length §8"),
        pytest.param(CHUNKED + b"5\r\nhello\r\n0\r\n\r", b"hello", id="chunked §8"),
    ],
)
@on_loop
async def test_a_truncated_response_never_becomes_complete(sent, body):
    """Source: RFC 9112 §8"""
    script = Script()
    async with origin(script) as address:
        pool = Pool(address)
        for at in range(1, len(sent) + 1):
            script.parts = [sent[:at], None]
            with pytest.raises(OriginError) as error:
                exchange = None
                exchange = await pool.send(request(), method=b"GET")
                found = await body_of(exchange)
            assert error.value.failure is OriginFailure.TRUNCATED
            if exchange is not None:
                found = b"" if at < len(sent) else body
                assert not exchange.complete
        assert found == body
        assert pool.snapshot().open == 0


@on_loop
async def test_what_came_of_a_truncated_body_is_given_before_the_error():
    script = Script()
    async with origin(script) as address:
        pool = Pool(address)
        script.parts = [OK + b"Content-Length: 6\r\n\r\nhel", b"lo", None]
        exchange = await pool.send(request(), method=b"GET")
        found = await exchange.read()
        while found != b"hello":
            found += await exchange.read()
        with pytest.raises(OriginError) as error:
            await exchange.read()
        assert error.value.failure is OriginFailure.TRUNCATED


@on_loop
async def test_a_reset_in_a_body_that_ends_with_the_connection_is_no_end():
    async def script(peer):
        await peer.head()
        await peer.send(OK + b"\r\nhello")
        await go.wait()
        peer.reset()

    go = asyncio.Event()
    async with origin(script, tcp=True) as address:
        pool = Pool(address)
        exchange = await pool.send(request(), method=b"GET")
        found = await exchange.read()
        go.set()
        with pytest.raises(OriginError) as error:
            while True:
                found += await exchange.read()
        assert error.value.failure is OriginFailure.TRUNCATED and found == b"hello"
        assert not exchange.complete


@pytest.mark.parametrize(
    ("sent", "method"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhello!", b"GET"),
        (OK + b"Content-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n", b"GET"),
        (OK + b"Content-Length: 5\r\n\r\nhello", b"HEAD"),
        (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", b"HEAD"),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", b"GET"),
        (b"HTTP/1.1 304 Not Modified\r\n\r\nhello", b"GET"),
        (CHUNKED + b"0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", b"GET"),
    ],
)
@on_loop
async def test_bytes_after_a_response_end_the_connection_and_nothing_else(sent, method):
    """A response that was not asked for must never become the next one's. Source: RFC 9112 §9.3"""
    script = Script()
    async with origin(script) as address:
        pool = Pool(address)
        script.parts = [sent]
        for _ in range(2):
            exchange, found = await answered(pool, script.parts, method)
            assert exchange.complete
            assert found == (b"hello" if b"hello!" in sent else b"")
        assert script.connections == 2
        assert pool.snapshot().open == 0


@on_loop
async def test_surplus_of_a_large_body_is_cut_off():
    body = b"x" * 300_000
    script = Script()
    async with origin(script) as address:
        pool = Pool(address)
        script.parts = [OK + b"Content-Length: 300000\r\n\r\n", body[:200_000], body[200_000:] + b"surplus"]
        exchange, found = await answered(pool, script.parts)
        assert found == body and exchange.complete
        assert pool.snapshot().open == 0


@pytest.mark.parametrize(
    "sent",
    [
        OK + b"A: " + b"x" * 70_000,
        OK + b"A: " + b"x" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        OK + b"A: b\r\n" * 20_000,
        b"HTTP/1.1 " + b"2" * 70_000,
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 2000,
        CHUNKED + b"1\r\na\r\n0\r\n" + b"T: v\r\n" * 30_000,
        CHUNKED + b"1;" + b"x" * 140_000,
    ],
    ids=["line", "finished line", "lines", "status", "interim", "trailers", "chunk extension"],
)
@on_loop
async def test_heads_and_framing_are_bounded(sent):
    script = Script()
    async with origin(script) as address:
        pool = Pool(address)
        script.parts = [sent]
        with pytest.raises(OriginError) as error:
            await answered(pool, script.parts)
        assert error.value.failure in (OriginFailure.HEAD_TOO_LARGE, OriginFailure.MALFORMED)
        if not sent.startswith(b"HTTP/1.1 222"):
            assert error.value.failure is OriginFailure.HEAD_TOO_LARGE


@on_loop
async def test_a_large_head_within_the_limit_is_fine_with_a_large_body():
    script = Script()
    async with origin(script) as address:
        pool = Pool(address)
        head = OK + b"A: " + b"x" * 60_000 + b"\r\nContent-Length: 100000\r\n\r\n"
        script.parts = [head + b"y" * 100_000]
        exchange, found = await answered(pool, script.parts)
        assert len(found) == 100_000 and len(exchange.fields.get(b"a")) == 60_000
        script.parts = [OK + b"A: " + b"x" * 60_000 + b"\r\nTransfer-Encoding: chunked\r\n\r\n", b"a0000\r\n"]
        script.parts += [b"y" * 0xA0000 + b"\r\n0\r\n\r\n"]
        exchange, found = await answered(pool, script.parts)
        assert len(found) == 0xA0000
        pool.close()
