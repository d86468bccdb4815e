"""The chunked coding: whole, byte by byte, and in every split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uncork.wire.chunked import ChunkedReader
from uncork.wire.requests import Refused
from uncork.wire.writing import LAST_CHUNK, chunk


def read(*pieces: bytes) -> tuple[bytes, bool, bytes]:
    """(content, done, rest) of what is fed; what is fed after the end counts as rest."""
    reader = ChunkedReader()
    content = b""
    rest = b""
    for piece in pieces:
        if reader.done:
            rest += piece
        else:
            content += reader.feed(piece)
    return content, reader.done, reader.rest + rest


MESSAGES = [
    (b"0\r\n\r\n", b""),
    (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world"),
    (b"A\r\n0123456789\r\n000\r\n\r\n", b"0123456789"),
    (b"a;name=value\r\n0123456789\r\n0;x\r\n\r\n", b"0123456789"),
    (b'1 ; q="a;b\tc"\r\nx\r\n0\r\n\r\n', b"x"),
    (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n"),
    (b"1\r\nx\r\n0\r\nTrailer: value\r\nX-Other:\r\n\r\n", b"x"),
]


@pytest.mark.parametrize(("message", "content"), MESSAGES)
def test_messages_in_every_split(message: bytes, content: bytes) -> None:
    """Source: RFC 9112 §7.1"""
    following = b"GET / HTTP/1.1\r\n"
    whole = message + following
    assert read(whole) == (content, True, following)
    assert read(*[whole[i : i + 1] for i in range(len(whole))]) == (content, True, following)
    for first in range(len(whole)):
        for second in range(first, len(whole)):
            pieces = (whole[:first], whole[first:second], whole[second:])
            assert read(*pieces) == (content, True, following)


@given(st.lists(st.binary(min_size=1, max_size=50)), st.data())
def test_what_we_write_is_what_we_read(pieces: list[bytes], data: st.DataObject) -> None:
    message = b"".join(map(chunk, pieces)) + LAST_CHUNK
    cuts = sorted(data.draw(st.lists(st.integers(0, len(message)), max_size=5)))
    parts = [message[a:b] for a, b in zip([0, *cuts], [*cuts, len(message)], strict=True)]
    assert read(*parts) == (b"".join(pieces), True, b"")


BROKEN = [
    b"\r\n",
    b"g\r\n",
    b"-1\r\n",
    b"0x5\r\n",
    b"5 5\r\n",
    b" 5\r\nhello\r\n",
    b"5\nhello\r\n",  # a bare LF: RFC 9112 §7.1 has no leniency for it
    b"5\r\nhello\n",
    b"5\r\nhelloworld\r\n",
    b"5\r\nhello0\r\n\r\n",
    b"1" * 16 + b"\r\n",
    b"5;a\x00b\r\n",
    b"5" + b";" + b"x" * 1024 + b"\r\n",
    b"5" + b";" + b"x" * 1025,
    b"0\r\nno trailer\r\n\r\n",
    b"0\r\n folded: x\r\n\r\n",
    b"0\r\nX: " + b"y" * 8192,
    b"0\r\n" + (b"X: " + b"y" * 1000 + b"\r\n") * 9,
]


@pytest.mark.parametrize("message", BROKEN)
def test_what_is_broken_is_refused_however_it_comes(message: bytes) -> None:
    for pieces in ((message,), tuple(message[i : i + 1] for i in range(len(message)))):
        with pytest.raises(Refused) as caught:
            read(*pieces)
        assert caught.value.status == 400


def test_nothing_is_done_before_the_last_byte() -> None:
    message = b"3\r\nabc\r\n0\r\nX: y\r\n\r\n"
    for end in range(len(message)):
        assert read(message[:end])[1] is False
    assert read(message) == (b"abc", True, b"")


@given(st.binary(max_size=80))
def test_memory_is_bounded_by_what_is_a_line(garbage: bytes) -> None:
    """What isn't content is never kept beyond the longest line."""
    reader = ChunkedReader()
    try:
        for _ in range(200):
            reader.feed(garbage)
            assert len(reader._buffer) <= 8192 + len(garbage)
            if reader.done:
                break
    except Refused:
        pass
