"""The page file: what is written is read, and what is damaged is noticed."""

import struct
from zlib import crc32

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from support.pages import FRESHNESS, PAGE, page
from uncork.pages.page import Page
from uncork.pages.pagefile import (
    CODINGS,
    HEADER_SIZE,
    MOST_HEAD,
    CorruptPage,
    TooLarge,
    decode_head,
    digest,
    encode_head,
    head_length,
)
from uncork.semantics.fields import Fields

short = st.binary(max_size=20)
names = st.lists(short, max_size=4).map(tuple)
pages = st.builds(
    Page,
    url=short,
    status=st.integers(0, 0xFFFF),
    fields=st.lists(st.tuples(short, short), max_size=6).map(Fields),
    freshness=st.just(FRESHNESS),
    stamp=st.integers(0, 2**64 - 1),
    slots=st.lists(st.integers(0, 2**32 - 1), max_size=6).map(tuple),
    inputs=st.lists(st.tuples(short, st.none() | short), max_size=4).map(tuple),
)
bodies = st.dictionaries(
    st.sampled_from(CODINGS), st.tuples(st.integers(0, 2**40), st.binary(min_size=16, max_size=16))
)


@given(pages, names, bodies)
def test_what_is_written_is_read(
    written: Page, listed: tuple[bytes, ...], sizes: dict[bytes, tuple[int, bytes]]
) -> None:
    data = encode_head(written, listed, sizes)
    head = decode_head(data + b"what follows")
    assert (head.page, head.names) == (written, listed)
    assert head_length(data) == len(data)
    at = len(data)
    for coding in CODINGS:
        if coding in sizes:
            assert head.bodies[coding] == (at, sizes[coding][0])
            assert head.digests[coding] == sizes[coding][1]
            at += sizes[coding][0]
    assert head.bodies.keys() == head.digests.keys() == sizes.keys()
    assert head.size == at


@given(names)
def test_a_signpost_has_names_and_no_page(listed: tuple[bytes, ...]) -> None:
    head = decode_head(encode_head(None, listed))
    assert (head.page, head.names, head.bodies) == (None, listed, {})


@given(pages, names, bodies)
def test_the_length_of_a_head_is_known_before_its_bodies(
    written: Page, listed: tuple[bytes, ...], sizes: dict[bytes, tuple[int, bytes]]
) -> None:
    assert len(encode_head(written, listed)) == len(encode_head(written, listed, sizes))


def test_the_bytes_are_those_that_are_drawn() -> None:
    stored = page(
        url=b"http://h/", fields=Fields([(b"a", b"b")]), slots=(7,), inputs=((b"query", None),), stamp=3
    )
    data = encode_head(stored, (b"query",), {b"": (5, b"i" * 16), b"gzip": (4, b"g" * 16)})
    strings = b"http://h/" + b"a" + b"b" + b"query" + b"query"
    drawn = b"UNCORK\r\n" + struct.pack("<HBBI", 1, 1, 0b0101, len(data))
    rest = struct.pack("<HHQHHHH", 200, 1, 3, 1, 1, 1, 0) + struct.pack("<4Q", 5, 0, 4, 0)
    rest += b"i" * 16 + bytes(16) + b"g" * 16 + bytes(16) + FRESHNESS.to_bytes()
    rest += struct.pack("<I6I", 7, 9, 1, 1, 5, 2**32 - 1, 5) + strings
    assert data == drawn + struct.pack("<I", crc32(drawn + rest)) + rest


def test_any_bit_that_flips_in_a_head_is_noticed() -> None:
    data = encode_head(PAGE, (b"query:q",), {b"": (10, digest(b"x" * 10))})
    for at in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(CorruptPage):
            decode_head(bytes(flipped))


def test_a_head_that_is_cut_off_is_noticed() -> None:
    data = encode_head(PAGE, (b"query:q",))
    for length in range(len(data)):
        with pytest.raises(CorruptPage):
            decode_head(data[:length])


@given(st.integers(0, 400), st.binary(min_size=1, max_size=8))
@example(10, b"\x03")
@example(HEADER_SIZE + 4 * len(PAGE.slots), b"\xff\xff\xff\xff")
@example(HEADER_SIZE + 4 * len(PAGE.slots) + 4, b"\xff\xff\xff\xff")
@example(8, b"\x02")
def test_a_forged_head_is_corrupt_or_readable(at: int, forged: bytes) -> None:
    data = bytearray(encode_head(PAGE, (b"query:q",)))
    data[at : at + len(forged)] = forged
    data[16:20] = struct.pack("<I", crc32(data[20:], crc32(data[:16])))
    try:
        decode_head(bytes(data))
    except CorruptPage:
        pass


@given(st.binary(max_size=400))
def test_what_is_no_page_file_is_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptPage):
        decode_head(data)


@pytest.mark.parametrize(
    "changes",
    [
        {"url": b"x" * MOST_HEAD},
        {"slots": tuple(range(0x10000))},
        {"inputs": ((b"", None),) * 0x10000},
        {"fields": Fields([(b"", b"")] * 0x10000)},
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(TooLarge):
        encode_head(page(**changes), ())
