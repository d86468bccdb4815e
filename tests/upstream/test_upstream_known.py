"""Heads that are known are read as the parser reads them, and nothing fills what is remembered."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from uncork.upstream import known
from uncork.upstream.exchange import Exchange
from uncork.upstream.failures import OriginError
from uncork.upstream.known import KnownHeads
from uncork.upstream.reading import Phase, ResponseReader


@dataclass(frozen=True)
class Read:
    status: int
    reason: bytes
    lines: list[tuple[bytes, tuple[bytes, ...]]]
    length: int | None
    keep: bool
    surplus: bool
    phase: Phase
    body: bytes


def read(heads: KnownHeads, pieces: list[bytes], method: bytes = b"GET") -> tuple[Read | str, bool]:
    """What a reader makes of a response, and whether its head was known."""
    reader = ResponseReader(heads)
    exchange = Exchange(b"", None, method, True, False, None)
    reader.expect(exchange)
    try:
        for piece in pieces:
            if reader.phase is not Phase.END:
                reader.receive(piece)
    except OriginError as error:
        return error.failure.value, exchange.known is not None
    fields = exchange.fields
    lines = sorted((name, fields.getall(name)) for name in {name for name, _ in fields})
    found = Read(
        exchange.status, exchange.reason, lines, exchange.content_length, reader.keep, reader.surplus,
        reader.phase, exchange.take(),
    )  # fmt: skip
    return found, exchange.known is not None


PLAIN = [b"HTTP/1.1 200 OK", b"Server: x", b"Date: Tue, 24 Nov 2026 08:00:00 GMT", b"Content-Length: 3"]


def response(lines: list[bytes], body: bytes = b"abc") -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def test_a_head_is_known_from_its_third_sight_on_whatever_its_volatile_lines_say() -> None:
    heads = KnownHeads()
    sights = [read(heads, [response(PLAIN)])[1] for _ in range(3)]
    assert sights == [False, False, True]
    later = [*PLAIN[:2], b"Date: \t Wed, 25 Nov 2026 08:00:00 GMT ", b"Content-Length: 5"]
    found, was_known = read(heads, [response(later, b"hello")])
    assert was_known
    assert found == read(KnownHeads(), [response(later, b"hello")])[0]


volatile = st.sampled_from(
    [
        b"Date: Tue, 24 Nov 2026 08:00:00 GMT", b"date: x", b"DATE: y", b"Content-Length: 3",
        b"content-length: 3", b"Content-Length: 12", b"Content-Length: 0", b"Content-Length: 3, 3",
        b"Content-Length: +3", b"Content-Length:3", b"Set-Cookie: a=1", b"Set-Cookie: b=2; Path=/",
        b"set-cookie: c", b'ETag: "1"', b"ETag: ", b"Expires: 0", b"Last-Modified: \xff",
        b"Date: folded\r\n more", b"Set-Cookie: \x01", b"X-Date: Date: x",
    ]
)  # fmt: skip
steady = st.sampled_from(
    [
        b"Server: x", b"Connection: close", b"Connection: keep-alive", b"Connection: keep-alive, set-cookie",
        b"Transfer-Encoding: chunked", b"Vary: Cookie", b"Cache-Control: no-store", b"X: a\r\n b", b"bad",
        b"Set-Cookie : a",
    ]
)  # fmt: skip
first_line = st.sampled_from(
    [
        b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 404 Not Found", b"HTTP/1.1 204 No Content",
        b"HTTP/1.1 304 Not Modified", b"HTTP/1.1 103 Early Hints", b"HTTP/1.1 200 ", b"HTTP/2.0 200 OK",
    ]
)  # fmt: skip


@given(
    first_line,
    st.lists(st.one_of(volatile, steady), max_size=6),
    st.data(),
    st.sampled_from([b"", b"abc", b"3\r\nabc\r\n0\r\n\r\n", b"abcdefghijkl", response(PLAIN)]),
    st.sampled_from([b"GET", b"HEAD"]),
)
def test_a_known_head_is_read_as_a_new_one(
    first: bytes, lines: list[bytes], data: st.DataObject, body: bytes, method: bytes
) -> None:
    heads = KnownHeads()
    for _ in range(2):
        read(heads, [response([first, *lines], body)], data.draw(st.sampled_from([b"GET", b"HEAD"])))
    # The same lines, but for the values of volatile ones.
    again = [
        data.draw(volatile) if line.startswith((b"Date", b"Content-L", b"Set")) else line for line in lines
    ]
    whole = response([first, *again], body)
    at = data.draw(st.integers(0, len(whole) - 1))
    pieces = [piece for piece in (whole[:at], whole[at:]) if piece]
    assert read(heads, pieces, method)[0] == read(KnownHeads(), pieces, method)[0]


def test_what_never_repeats_fills_nothing() -> None:
    heads = KnownHeads()
    for number in range(3 * known._MOST_BLOCKS):
        read(heads, [response([*PLAIN, b"X-Request-Id: %d" % number])])
    assert not heads._blocks


def test_what_is_kept_is_bounded() -> None:
    heads = KnownHeads()
    for number in range(2 * known._MOST_BLOCKS):
        for _ in range(2):
            read(heads, [response([*PLAIN, b"X: %d" % number])])
    assert 0 < len(heads._blocks) <= known._MOST_BLOCKS
