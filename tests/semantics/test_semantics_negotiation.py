"""Content codings: RFC 9110 §12.5.3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uncork.semantics.negotiation import KNOWN_CODINGS, normalised_codings, preferred_coding

ALL = (b"br", b"zstd", b"gzip")


@pytest.mark.parametrize(
    ("accept_encoding", "available", "expected"),
    [
        # what browsers and tools send
        (b"gzip, deflate, br, zstd", ALL, b"br"),
        (b"gzip, deflate, br", (b"gzip",), b"gzip"),
        (b"gzip, deflate", ALL, b"gzip"),
        (b"gzip", ALL, b"gzip"),
        (b"gzip,br", (b"br", b"gzip"), b"br"),
        # §12.5.3: no field, no members
        (None, ALL, None),
        (b"", ALL, None),
        (b" , ", ALL, None),
        (b"gzip", (), None),
        (b"deflate", ALL, None),
        # §12.5.3: the examples
        (b"compress, gzip", ALL, b"gzip"),
        (b"*", ALL, b"br"),
        (b"compress;q=0.5, gzip;q=1.0", ALL, b"gzip"),
        (b"gzip;q=1.0, identity; q=0.5, *;q=0", ALL, b"gzip"),
        # §12.4.2: a weight of 0 is a refusal, however it is written
        (b"gzip;q=0", (b"gzip",), None),
        (b"gzip;q=0.0", (b"gzip",), None),
        (b"gzip;q=0.", (b"gzip",), None),
        (b"gzip;q=0.000", (b"gzip",), None),
        (b"gzip ;\tq=0", (b"gzip",), None),
        (b"gzip; Q=0", (b"gzip",), None),
        (b"br;q=0, *", ALL, b"zstd"),
        (b"*;q=0", ALL, None),
        (b"*;q=0, gzip", ALL, b"gzip"),
        # the weight decides, then the order of what there is
        (b"br;q=0.5, gzip", ALL, b"gzip"),
        (b"br;q=0.001, gzip;q=0", ALL, b"br"),
        (b"br;q=0.999, gzip;q=1.000", ALL, b"gzip"),
        (b"gzip;q=0.8, zstd;q=0.8", ALL, b"zstd"),
        (b"*;q=0.8, gzip", ALL, b"gzip"),
        # the identity has a weight when it, or *, is given one
        (b"identity, gzip;q=0.5", ALL, None),
        (b"identity;q=0.5, gzip", ALL, b"gzip"),
        (b"identity, gzip", ALL, b"gzip"),
        (b"gzip;q=0.5, *", (b"gzip",), None),
        (b"identity", ALL, None),
        # refused altogether: the identity even so
        (b"identity;q=0", (b"gzip",), None),
        (b"identity;q=0, *;q=0", ALL, None),
        # names of codings are case-insensitive; §8.4.1.3: x-gzip is gzip
        (b"GZip", ALL, b"gzip"),
        (b"x-gzip", ALL, b"gzip"),
        (b"x-gzip;q=0", (b"gzip",), None),
        # a weight that can't be read is no consent; of two weights the lower holds
        (b"gzip;q=high", (b"gzip",), None),
        (b"gzip;q=", (b"gzip",), None),
        (b"GZIP;q=high, *", (b"gzip",), None),
        (b"gzip;q=2", (b"gzip",), None),
        (b"gzip;q=-1", (b"gzip",), None),
        (b"gzip;q=0.1234", (b"gzip",), None),
        (b"gzip;q=1.5", (b"gzip",), None),
        (b"gzip;level=9", (b"gzip",), None),
        (b"gzip, gzip;q=0", (b"gzip",), None),
        (b"gzip;q=0, gzip", (b"gzip",), None),
        # no part of a name is a name
        (b"gzipped", ALL, None),
        (b"brotli", ALL, None),
        (b"gzip br", ALL, None),
    ],
)
def test_the_coding_of_a_response(
    accept_encoding: bytes | None, available: tuple[bytes, ...], expected: bytes | None
) -> None:
    assert preferred_coding(accept_encoding, available) == expected


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        (None, ()),
        (b"", ()),
        (b"gzip, deflate, br, zstd", (b"br", b"gzip", b"zstd")),
        (b"zstd;q=0.1,br;q=1.0 , gzip", (b"br", b"gzip", b"zstd")),
        (b"BR, GZIP", (b"br", b"gzip")),
        (b"gzip;q=0, br", (b"br",)),
        (b"*", (b"br", b"gzip", b"zstd")),
        (b"*, gzip;q=0", (b"br", b"zstd")),
        (b"gzip, *;q=0", (b"gzip",)),
        (b"identity", ()),
        (b"deflate", ()),
    ],
)
def test_what_a_key_needs_of_the_field(accept_encoding: bytes | None, expected: tuple[bytes, ...]) -> None:
    assert normalised_codings(accept_encoding) == expected


codings = st.sampled_from(["br", "gzip", "zstd", "deflate", "identity", "*", "x-gzip", "GZIP"])
weights = st.sampled_from(["", ";q=0", ";q=0.5", "; q=1", " ; Q=0.25", ";q=x"])
fields = st.lists(st.builds(str.__add__, codings, weights), max_size=6).map(
    lambda parts: ", ".join(parts).encode()
)


@given(fields, st.permutations(KNOWN_CODINGS), st.integers(0, 3))
def test_only_what_is_there_and_acceptable_is_chosen(field: bytes, order: list[bytes], count: int) -> None:
    available = order[:count]
    chosen = preferred_coding(field, available)
    assert chosen is None or (chosen in available and chosen in normalised_codings(field))
    if chosen is not None:
        assert preferred_coding(field, [chosen]) == chosen
    if b"identity" not in field and b"*" not in field and set(available) & set(normalised_codings(field)):
        assert chosen is not None


@given(st.binary(max_size=40) | st.text('gzipbr;q=01.,* "\\', max_size=40).map(str.encode))
def test_any_bytes_choose_something(field: bytes) -> None:
    assert preferred_coding(field, ALL) in (None, *ALL)
    assert set(normalised_codings(field)) <= set(KNOWN_CODINGS)


def test_a_long_field_is_read_like_a_short_one() -> None:
    assert preferred_coding(b"deflate, " * 10_000 + b"gzip", ALL) == b"gzip"
